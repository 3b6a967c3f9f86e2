//! `POST /api/v1/servers/{server}/wake`

use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_domain::server::ServerState;
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

/// Wake a server
///
/// Its provider starts it again. It is awake once it was found to be usable; what waited for it goes on then. Its tenant stays
/// suspended until it is resumed.
#[utoipa::path(
    post, path = "/api/v1/servers/{server}/wake", tag = "servers",
    params(
        ("server" = String, Path, description = "Id or name", example = "acme-1f3a"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it is done, at most N seconds later", example = "wait=10"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses(
        (status = 202, description = "It is queued", body = WorkView),
        (status = 200, description = "It was done within the wait", body = WorkView),
        (status = 409, description = "`server_not_hibernated` or `operation_in_progress`", body = Problem),
        (status = 422, description = "Within the wait, `operation_failed`", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
pub(crate) async fn wake_server(
    _: Authorized<ServersWrite>,
    InPath(server): InPath<ServerRef>,
    prefer: Prefer,
    claim: Claim,
    State(registry): State<Registry>,
    State(start): State<StartOperation>,
) -> Result<Response, Refusal> {
    let server = server.find(&registry).await?.server;
    if server.state != ServerState::Hibernated {
        let reason = format!("the server is {}; there is nothing to wake", server.state);
        return Err(Refusal::conflict("server_not_hibernated", reason));
    }
    let started = start.wake_server(&server, claim).await?;
    answer(&registry, started, prefer, StatusCode::OK).await
}
