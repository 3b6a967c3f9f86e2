//! `DELETE /api/v1/servers/{server}`

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tenantry_http::Problem;
use tenantry_registry::{Registry, ServerDeleteError};

use super::hibernate::require_awake;
use crate::{
    auth::{Authorized, scopes::ServersWrite},
    input::{InPath, Prefer, QueryParams, ServerRef},
    refusal::Refusal,
    routes::operations::answer::{WorkView, answer},
    use_cases::start_operation::StartOperation,
};

/// Forget a server
///
/// One that holds no tenants. One that was made from a server class is deleted at its provider too. With `lost=true` one that cannot be reached and is gone for good, with what it held: its
/// tenants are purged as far as the registry goes, and nothing is tried on the server.
#[utoipa::path(
    delete, path = "/api/v1/servers/{server}", tag = "servers",
    params(
        ("server" = String, Path, description = "Id or name", example = "eu-1"),
        ("lost" = Option<bool>, Query, description = "`true`: give it up with what it held"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it is done, at most N seconds later", example = "wait=10"),
    ),
    responses(
        (status = 204, description = "It is forgotten; nothing on it was touched"),
        (status = 202, description = "It is being given up, or deleted at its provider", body = WorkView),
        (status = 200, description = "That was done within the wait", body = WorkView),
        (status = 409, description = "`server_in_use`, `server_reachable`, `server_hibernated`, `operation_in_progress`", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
pub(crate) async fn delete_server(
    _: Authorized<ServersWrite>,
    InPath(server): InPath<ServerRef>,
    mut query: QueryParams,
    prefer: Prefer,
    State(registry): State<Registry>,
    State(start): State<StartOperation>,
) -> Result<Response, Refusal> {
    let lost = query.take("lost").unwrap_or(false);
    query.finish()?;
    let server = server.find(&registry).await?.server;
    if lost {
        require_awake(&server)?;
        if server.health.unreachable.is_none() {
            return Err(Refusal::conflict(
                "server_reachable",
                "the server can be reached; only one that is lost is given up with what it held. If it is gone, that shows in its health within a minute",
            ));
        }
        tracing::warn!(server.name = %server.name, "server {} is given up with what it held", server.name);
        let started = start.remove_lost_server(&server).await?;
        return answer(&registry, started, prefer, StatusCode::OK).await;
    }
    if server.class.is_some() {
        if server.tenants > 0 {
            return Err(ServerDeleteError::InUse.into());
        }
        let started = start.delete_server(&server).await?;
        return answer(&registry, started, prefer, StatusCode::OK).await;
    }
    registry.server_delete(&server.name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl From<ServerDeleteError> for Refusal {
    fn from(error: ServerDeleteError) -> Self {
        match error {
            ServerDeleteError::NotFound => Self::not_found("server"),
            ServerDeleteError::InUse => Self::conflict(
                "server_in_use",
                "the server holds tenants; move or delete them first, or give it up with `lost=true` if it is gone",
            ),
            ServerDeleteError::Registry(error) => error.into(),
        }
    }
}
