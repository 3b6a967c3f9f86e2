//! `GET /api/v1/plans`

use axum::{Json, extract::State};
use tenantry_domain::plan::Plan;
use tenantry_registry::Registry;

use super::view::PlanView;
use crate::{
    auth::{Authorized, scopes::PlansRead},
    input::{QueryParams, cursor::Listing},
    refusal::Refusal,
};

/// Plans, by name
#[utoipa::path(
    get, path = "/api/v1/plans", tag = "plans",
    params(
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Listing<PlanView>)),
    security(("apiKey" = ["plans:read"])),
)]
pub(crate) async fn list_plans(
    _: Authorized<PlansRead>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<PlanView>>, Refusal> {
    let window = query.window();
    query.finish()?;
    let mut plans = registry.plan_list().await?;
    let name = |plan: &Plan| plan.name.to_string();
    // The registry's collation need not be ours.
    plans.sort_by_key(name);
    Ok(Json(Listing::of_all(plans, window.after.as_ref(), window.size(), name, PlanView::from)))
}
