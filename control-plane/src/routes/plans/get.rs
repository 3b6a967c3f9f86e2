//! `GET /api/v1/plans/{plan}`

use axum::{Json, extract::State};
use tenantry_domain::plan::PlanName;
use tenantry_registry::Registry;

use super::view::PlanView;
use crate::{
    auth::{Authorized, scopes::PlansRead},
    input::InPath,
    refusal::Refusal,
};

/// One plan
#[utoipa::path(
    get, path = "/api/v1/plans/{plan}", tag = "plans",
    params(("plan" = String, Path, description = "Its name", example = "premium")),
    responses((status = 200, description = "The plan", body = PlanView)),
    security(("apiKey" = ["plans:read"])),
)]
pub(crate) async fn get_plan(
    _: Authorized<PlansRead>,
    InPath(name): InPath<PlanName>,
    State(registry): State<Registry>,
) -> Result<Json<PlanView>, Refusal> {
    let plan = registry.plan_get(&name).await?.ok_or_else(|| Refusal::not_found("plan"))?;
    Ok(Json(plan.into()))
}
