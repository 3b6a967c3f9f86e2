//! Notes who changes what. A row is written before a change begins, and what came of it afterwards: there is no change without its
//! row, whatever dies in between. What shows a secret is noted, and on disk, before the secret is read.
//!
//! One layer does it for all endpoints, by the document: a new endpoint cannot be forgotten. ADR 18.

mod action;
mod redact;

use std::{cell::Cell, collections::HashMap, sync::Arc};

use axum::{
    RequestExt, Router,
    body::Body,
    extract::{MatchedPath, Path, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::Response,
};
use serde_json::{Value, json};
use tenantry_domain::{
    Clock,
    api_key::{ApiKey, Scope},
    audit::{Actor, ActorKind, AuditEntry, AuditOutcome, Target},
    ids::{ApiKeyId, AuditId, TenantId},
};
use tenantry_http::{Problem, RequestId, json_body};
use tenantry_registry::{AuditEnd, Registry};
use tower::ServiceExt;
use url::form_urlencoded;
use utoipa::openapi::OpenApi;
use uuid::Uuid;

use self::action::Endpoint;
use crate::{Settings, auth::Caller, refusal::Refusal, state::ApiState, visitor};

tokio::task_local! {
    /// The tenant that the request at hand turned out to be about.
    static TENANT: Cell<Option<TenantId>>;
}

/// Says which tenant the request at hand is about, for the audit log and for log lines.
pub(crate) fn note_tenant(tenant: TenantId) {
    tenantry_http::note_tenant(tenant);
    // Outside of a request that is audited there is nothing to note it in.
    let _ = TENANT.try_with(|noted| noted.set(Some(tenant)));
}

/// The largest answer of this API that changes something is far smaller.
const LARGEST_ANSWER: usize = 4 << 20;

/// The longest that is kept of what a client has sent.
const LONGEST_TEXT: usize = 500;

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

/// What the layer works with.
#[derive(Clone)]
pub(crate) struct Audit {
    registry: Registry,
    clock: Arc<dyn Clock>,
    settings: Arc<Settings>,
    endpoints: Arc<HashMap<(Method, String), Endpoint>>,
    /// The endpoints without layers: what something was before is what a GET says.
    views: Router,
}

impl Audit {
    pub(crate) fn new(state: &ApiState, document: &OpenApi, views: Router) -> Self {
        Self {
            registry: state.registry.clone(),
            clock: Arc::clone(&state.clock),
            settings: Arc::clone(&state.settings),
            endpoints: Arc::new(action::all(document)),
            views,
        }
    }
}

/// Notes what changes something or shows a secret.
pub(crate) async fn record(
    State(audit): State<Audit>,
    path: MatchedPath,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let endpoint = audit.endpoints.get(&(request.method().clone(), path.as_str().to_owned()));
    let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.reveals || reveals(&request)) else {
        return Ok(next.run(request).await);
    };
    let mut entry = audit.entry(endpoint, &mut request).await;
    if is_refused(&request, endpoint) {
        // Nothing is read or changed for it, so that nobody waits for its row.
        let response = next.run(request).await;
        entry.status = Some(response.status().as_u16());
        entry.outcome = AuditOutcome::of_status(response.status().as_u16());
        tokio::spawn(async move {
            if let Err(error) = audit.registry.audit_append(&[entry]).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a refused request is not audited: {error}"
                );
            }
        });
        return Ok(response);
    }
    let request = if json_body::is_json(request.headers()) {
        let (request, input) = with_input(request).await?;
        entry.input = input;
        request
    } else {
        request
    };
    if matches!(*request.method(), Method::PUT | Method::PATCH | Method::DELETE) {
        entry.before = audit.view(request.uri().path()).await?;
    }
    audit.registry.audit_begin(&entry, endpoint.durable).await?;
    let (response, tenant) = TENANT
        .scope(Cell::new(None), async {
            let response = next.run(request).await;
            (response, TENANT.with(Cell::get))
        })
        .await;
    let (response, end) = end_of(response, endpoint, tenant, entry.target).await?;
    if let Err(error) = audit.registry.audit_end(entry.id, &end).await {
        // The row is there; what came of it is not known.
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the audit log does not say what came of it: {error}"
        );
    }
    Ok(response)
}

/// A request, and what it sends as it is kept.
async fn with_input(request: Request) -> Result<(Request, Option<String>), Problem> {
    let (parts, body) = request.into_parts();
    // The limit on bodies travels in the extensions, so that the whole request is needed to read one.
    let body = json_body::read(Request::from_parts(parts.clone(), body), &()).await?;
    let input = serde_json::from_slice(&body).ok().map(|body| redact::kept(&body));
    Ok((Request::from_parts(parts, Body::from(body)), input))
}

fn reveals(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "reveal" && value != "false")
}

/// Whether the endpoint will refuse the caller for want of a scope.
fn is_refused(request: &Request, endpoint: &Endpoint) -> bool {
    let Some(caller) = request.extensions().get::<Caller>() else { return false };
    let has = |scope: Scope| caller.scopes().contains(&scope);
    !endpoint.scope.is_none_or(has) || (endpoint.reveals && !has(Scope::TenantsSecrets))
}

impl Audit {
    async fn entry(&self, endpoint: &Endpoint, request: &mut Request) -> AuditEntry {
        let now = self.clock.now();
        let actor = match request.extensions().get() {
            Some(caller) => Caller::actor(caller),
            None => Actor { kind: ActorKind::Visitor, id: None, name: None },
        };
        // Fails only where a segment is not UTF-8.
        let parameters = request.extract_parts::<Path<Vec<(String, String)>>>().await;
        let id = parameters.ok().and_then(|Path(mut parameters)| Some(shortened(&parameters.pop()?.1)));
        let asked = format!("{} {}", request.method(), request.uri());
        AuditEntry {
            id: AuditId::generate(now, &mut rand::rng()),
            tenant_id: None,
            at: now,
            actor,
            action: endpoint.action.clone(),
            target: Some(Target { kind: endpoint.kind.clone(), id }),
            request: Some(shortened(&asked)),
            request_id: request.extensions().get::<RequestId>().map(|id| id.as_str().to_owned()),
            address: visitor::address_of(request, &self.settings).map(|address| address.to_string()),
            outcome: AuditOutcome::Pending,
            status: None,
            input: None,
            before: None,
            after: None,
        }
    }

    /// What a GET says of a path; none where there is no such thing, or no such endpoint.
    async fn view(&self, path: &str) -> Result<Option<String>, Problem> {
        let Ok(mut request) = Request::get(path).body(Body::empty()) else { return Ok(None) };
        request.extensions_mut().insert(Caller::Key(Arc::new(reader())));
        let Ok(response) = self.views.clone().oneshot(request).await;
        if response.status() == StatusCode::SERVICE_UNAVAILABLE
            && let Some(problem) = response.extensions().get::<Problem>()
        {
            // The change would not get further.
            return Err(problem.clone());
        }
        if response.status() != StatusCode::OK {
            return Ok(None);
        }
        let body = axum::body::to_bytes(response.into_body(), LARGEST_ANSWER).await.unwrap_or_default();
        Ok(serde_json::from_slice(&body).ok().map(|view| redact::kept(&view)))
    }
}

/// Who may see everything but secrets.
fn reader() -> ApiKey {
    let mut scopes = Scope::operator();
    scopes.remove(&Scope::TenantsSecrets);
    ApiKey {
        id: ApiKeyId::from_uuid(Uuid::nil()),
        tenant_id: None,
        name: "audit".to_owned(),
        scopes,
        expires_at: None,
        created_at: chrono::DateTime::UNIX_EPOCH,
    }
}

/// What an answer says of what was done.
async fn end_of(
    response: Response,
    endpoint: &Endpoint,
    tenant: Option<TenantId>,
    target: Option<Target>,
) -> Result<(Response, AuditEnd), Refusal> {
    let status = response.status();
    let mut end = AuditEnd {
        tenant,
        target: None,
        outcome: AuditOutcome::of_status(status.as_u16()),
        status: Some(status.as_u16()),
        after: None,
    };
    if let Some(problem) = response.extensions().get::<Problem>() {
        let code = serde_json::to_value(problem).unwrap_or_default()["code"].take();
        end.after = Some(json!({ "code": code }).to_string());
        return Ok((response, end));
    }
    // What was revealed is not kept.
    if endpoint.reveals {
        return Ok((response, end));
    }
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, LARGEST_ANSWER).await.map_err(|error| Refusal::internal(&error))?;
    if let Ok(answer) = serde_json::from_slice::<Value>(&body) {
        let id = |pointer: &str| answer.pointer(pointer)?.as_str()?.parse().ok();
        end.tenant = end.tenant.or_else(|| id("/tenant/id")).or_else(|| id("/tenantId"));
        if endpoint.creates {
            let text = |name: &str| answer.pointer(name)?.as_str().map(str::to_owned);
            let names = ["/id", "/tenant/id", "/name", "/configKey", "/domain", "/version"];
            end.target =
                target.map(|target| Target { id: names.iter().find_map(|name| text(name)), ..target });
        }
        end.after = Some(redact::kept(&answer));
    }
    Ok((Response::from_parts(parts, Body::from(body)), end))
}
