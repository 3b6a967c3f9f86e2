//! `POST /api/v1/servers/rebalance`

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tenantry_http::Problem;
use tenantry_registry::{OperationStartError, Registry};
use utoipa::ToSchema;

use super::drain::DrainBody;
use crate::{
    auth::{Authorized, scopes::ServersWrite},
    claim::Claim,
    input::{JsonBody, QueryParams},
    refusal::Refusal,
    routes::operations::view::OperationView,
    use_cases::{rebalance::overfull, start_operation::StartOperation},
};

/// Servers that hold more than their share.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RebalanceView {
    /// Each with what is to go; none: nothing needs to be moved.
    items: Vec<OverfullView>,
}

/// A server that holds more than its share.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OverfullView {
    /// Its name.
    #[schema(example = "eu-1")]
    server: String,
    /// Tenants that it holds.
    tenants: u32,
    /// Tenants that are to stay.
    keep: u32,
    /// The operation that moves the others; null in a dry run, and where another one is at work with the server.
    operation: Option<OperationView>,
}

/// Spread tenants over the servers
///
/// By their capacity: of each server that holds a tenth more than its share some are moved to those with most room, while they
/// are served. Servers that take no tenants or cannot be reached are left alone. Begin with `dryRun=true`.
#[utoipa::path(
    post, path = "/api/v1/servers/rebalance", tag = "servers",
    params(
        ("dryRun" = Option<bool>, Query, description = "`true`: only say what would be moved"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = DrainBody,
    responses(
        (status = 202, description = "An operation is queued for each of them", body = RebalanceView),
        (status = 200, description = "What would be moved; or there is nothing to move", body = RebalanceView),
        (status = 400, description = "`invalid_field`", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
pub(crate) async fn rebalance_servers(
    _: Authorized<ServersWrite>,
    mut query: QueryParams,
    State(registry): State<Registry>,
    State(start): State<StartOperation>,
    JsonBody(body): JsonBody<DrainBody>,
) -> Result<Response, Refusal> {
    let dry_run = query.take("dryRun").unwrap_or(false);
    query.finish()?;
    let at_once = body.at_once()?;
    let mut items = Vec::new();
    for found in overfull(registry.server_list().await?) {
        let operation = if dry_run {
            None
        } else {
            match start.drain_server(&found.server, Some(found.keep), at_once, Claim::default()).await {
                Ok(started) => Some(started.operation.into()),
                Err(OperationStartError::Busy(_) | OperationStartError::UnknownSubject(_)) => None,
                Err(error) => return Err(error.into()),
            }
        };
        items.push(OverfullView {
            server: found.server.name.to_string(),
            tenants: found.server.tenants,
            keep: found.keep,
            operation,
        });
    }
    let status =
        if items.iter().any(|item| item.operation.is_some()) { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(RebalanceView { items })).into_response())
}
