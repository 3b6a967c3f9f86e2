//! `GET /api/v1/rollouts/{rollout}`

use axum::{Json, extract::State};
use tenantry_domain::ids::RolloutId;
use tenantry_registry::Registry;

use super::{answer::find, view::RolloutView};
use crate::{
    auth::{Authorized, scopes::RolloutsRead},
    input::InPath,
    refusal::Refusal,
};

/// One rollout: its waves, and which versions tenants have
#[utoipa::path(
    get, path = "/api/v1/rollouts/{rollout}", tag = "rollouts",
    params(("rollout" = Uuid, Path, description = "The rollout's id")),
    responses((status = 200, description = "The rollout", body = RolloutView)),
    security(("apiKey" = ["rollouts:read"])),
)]
pub(crate) async fn get_rollout(
    _: Authorized<RolloutsRead>,
    InPath(id): InPath<RolloutId>,
    State(registry): State<Registry>,
) -> Result<Json<RolloutView>, Refusal> {
    Ok(Json(find(&registry, id).await?))
}
