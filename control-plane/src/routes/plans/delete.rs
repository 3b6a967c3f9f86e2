//! `DELETE /api/v1/plans/{plan}`

use axum::{extract::State, http::StatusCode};
use tenantry_domain::plan::PlanName;
use tenantry_http::Problem;
use tenantry_registry::{PlanDeleteError, Registry};

use crate::{
    auth::{Authorized, scopes::PlansWrite},
    catalogue::Catalogue,
    input::InPath,
    refusal::Refusal,
};

/// Delete a plan that no tenant has or had
#[utoipa::path(
    delete, path = "/api/v1/plans/{plan}", tag = "plans",
    params(("plan" = String, Path, description = "Its name", example = "starter")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 409, description = "`plan_in_use`", body = Problem),
    ),
    security(("apiKey" = ["plans:write"])),
)]
pub(crate) async fn delete_plan(
    _: Authorized<PlansWrite>,
    InPath(name): InPath<PlanName>,
    State(registry): State<Registry>,
    State(catalogue): State<Catalogue>,
) -> Result<StatusCode, Refusal> {
    registry.plan_delete(&name).await?;
    catalogue.forget_plan(&name);
    Ok(StatusCode::NO_CONTENT)
}

impl From<PlanDeleteError> for Refusal {
    fn from(error: PlanDeleteError) -> Self {
        match error {
            PlanDeleteError::NotFound => Self::not_found("plan"),
            PlanDeleteError::InUse => Self::conflict(
                "plan_in_use",
                "tenants have this plan, or had it: a purged tenant's record keeps it too",
            ),
            PlanDeleteError::Registry(error) => error.into(),
        }
    }
}
