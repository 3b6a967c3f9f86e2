//! `POST /api/v1/tenants/{tenant}/move`

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use tenantry_domain::plan::Tier;
use tenantry_http::Problem;
use tenantry_registry::Registry;
use utoipa::ToSchema;

use super::transition::{OfTenant, WorkHeaders};
use crate::{
    auth::{Authorized, scopes::TenantsWrite},
    claim::Claim,
    input::{InPath, JsonBody, Prefer, ServerRef, TenantRef},
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
            E::Start(error) => error.into(),
            E::Registry(error) => error.into(),
        }
    }
}

/// Move a tenant
///
/// It is served throughout: its writes wait for a moment. What takes more than the workers' `--move-at-once` is copied before,
/// while it is written to; for that the server needs `wal_level = logical` and a free replication slot, and the tables have
/// to be logged. Otherwise ask for it `offline`: writes wait for as long as it takes.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/move", tag = "tenants",
    params(OfTenant, WorkHeaders),
    request_body = MoveTenantBody,
    responses(
        (status = 202, description = "It is queued", body = WorkView),
        (status = 200, description = "It was done within the wait", body = WorkView),
        (status = 409, description = "`operation_refused`, `operation_in_progress`, `already_there` or `not_placed`", body = Problem),
        (status = 422, description = "`unknown_server`; or, within the wait, `operation_failed`", body = Problem),
    ),
    security(("apiKey" = ["tenants:write"])),
)]
pub(crate) async fn move_tenant(
    _: Authorized<TenantsWrite>,
    InPath(tenant): InPath<TenantRef>,
    prefer: Prefer,
    claim: Claim,
    State(registry): State<Registry>,
    State(moves): State<MoveTenant>,
    JsonBody(body): JsonBody<MoveTenantBody>,
) -> Result<Response, Refusal> {
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
    let started = moves.to(tenant, target, claim).await?;
    answer(&registry, started, prefer, StatusCode::OK).await
}
