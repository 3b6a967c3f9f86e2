//! `POST /api/v1/tenants/{tenant}/move/undo`

use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_http::Problem;
use tenantry_registry::Registry;

use super::transition::{OfTenant, WorkHeaders};
use crate::{
    auth::{Authorized, scopes::TenantsWrite},
    claim::Claim,
    input::{InPath, Prefer, TenantRef},
    refusal::Refusal,
    routes::operations::answer::{WorkView, answer},
    use_cases::move_tenant::MoveTenant,
};

/// Undo a tenant's last move
///
/// Takes the tenant back to the tier, the server and the plan that it had before, with all that was written since, while it is
/// served. Within the time that its plan had for that when it moved (`undoMovesHours`, or `--undo-moves-for`, a day). What was copied while it was written to
/// is kept up to date where it was meanwhile, and takes a moment to go back; anything else is moved back as it came. A server
/// of its own that it has left is gone; it gets another one.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/move/undo", tag = "tenants",
    params(OfTenant, WorkHeaders),
    responses(
        (status = 202, description = "It is queued", body = WorkView),
        (status = 200, description = "It was done within the wait", body = WorkView),
        (status = 409, description = "`nothing_to_undo`, `operation_refused`, `operation_in_progress` or `already_there`", body = Problem),
        (status = 422, description = "Within the wait, `operation_failed`", body = Problem),
    ),
    security(("apiKey" = ["tenants:write"])),
)]
pub(crate) async fn undo_move(
    _: Authorized<TenantsWrite>,
    InPath(tenant): InPath<TenantRef>,
    prefer: Prefer,
    claim: Claim,
    State(registry): State<Registry>,
    State(moves): State<MoveTenant>,
) -> Result<Response, Refusal> {
    let tenant = tenant.find_kept(&registry).await?;
    let started = moves.undo(tenant, claim).await?;
    answer(&registry, started, prefer, StatusCode::OK).await
}
