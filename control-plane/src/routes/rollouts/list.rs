//! `GET /api/v1/rollouts`

use axum::{Json, extract::State};
use futures::future::try_join_all;
use tenantry_domain::{app::AppName, rollout::RolloutState};
use tenantry_registry::Registry;

use super::view::RolloutView;
use crate::{
    auth::{Authorized, scopes::RolloutsRead},
    input::{QueryParams, cursor::Listing},
    refusal::Refusal,
    vocabulary,
};

/// Rollouts, newest first
#[utoipa::path(
    get, path = "/api/v1/rollouts", tag = "rollouts",
    params(
        ("app" = Option<String>, Query, description = "Of this app"),
        ("state" = Option<vocabulary::RolloutState>, Query, description = "In this state"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Listing<RolloutView>)),
    security(("apiKey" = ["rollouts:read"])),
)]
pub(crate) async fn list_rollouts(
    _: Authorized<RolloutsRead>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<RolloutView>>, Refusal> {
    let app = query.take::<AppName>("app");
    let state = query.take::<RolloutState>("state");
    let window = query.window();
    query.finish()?;
    let rollouts = registry.rollout_list(app.as_ref(), state, window.by_id()?).await?;
    let page = Listing::of(rollouts, window.size(), |rollout| rollout.id.to_string(), |rollout| rollout);
    let views = page.items.into_iter().map(|rollout| RolloutView::of(&registry, rollout));
    Ok(Json(Listing { items: try_join_all(views).await?, next_cursor: page.next_cursor }))
}
