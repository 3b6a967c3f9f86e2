//! `POST /api/v1/rollouts/{rollout}/resume`

use axum::{Json, extract::State};
use serde::Deserialize;
use tenantry_domain::{app::AppVersion, ids::RolloutId};
use tenantry_http::Problem;
use tenantry_registry::{Registry, RolloutControl};
use utoipa::ToSchema;

use super::{answer::find, view::RolloutView};
use crate::{
    auth::{Authorized, scopes::RolloutsWrite},
    input::{InPath, JsonBody},
    refusal::Refusal,
    use_cases::start_rollout::StartRollout,
};

/// How a rollout goes on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ResumeRolloutBody {
    /// The version that all tenants are to have from now on, also those that have the former one; the same when absent.
    #[schema(value_type = Option<i64>)]
    target_version: Option<AppVersion>,
}

/// Go on with a rollout that is paused or halted
///
/// Tenants that failed are tried again.
#[utoipa::path(
    post, path = "/api/v1/rollouts/{rollout}/resume", tag = "rollouts",
    params(
        ("rollout" = Uuid, Path, description = "The rollout's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = ResumeRolloutBody,
    responses(
        (status = 200, description = "The rollout as it is now", body = RolloutView),
        (status = 409, description = "`rollout_refused`, with its `rolloutState`; `contract_too_early`", body = Problem),
        (status = 422, description = "`unknown_version`, or `version_unsafe` with its `findings`", body = Problem),
    ),
    security(("apiKey" = ["rollouts:write"])),
)]
pub(crate) async fn resume_rollout(
    _: Authorized<RolloutsWrite>,
    InPath(id): InPath<RolloutId>,
    State(registry): State<Registry>,
    State(start): State<StartRollout>,
    JsonBody(body): JsonBody<ResumeRolloutBody>,
) -> Result<Json<RolloutView>, Refusal> {
    start.control(id, &RolloutControl::Resume(body.target_version)).await?;
    Ok(Json(find(&registry, id).await?))
}
