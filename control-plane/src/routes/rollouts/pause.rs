//! `POST /api/v1/rollouts/{rollout}/pause`

use axum::{Json, extract::State};
use tenantry_domain::ids::RolloutId;
use tenantry_http::Problem;
use tenantry_registry::{Registry, RolloutControl};

use super::{answer::find, view::RolloutView};
use crate::{
    auth::{Authorized, scopes::RolloutsWrite},
    input::InPath,
    refusal::Refusal,
    use_cases::start_rollout::StartRollout,
};

/// Stop a rollout for a while
///
/// Tenants that are being migrated come to their end; no other one begins.:The rollout as it is now
#[utoipa::path(
    post, path = "/api/v1/rollouts/{rollout}/pause", tag = "rollouts",
    params(
        ("rollout" = Uuid, Path, description = "The rollout's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses(
        (status = 200, description = "The rollout as it is now", body = RolloutView),
        (status = 409, description = "`rollout_refused`, with its `rolloutState`", body = Problem),
    ),
    security(("apiKey" = ["rollouts:write"])),
)]
pub(crate) async fn pause_rollout(
    _: Authorized<RolloutsWrite>,
    InPath(id): InPath<RolloutId>,
    State(registry): State<Registry>,
    State(start): State<StartRollout>,
) -> Result<Json<RolloutView>, Refusal> {
    start.control(id, &RolloutControl::Pause).await?;
    Ok(Json(find(&registry, id).await?))
}
