//! `POST /api/v1/servers/{server}/hibernate`

use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_domain::server::{Server, ServerState};
use tenantry_http::Problem;
use tenantry_registry::Registry;

use crate::{
    auth::{Authorized, scopes::ServersWrite},
    claim::Claim,
    input::{InPath, Prefer, ServerRef},
    refusal::Refusal,
    routes::operations::answer::{WorkView, answer},
    use_cases::start_operation::StartOperation,
};

/// Hibernate a server
///
/// Its provider stops it and keeps what it holds, until it is woken. Only a server that was made for one tenant, by provider
/// kubernetes, while that tenant is suspended or deleted. What works on it waits until it is woken; purging the tenant does not.
#[utoipa::path(
    post, path = "/api/v1/servers/{server}/hibernate", tag = "servers",
    params(
        ("server" = String, Path, description = "Id or name", example = "acme-1f3a"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it is done, at most N seconds later", example = "wait=10"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses(
        (status = 202, description = "It is queued", body = WorkView),
        (status = 200, description = "It was done within the wait", body = WorkView),
        (status = 409, description = "`server_not_owned`, `server_cannot_hibernate`, `server_hibernated`, `server_not_active`, `tenant_not_suspended`, `tenant_busy` or `operation_in_progress`", body = Problem),
        (status = 422, description = "Within the wait, `operation_failed`", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
pub(crate) async fn hibernate_server(
    _: Authorized<ServersWrite>,
    InPath(server): InPath<ServerRef>,
    prefer: Prefer,
    claim: Claim,
    State(registry): State<Registry>,
    State(start): State<StartOperation>,
) -> Result<Response, Refusal> {
    let server = server.find(&registry).await?.server;
    require_suitable(&server)?;
    // The operation looks once more, when new work on it waits.
    if let Some(tenant) = registry.server_awake_tenant(server.id).await? {
        let (code, reason) = if tenant.at_work {
            ("tenant_busy", "is not finished; wait for it, or end it")
        } else {
            ("tenant_not_suspended", "is neither suspended nor deleted; suspend it first")
        };
        let what = if tenant.at_work { "an operation or rollout on tenant" } else { "tenant" };
        return Err(Refusal::conflict(code, format!("{what} {} {reason}", tenant.slug)));
    }
    let started = start.hibernate_server(&server, claim).await?;
    answer(&registry, started, prefer, StatusCode::OK).await
}

fn require_suitable(server: &Server) -> Result<(), Refusal> {
    require_awake(server)?;
    if !server.provider.can_hibernate() {
        let reason = format!("provider {} cannot hibernate servers; this one runs on", server.provider);
        return Err(Refusal::conflict("server_cannot_hibernate", reason));
    }
    if server.owner.is_none() {
        let reason = "only a server that was made for one tenant is hibernated; others hold tenants that may be served";
        return Err(Refusal::conflict("server_not_owned", reason));
    }
    if server.state != ServerState::Active {
        let reason = format!("the server is {}; make it active first", server.state);
        return Err(Refusal::conflict("server_not_active", reason));
    }
    Ok(())
}

/// Refuses what nobody can do to a server that is hibernated.
pub(super) fn require_awake(server: &Server) -> Result<(), Refusal> {
    if server.state == ServerState::Hibernated {
        let reason = "the server is hibernated; POST /api/v1/servers/{server}/wake wakes it";
        return Err(Refusal::conflict("server_hibernated", reason));
    }
    Ok(())
}
