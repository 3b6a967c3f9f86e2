//! `POST /api/v1/tenants/{tenant}/migrate`

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tenantry_domain::plan::PlanName;
use tenantry_http::Problem;
use tenantry_registry::Registry;
use utoipa::ToSchema;

use super::{
    transition::{OfTenant, WorkHeaders},
    view::TenantView,
};
use crate::{
    auth::{Authorized, scopes::TenantsWrite},
    claim::Claim,
    input::{Fields, InPath, JsonBody, Prefer, TenantRef},
    refusal::Refusal,
    routes::operations::answer::{WorkView, answer},
    use_cases::move_tenant::MoveTenant,
};

/// How a plan is changed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MigrationOptions {
    /// Writes may wait for as long as it takes, where the new plan's tier is another.
    #[serde(default)]
    downtime: bool,
}

/// What it is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "targetPlan": "premium", "migrationOptions": { "downtime": false } }))]
pub(crate) struct MigrateTenantBody {
    /// The plan that the tenant is to have.
    target_plan: String,
    /// How.
    #[serde(default)]
    migration_options: MigrationOptions,
}

/// A change that needed no move.
#[derive(Serialize)]
struct AtOnce {
    tenant: TenantView,
    /// None was started.
    operation: (),
}

/// Change a tenant's plan
///
/// Where the plan's tier is another, the tenant is moved while it is served; it has the new plan's features and limits
/// from the moment on in which it is served there. Within a tier the plan changes at once, and `operation` is null.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/migrate", tag = "tenants",
    params(OfTenant, WorkHeaders),
    request_body = MigrateTenantBody,
    responses(
        (status = 202, description = "It is being moved", body = WorkView),
        (status = 200, description = "It was done within the wait, or at once", body = WorkView),
        (status = 409, description = "`operation_refused`, `operation_in_progress` or `not_placed`", body = Problem),
        (status = 422, description = "`unknown_plan`; or, within the wait, `operation_failed`", body = Problem),
    ),
    security(("apiKey" = ["tenants:write"])),
)]
pub(crate) async fn migrate_tenant(
    _: Authorized<TenantsWrite>,
    InPath(tenant): InPath<TenantRef>,
    prefer: Prefer,
    claim: Claim,
    State(registry): State<Registry>,
    State(moves): State<MoveTenant>,
    JsonBody(body): JsonBody<MigrateTenantBody>,
) -> Result<Response, Refusal> {
    let mut fields = Fields::default();
    let plan = fields.take("targetPlan", PlanName::parse(&body.target_plan));
    fields.finish()?;
    let Some(plan) = plan else { return Err(Refusal::missing("targetPlan")) };
    let tenant = tenant.find_kept(&registry).await?;
    let id = tenant.tenant.id;
    let started = moves.change_plan(tenant, &plan, body.migration_options.downtime, claim).await?;
    if let Some(started) = started {
        return answer(&registry, started, prefer, StatusCode::OK).await;
    }
    let tenant = TenantRef::Id(id).find(&registry).await?;
    Ok(Json(AtOnce { tenant: tenant.into(), operation: () }).into_response())
}
