//! `GET /api/v1/tenants/{tenant}/move/undo`

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tenantry_http::Problem;
use tenantry_registry::Registry;
use utoipa::ToSchema;

use super::transition::OfTenant;
use crate::{
    auth::{Authorized, scopes::TenantsRead},
    input::{InPath, TenantRef},
    refusal::Refusal,
    use_cases::move_tenant::MoveTenant,
    vocabulary,
};

/// Where a tenant goes back to when its last move is undone.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WayBackView {
    /// How its data will be isolated.
    #[schema(value_type = vocabulary::Tier)]
    tier: &'static str,
    /// The server; null: another one of its own.
    server: Option<String>,
    /// The plan that it will have.
    #[schema(example = "basic")]
    plan: String,
    /// Until when the move can be undone.
    until: DateTime<Utc>,
    /// What it has left is kept up to date: going back copies nothing.
    kept: bool,
}

/// Show whether a tenant's last move can be undone
///
/// Where to, until when, and whether it copies: what was kept up to date takes a moment to go back to.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/move/undo", tag = "tenants",
    params(OfTenant),
    responses(
        (status = 200, description = "It can", body = WayBackView),
        (status = 409, description = "`nothing_to_undo`", body = Problem),
    ),
    security(("apiKey" = ["tenants:read"])),
)]
pub(crate) async fn way_back(
    _: Authorized<TenantsRead>,
    InPath(tenant): InPath<TenantRef>,
    State(registry): State<Registry>,
    State(moves): State<MoveTenant>,
) -> Result<Json<WayBackView>, Refusal> {
    let tenant = tenant.find_kept(&registry).await?;
    let back = moves.way_back(&tenant).await?;
    Ok(Json(WayBackView {
        tier: back.tier.as_str(),
        server: back.server.map(|name| name.to_string()),
        plan: back.plan.to_string(),
        until: back.until,
        kept: back.kept,
    }))
}
