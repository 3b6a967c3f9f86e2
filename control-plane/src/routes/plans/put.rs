//! `PUT /api/v1/plans/{plan}`

use std::sync::Arc;

use axum::{Json, extract::State};
use tenantry_domain::{Clock, plan::PlanName};
use tenantry_http::Problem;
use tenantry_registry::Registry;

use super::{body::PlanBody, change::change, view::PlanView};
use crate::{
    auth::{Authorized, scopes::PlansWrite},
    catalogue::Catalogue,
    input::{InPath, JsonBody},
    refusal::Refusal,
};

/// Replace a plan
///
/// Limits, features and weight apply to its tenants at once; limits on their own sessions apply to sessions that begin
/// some seconds later. Its tier cannot change while tenants have it: their
/// data would be elsewhere than the plan says.
#[utoipa::path(
    put, path = "/api/v1/plans/{plan}", tag = "plans",
    params(("plan" = String, Path, description = "Its name", example = "premium")),
    request_body = PlanBody,
    responses(
        (status = 200, description = "The plan as it is now", body = PlanView),
        (status = 409, description = "`plan_in_use`: another tier, and tenants have it", body = Problem),
    ),
    security(("apiKey" = ["plans:write"])),
)]
pub(crate) async fn put_plan(
    _: Authorized<PlansWrite>,
    InPath(name): InPath<PlanName>,
    State(registry): State<Registry>,
    State(catalogue): State<Catalogue>,
    State(clock): State<Arc<dyn Clock>>,
    JsonBody(body): JsonBody<PlanBody>,
) -> Result<Json<PlanView>, Refusal> {
    let plan = body.read(Some(name.clone()))?;
    change(&registry, &catalogue, &*clock, &name, |_| plan).await
}
