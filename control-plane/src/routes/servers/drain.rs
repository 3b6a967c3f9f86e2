//! `POST /api/v1/servers/{server}/drain`

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tenantry_domain::{
    plan::Tier,
    server::{Server, ServerState},
};
use tenantry_http::Problem;
use tenantry_registry::{Registry, RegistryError};
use utoipa::ToSchema;

use super::hibernate::require_awake;
use crate::{
    auth::{Authorized, scopes::ServersWrite},
    claim::Claim,
    input::{Fields, InPath, JsonBody, Prefer, QueryParams, ServerRef},
    refusal::Refusal,
    routes::operations::answer::{WorkView, answer},
    use_cases::start_operation::StartOperation,
    vocabulary,
};

/// How tenants are moved off servers.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "atOnce": 4 }))]
pub(crate) struct DrainBody {
    /// Moves at a time, 1 to 64; 4 when absent.
    #[schema(minimum = 1, maximum = 64)]
    at_once: Option<i64>,
}

impl DrainBody {
    pub(super) fn at_once(&self) -> Result<u16, Refusal> {
        let mut fields = Fields::default();
        let at_once = u16::try_from(self.at_once.unwrap_or(4)).unwrap_or(0);
        fields.check("atOnce", (1..=64).contains(&at_once), "must be a number from 1 to 64");
        fields.finish()?;
        Ok(at_once)
    }
}

/// What would be moved.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DrainPlanView {
    /// Whether the other servers have room for all.
    fits: bool,
    /// By tier.
    items: Vec<TierToMoveView>,
}

/// Tenants of a tier that would be moved.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TierToMoveView {
    /// The tier.
    #[schema(value_type = vocabulary::Tier)]
    tier: &'static str,
    /// Tenants that would go.
    tenants: u32,
    /// Tenants that other servers may still take.
    room: u64,
}

/// Move all tenants off a server
///
/// Each is moved while it is served, by an operation of its own, to the server with most room. The server takes no new
/// tenants from now on. What cannot be moved is named when the operation ends, and stays; `retry` tries it again.
#[utoipa::path(
    post, path = "/api/v1/servers/{server}/drain", tag = "servers",
    params(
        ("server" = String, Path, description = "Id or name", example = "eu-1"),
        ("dryRun" = Option<bool>, Query, description = "`true`: only say what would be moved"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it is done, at most N seconds later", example = "wait=10"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = DrainBody,
    responses(
        (status = 202, description = "It is queued", body = WorkView),
        (status = 200, description = "It was done within the wait; or what would be moved", body = DrainPlanView),
        (status = 409, description = "`server_lost`, `server_hibernated` or `operation_in_progress`", body = Problem),
        (status = 422, description = "Within the wait, `operation_failed`: some tenants cannot be moved", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
#[expect(clippy::too_many_arguments, reason = "what the request has")]
pub(crate) async fn drain_server(
    _: Authorized<ServersWrite>,
    InPath(server): InPath<ServerRef>,
    mut query: QueryParams,
    prefer: Prefer,
    claim: Claim,
    State(registry): State<Registry>,
    State(start): State<StartOperation>,
    JsonBody(body): JsonBody<DrainBody>,
) -> Result<Response, Refusal> {
    let dry_run = query.take("dryRun").unwrap_or(false);
    query.finish()?;
    let at_once = body.at_once()?;
    let server = server.find(&registry).await?.server;
    if server.state == ServerState::Lost {
        return Err(Refusal::conflict("server_lost", "the server is given up; nothing can be moved off it"));
    }
    require_awake(&server)?;
    if dry_run {
        return Ok(Json(plan(&registry, &server).await?).into_response());
    }
    let started = start.drain_server(&server, None, at_once, claim).await?;
    answer(&registry, started, prefer, StatusCode::OK).await
}

async fn plan(registry: &Registry, server: &Server) -> Result<DrainPlanView, RegistryError> {
    let others = registry.server_list().await?;
    let room = |tier: Tier| {
        others
            .iter()
            .filter(|other| {
                other.id != server.id
                    && other.state == ServerState::Active
                    && other.health.unreachable.is_none()
                    && other.tiers.contains(&tier)
            })
            .map(|other| u64::from(other.capacity.saturating_sub(other.tenants)))
            .sum()
    };
    let items: Vec<TierToMoveView> = registry
        .server_tiers(server.id)
        .await?
        .into_iter()
        .map(|(tier, tenants)| TierToMoveView { tier: tier.as_str(), tenants, room: room(tier) })
        .collect();
    // For tenants with a server of their own another one is made.
    let instance = Tier::Instance.as_str();
    let fits = items.iter().all(|tier| tier.tier == instance || u64::from(tier.tenants) <= tier.room);
    Ok(DrainPlanView { fits, items })
}
