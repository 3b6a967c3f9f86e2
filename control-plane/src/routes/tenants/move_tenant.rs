//! `POST /api/v1/tenants/{tenant}/move`

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tenantry_domain::plan::Tier;
use tenantry_http::Problem;
use tenantry_registry::Registry;
use utoipa::ToSchema;

use super::transition::{OfTenant, WorkHeaders};
use crate::{
    auth::{Authorized, scopes::TenantsWrite},
    claim::Claim,
    input::{InPath, JsonBody, Prefer, QueryParams, ServerRef, TenantRef},
    refusal::Refusal,
    routes::operations::answer::{WorkView, answer},
    use_cases::move_tenant::{MoveTenant, MoveTenantError, Target},
    vocabulary,
};

/// Where to. One of the two at least.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "tier": "database" }))]
pub(crate) struct MoveTenantBody {
    /// How its data is to be isolated; left out: as it is.
    #[schema(value_type = Option<vocabulary::Tier>)]
    tier: Option<Tier>,
    /// Id or name of the server that it goes to; left out: the one with most room, and another one where the tier stays.
    server: Option<String>,
    /// Writes wait for as long as it takes, however much there is to copy.
    #[serde(default)]
    offline: bool,
}

impl From<MoveTenantError> for Refusal {
    fn from(error: MoveTenantError) -> Self {
        use MoveTenantError as E;
        match error {
            E::NotPlaced => Self::conflict("not_placed", "the tenant has no data yet that could be moved"),
            E::IsThere => Self::conflict("already_there", "the tenant is where it would go to"),
            E::UnknownPlan => Self::unprocessable(
                "unknown_plan",
                "targetPlan",
                "there is no such plan; see GET /api/v1/plans",
            ),
            E::NothingToUndo => Self::conflict(
                "nothing_to_undo",
                "the tenant was not moved within the time in which a move can be undone; move it where it is to be",
            ),
            E::Unanswered(unanswered) => unanswered.into(),
            E::Start(error) => error.into(),
            E::Registry(error) => error.into(),
        }
    }
}

/// What a move would meet.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MovePreflightView {
    /// Whether nothing stands in the way.
    possible: bool,
    /// What does, each as a sentence that says what to do.
    obstacles: Vec<String>,
    /// How its data would be isolated.
    #[schema(value_type = vocabulary::Tier)]
    tier: &'static str,
    /// The server that it would go to as things are; null: one that is made for it, or there is none.
    server: Option<String>,
    /// It would be copied while it is written to; else its writes wait while it is copied.
    live: bool,
    /// Bytes that its tables take.
    bytes: u64,
    /// Its tables.
    tables: u64,
    /// About how long it would take, by the moves of late.
    expected_seconds: u64,
}

/// Move a tenant
///
/// It is served throughout: its writes wait for a moment. What takes more than the workers' `--move-at-once` is copied before,
/// while it is written to; for that the server needs `wal_level = logical` and a free replication slot, and the tables have
/// to be logged. Otherwise ask for it `offline`: writes wait for as long as it takes.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/move", tag = "tenants",
    params(
        OfTenant,
        ("dryRun" = Option<bool>, Query, description = "`true`: only say what a move would meet, and how long it would take"),
        WorkHeaders,
    ),
    request_body = MoveTenantBody,
    responses(
        (status = 202, description = "It is queued", body = WorkView),
        (status = 200, description = "It was done within the wait; or what it would meet", body = MovePreflightView),
        (status = 409, description = "`operation_refused`, `operation_in_progress`, `already_there` or `not_placed`", body = Problem),
        (status = 422, description = "`unknown_server`; or, within the wait, `operation_failed`", body = Problem),
        (status = 503, description = "For a dry run, `no_worker` or `inquiry_failed`", body = Problem),
    ),
    security(("apiKey" = ["tenants:write"])),
)]
#[expect(clippy::too_many_arguments, reason = "what the request has")]
pub(crate) async fn move_tenant(
    _: Authorized<TenantsWrite>,
    InPath(tenant): InPath<TenantRef>,
    mut query: QueryParams,
    prefer: Prefer,
    claim: Claim,
    State(registry): State<Registry>,
    State(moves): State<MoveTenant>,
    JsonBody(body): JsonBody<MoveTenantBody>,
) -> Result<Response, Refusal> {
    let dry_run = query.take("dryRun").unwrap_or(false);
    query.finish()?;
    if body.tier.is_none() && body.server.is_none() {
        return Err(Problem::invalid("tier", "say a tier or a server to move to").into());
    }
    let tenant = tenant.find_kept(&registry).await?;
    let server = match &body.server {
        Some(text) => {
            let unknown = || {
                Refusal::unprocessable(
                    "unknown_server",
                    "server",
                    "there is no such server; see GET /api/v1/servers",
                )
            };
            let server = ServerRef::parse(text).ok_or_else(unknown)?;
            Some(server.find(&registry).await.map_err(|_| unknown())?.server.id)
        }
        None => None,
    };
    let target = Target { tier: body.tier, server, offline: body.offline };
    if dry_run {
        let (tier, found) = moves.preflight(&tenant, target).await?;
        return Ok(Json(MovePreflightView {
            possible: found.obstacles.is_empty(),
            obstacles: found.obstacles,
            tier: tier.as_str(),
            server: found.server.map(|name| name.to_string()),
            live: found.live,
            bytes: found.bytes,
            tables: found.tables,
            expected_seconds: found.seconds,
        })
        .into_response());
    }
    let started = moves.to(tenant, target, claim).await?;
    answer(&registry, started, prefer, StatusCode::OK).await
}
