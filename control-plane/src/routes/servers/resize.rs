//! `POST /api/v1/servers/{server}/resize`

use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_domain::server::ServerState;
use tenantry_http::Problem;
use tenantry_registry::Registry;

use super::hibernate::require_awake;
use crate::{
    auth::{Authorized, scopes::ServersWrite},
    claim::Claim,
    input::{InPath, Prefer, ServerRef},
    refusal::Refusal,
    routes::operations::answer::{WorkView, answer},
    use_cases::start_operation::StartOperation,
};

/// Change a server into what its class is now
///
/// Its provider changes size and settings, not PostgreSQL's major version, nor what the registry knows of the server (capacity,
/// tiers); the disk never becomes smaller. A server that is changed may be away for some minutes:
/// where it has standbys, as long as one of them needs to take over. Its tenants are served again by themselves.
#[utoipa::path(
    post, path = "/api/v1/servers/{server}/resize", tag = "servers",
    params(
        ("server" = String, Path, description = "Id or name", example = "standard-1f3a"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it is done, at most N seconds later", example = "wait=10"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses(
        (status = 202, description = "It is queued", body = WorkView),
        (status = 200, description = "It was done within the wait", body = WorkView),
        (status = 409, description = "`server_has_no_class`, `server_lost`, `server_hibernated` or `operation_in_progress`", body = Problem),
        (status = 422, description = "Within the wait, `operation_failed`", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
pub(crate) async fn resize_server(
    _: Authorized<ServersWrite>,
    InPath(server): InPath<ServerRef>,
    prefer: Prefer,
    claim: Claim,
    State(registry): State<Registry>,
    State(start): State<StartOperation>,
) -> Result<Response, Refusal> {
    let server = server.find(&registry).await?.server;
    if server.state == ServerState::Lost {
        return Err(Refusal::conflict("server_lost", "the server is given up; nobody changes it any more"));
    }
    require_awake(&server)?;
    let Some(class) = server.class.clone() else {
        let reason = "the server was not made from a server class; change it where it was made";
        return Err(Refusal::conflict("server_has_no_class", reason));
    };
    let started = start.resize_server(&server, class, claim).await?;
    answer(&registry, started, prefer, StatusCode::OK).await
}
