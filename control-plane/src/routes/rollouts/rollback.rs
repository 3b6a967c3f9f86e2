//! `POST /api/v1/rollouts/{rollout}/rollback`

use axum::{extract::State, response::Response};
use tenantry_domain::ids::RolloutId;
use tenantry_http::Problem;
use tenantry_registry::{Registry, RolloutControl};

use super::answer::{RolloutWorkView, answer};
use crate::{
    auth::{Authorized, scopes::RolloutsWrite},
    input::{InPath, Prefer},
    refusal::Refusal,
    use_cases::start_rollout::StartRollout,
};

/// Take all tenants back to the version that they had
///
/// By the down SQL of the versions, also after the rollout has succeeded. Those that signed up since go back too, and new ones
/// get the former version.
#[utoipa::path(
    post, path = "/api/v1/rollouts/{rollout}/rollback", tag = "rollouts",
    params(
        ("rollout" = Uuid, Path, description = "The rollout's id"),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it is done, at most N seconds later", example = "wait=10"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses(
        (status = 202, description = "It has begun", body = RolloutWorkView),
        (status = 200, description = "It was done within the wait", body = RolloutWorkView),
        (status = 409, description = "`rollout_refused`, `not_reversible` or `rollout_superseded`", body = Problem),
    ),
    security(("apiKey" = ["rollouts:write"])),
)]
pub(crate) async fn rollback_rollout(
    _: Authorized<RolloutsWrite>,
    InPath(id): InPath<RolloutId>,
    prefer: Prefer,
    State(registry): State<Registry>,
    State(start): State<StartRollout>,
) -> Result<Response, Refusal> {
    let started = start.control(id, &RolloutControl::Rollback).await?;
    answer(&registry, started, prefer).await
}
