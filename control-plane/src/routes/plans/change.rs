//! What replacing and changing a plan share.

use axum::Json;
use tenantry_domain::{
    Clock,
    plan::{Plan, PlanName},
};
use tenantry_registry::Registry;

use super::{body::check_whole, view::PlanView};
use crate::{catalogue::Catalogue, refusal::Refusal};

/// Changes a plan under its lock. Its tier cannot change while tenants have it.
pub(super) async fn change(
    registry: &Registry,
    catalogue: &Catalogue,
    clock: &dyn Clock,
    name: &PlanName,
    to: impl FnOnce(Plan) -> Plan,
) -> Result<Json<PlanView>, Refusal> {
    let classes = registry.server_class_list().await?;
    let changed = registry.plan_change(name, clock.now(), |before, in_use| {
        let tier = before.tier;
        let plan = to(before);
        check_whole(&classes, &plan)?;
        if in_use && plan.tier != tier {
            return Err(Refusal::conflict(
                "plan_in_use",
                "tenants have this plan, so its tier cannot change; make another plan",
            ));
        }
        Ok(plan)
    });
    let plan = changed.await?.ok_or_else(|| Refusal::not_found("plan"))?;
    catalogue.forget_plan(name);
    Ok(Json(plan.into()))
}
