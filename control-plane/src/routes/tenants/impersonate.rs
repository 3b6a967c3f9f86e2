//! `POST /api/v1/tenants/{tenant}/impersonate`

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tenantry_domain::{Clock, ids::SessionId, user::Role};
use tenantry_http::Problem;
use tenantry_registry::{Registry, RouteKeyRef, RouteReader};
use tenantry_tokens::{Holder, IssueError, Subject, lifetime};
use utoipa::ToSchema;

use crate::{
    auth::{Authorized, scopes::TenantsImpersonate},
    input::{Fields, InPath, JsonBody, TenantRef},
    refusal::Refusal,
    vault::Vault,
};

/// How support is called in a tenant's data.
const USERNAME: &str = "support";

/// Why, and as whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "reason": "ticket 4711: an import fails", "roles": ["member"] }))]
pub(crate) struct ImpersonateBody {
    /// What for, 1 to 500 characters: it is kept.
    reason: String,
    /// The roles of a user of the tenant's to act with; member when absent.
    #[schema(value_type = Option<Vec<String>>)]
    roles: Option<Vec<Role>>,
}

/// A token that opens a tenant's data. Not `Debug`: it holds the token itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImpersonationView {
    /// For the data plane, as `Authorization: Bearer <token>`.
    access_token: String,
    /// When it ends; there is no way to renew it.
    expires_at: DateTime<Utc>,
    /// By which it is known in the token (`sid`).
    session: String,
}

/// Get a short token for a tenant's data, for support
///
/// It acts with the roles that are asked for, names the key that asked in its claim `act`, ends within 15 minutes, and at
/// `POST /api/auth/logout` before. The app's row rules see `support:<id of the key>` as its subject.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/impersonate", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = ImpersonateBody,
    responses(
        (status = 201, description = "The token", body = ImpersonationView),
        (status = 409, description = "`no_users`: the tenant's app has no users", body = Problem),
    ),
    security(("apiKey" = ["tenants:impersonate"])),
)]
pub(crate) async fn impersonate_tenant(
    caller: Authorized<TenantsImpersonate>,
    InPath(tenant): InPath<TenantRef>,
    State(registry): State<Registry>,
    State(vault): State<Vault>,
    State(clock): State<Arc<dyn Clock>>,
    JsonBody(body): JsonBody<ImpersonateBody>,
) -> Result<impl IntoResponse, Refusal> {
    let mut fields = Fields::default();
    let reason = body.reason.trim();
    let fits = (1..=500).contains(&reason.chars().count()) && !reason.chars().any(char::is_control);
    fields.check("reason", fits, "must have 1 to 500 characters, none of them a control character");
    let roles = body.roles.unwrap_or_else(|| vec![Role::Member]);
    fields.check("roles", !roles.is_empty(), "must name at least one, e.g. member");
    let tenant = tenant.find_kept(&registry).await?.tenant.id;
    let routes = RouteReader::new(registry).routes_get(&[RouteKeyRef::Id(tenant)]).await?;
    let route =
        routes.into_iter().next().transpose()?.flatten().ok_or_else(|| Refusal::not_found("tenant"))?;
    if let Some(unknown) = roles.iter().find(|role| !route.users.permissions.knows(role)) {
        let must =
            format!("`{}` is none of owner, admin, member and those of `auth.roles`", unknown.as_str());
        fields.wrong("roles", must);
    }
    fields.finish()?;
    let (now, caller) = (clock.now(), caller.caller());
    let session = SessionId::generate(now, &mut rand::rng());
    let subject = Subject {
        holder: Holder::Support(caller.supporter()),
        username: USERNAME.to_owned(),
        roles,
        session,
    };
    let token = vault.access_token(&route, subject, now).map_err(|error| match error {
        IssueError::NoKey => Refusal::conflict("no_users", "the tenant's app has no users to act as one of"),
        error => Refusal::internal(&error),
    })?;
    tracing::info!(tenant.id = %tenant, %caller, %session, reason, "{caller} acts for support of tenant {tenant}");
    let view = ImpersonationView {
        access_token: token.expose_secret().to_owned(),
        expires_at: now + lifetime(&route),
        session: session.to_string(),
    };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(view)))
}
