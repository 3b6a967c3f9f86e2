//! `POST /api/v1/rollouts/{rollout}/abort`

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

/// End a rollout where it is
///
/// Tenants that have the version keep it, the others keep theirs; new tenants go on to get the former version.
#[utoipa::path(
    post, path = "/api/v1/rollouts/{rollout}/abort", tag = "rollouts",
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
pub(crate) async fn abort_rollout(
    _: Authorized<RolloutsWrite>,
    InPath(id): InPath<RolloutId>,
    State(registry): State<Registry>,
    State(start): State<StartRollout>,
) -> Result<Json<RolloutView>, Refusal> {
    start.control(id, &RolloutControl::Abort).await?;
    Ok(Json(find(&registry, id).await?))
}
