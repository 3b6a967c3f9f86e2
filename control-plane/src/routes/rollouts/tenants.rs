//! `GET /api/v1/rollouts/{rollout}/tenants`

use axum::{Json, extract::State};
use tenantry_domain::{ids::RolloutId, rollout::TenantProgress};
use tenantry_registry::{Registry, RolloutTenant};

use super::view::RolloutTenantView;
use crate::{
    auth::{Authorized, scopes::RolloutsRead},
    input::{InPath, QueryParams, cursor::Listing},
    refusal::Refusal,
    vocabulary,
};

/// The tenants of a rollout, and how far each is
#[utoipa::path(
    get, path = "/api/v1/rollouts/{rollout}/tenants", tag = "rollouts",
    params(
        ("rollout" = Uuid, Path, description = "The rollout's id"),
        ("state" = Option<vocabulary::TenantProgress>, Query, description = "In this state"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Listing<RolloutTenantView>)),
    security(("apiKey" = ["rollouts:read"])),
)]
pub(crate) async fn list_rollout_tenants(
    _: Authorized<RolloutsRead>,
    InPath(id): InPath<RolloutId>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<RolloutTenantView>>, Refusal> {
    let state = query.take::<TenantProgress>("state");
    let window = query.window();
    query.finish()?;
    let page = window.by_id()?;
    registry.rollout_get(id).await?.ok_or_else(|| Refusal::not_found("rollout"))?;
    let tenants = registry.rollout_tenant_list(id, state, page).await?;
    let key = |tenant: &RolloutTenant| tenant.tenant.to_string();
    Ok(Json(Listing::of(tenants, window.size(), key, RolloutTenantView::from)))
}
