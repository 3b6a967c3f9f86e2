//! `POST /api/v1/signup`

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Extension, Json,
    extract::{FromRef, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use tenantry_domain::{
    Clock, Slug, domain_name::DomainName, ids::OperationId, operation::OperationState, plan::LimitOverrides,
    tenant::DisplayName,
};
use tenantry_http::Problem;
use tenantry_registry::Registry;
use utoipa::ToSchema;
use uuid::Uuid;

use super::repeat::{self, Again};
use crate::{
    Settings,
    claim::Claim,
    input::{Fields, JsonBody, Prefer},
    refusal::Refusal,
    routes::{
        operations::answer::{Outcome, verdict, wait},
        tenants::{create::count_signup, domains::view::DomainView},
    },
    signup_gate::{SignupGate, Uncounted, network},
    state::ApiState,
    use_cases::{
        create_tenant::{CreateTenant, CreateTenantError, TenantSpec},
        start_operation::StartOperation,
    },
    visitor::Visitor,
    vocabulary,
};

/// Who signs up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "name": "Tenant 1 Organization", "slug": "tenant1" }))]
pub(crate) struct SignUpBody {
    /// Its name for people, 1 to 200 characters.
    name: String,
    /// A DNS label of 1 to 40 characters; derived from the name when absent.
    slug: Option<String>,
    /// A custom domain.
    domain: Option<String>,
}

/// What a stranger is told of their tenant: nothing of servers and databases.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignedUpView {
    /// The tenant.
    tenant: SignedUpTenant,
    /// How far it is: queued, running or succeeded.
    #[schema(value_type = vocabulary::OperationState)]
    state: &'static str,
    /// The custom domain, and the record that proves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<DomainView>,
}

/// A tenant as it is told to a stranger.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SignedUpTenant {
    /// Its id.
    id: Uuid,
    /// Its slug.
    slug: String,
    /// Its name for people.
    name: String,
    /// provisioning or active.
    #[schema(value_type = vocabulary::TenantStatus)]
    status: &'static str,
    /// Its host name.
    #[schema(example = "tenant1.localhost")]
    host: String,
}

/// What signing up works with.
#[derive(Clone)]
pub(crate) struct SignUps {
    gate: Option<Arc<SignupGate>>,
    registry: Registry,
    create: CreateTenant,
    start: StartOperation,
    clock: Arc<dyn Clock>,
    settings: Arc<Settings>,
}

impl FromRef<ApiState> for SignUps {
    fn from_ref(state: &ApiState) -> Self {
        Self {
            gate: state.signup.clone(),
            registry: state.registry.clone(),
            create: CreateTenant::from_ref(state),
            start: StartOperation::from_ref(state),
            clock: Arc::clone(&state.clock),
            settings: Arc::clone(&state.settings),
        }
    }
}

/// Sign up, without a key
///
/// Off unless the operator switched it on; limited per address. Plan and app are the operator's choice.
/// A sign-up that failed on our side does not count, and the same visitor takes it up by sending it again.
#[utoipa::path(
    post, path = "/api/v1/signup", tag = "signup",
    params(
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it is done, at most N seconds later", example = "wait=10"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = SignUpBody,
    responses(
        (status = 202, description = "It is being made", body = SignedUpView),
        (status = 201, description = "It was made within the wait", body = SignedUpView),
        (status = 404, description = "`signup_disabled`", body = Problem),
        (status = 409, description = "`slug_taken` or `domain_taken`", body = Problem),
        (status = 429, description = "`too_many_signups`, with `Retry-After`", body = Problem),
        (status = 503, description = "`signup_failed`: on our side; send it again", body = Problem),
    ),
    security(()),
)]
pub(crate) async fn sign_up(
    prefer: Prefer,
    claim: Claim,
    visitor: Option<Extension<Visitor>>,
    State(sign_ups): State<SignUps>,
    JsonBody(body): JsonBody<SignUpBody>,
) -> Result<Response, Refusal> {
    let SignUps { gate, registry, create, start, clock, settings } = sign_ups;
    let gate = gate.ok_or_else(|| Refusal::not_found("endpoint"))?;
    let mut fields = Fields::default();
    let name = fields.take("name", DisplayName::parse(&body.name));
    let slug = fields.take_some("slug", body.slug.as_deref().map(Slug::parse));
    let domain = fields.take_some("domain", body.domain.as_deref().map(DomainName::parse));
    fields.finish()?;
    let wanted = TenantSpec {
        admin: None,
        name: name.ok_or_else(|| Refusal::missing("name"))?,
        slug,
        plan: gate.settings.plan.clone(),
        app: gate.settings.app.clone(),
        domain,
        subdomain: None,
        features: BTreeMap::new(),
        settings: Map::new(),
        limits: LimitOverrides::default(),
    };
    let (name, domain) = (wanted.name.clone(), wanted.domain.clone());
    let slug = wanted.slug.clone().or_else(|| Slug::derive(name.as_str()).ok());
    let visitor =
        visitor.map_or_else(String::new, |Extension(Visitor(address))| network(address).to_string());
    // Settled now, so that who asked is noted before anything is made.
    let now = clock.now();
    let claim = claim.settled(now);
    registry.public_signup_note(OperationId::from_uuid(claim.id_or_new(now)), &visitor, now).await?;
    let created = create.run(wanted, claim).await;
    count_signup(gate.settings.plan.as_str(), created.as_ref().err());
    let mut repeated = false;
    let started = match (created, slug) {
        // The same request was sent before, and failed.
        (Ok(started), _) if started.operation.state == OperationState::Failed => {
            repeated = true;
            repeat::run_again(&start, started.operation.id).await?
        }
        (Err(CreateTenantError::SlugTaken), Some(slug)) => {
            let again = Again { slug: &slug, name: &name, domain: domain.as_ref(), visitor: &visitor };
            let taken_up = repeat::take_up(&registry, &start, &*clock, &again).await?;
            repeated = true;
            taken_up.ok_or(CreateTenantError::SlugTaken)?
        }
        (created, _) => created?,
    };
    let Outcome { tenant, operation } = wait(&registry, started, prefer).await?;
    let tenant = tenant.ok_or_else(|| Refusal::not_found("tenant"))?;
    let status =
        if verdict(&operation).map_err(|_| failed())? { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    let domain = if domain.is_some() {
        registry.domain_list(tenant.tenant.id).await?.into_iter().next().map(DomainView::from)
    } else {
        None
    };
    let tenant = tenant.tenant;
    let view = SignedUpView {
        tenant: SignedUpTenant {
            id: tenant.id.as_uuid(),
            host: format!("{}.{}", tenant.slug, settings.base_domain),
            slug: tenant.slug.to_string(),
            name: tenant.name.as_str().to_owned(),
            status: tenant.status.as_str(),
        },
        state: operation.state.as_str(),
        domain,
    };
    let mut response = (status, Json(view)).into_response();
    if repeated {
        response.extensions_mut().insert(Uncounted);
    }
    Ok(response)
}

/// A stranger hears that it failed, not why: the reason names servers.
fn failed() -> Problem {
    let detail =
        "the sign-up could not be completed on our side; send it again in a moment, or ask the operator";
    Problem::unavailable("signup_failed", detail, 5)
}
