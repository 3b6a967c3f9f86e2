//! `GET /api/v1/tenants/{tenant}/config`

use axum::{Json, extract::State, http::header, response::IntoResponse};
use tenantry_domain::api_key::Scope;
use tenantry_registry::Registry;

use super::view::{self, ConfigView};
use crate::{
    auth::{Authorized, require, scopes::TenantsRead},
    input::{InPath, QueryParams, TenantRef, cursor::Listing},
    refusal::Refusal,
    vault::Vault,
};

/// A tenant's configuration, by key
///
/// What the tenant has set, and the defaults of its plan for all else.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/config", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("reveal" = Option<bool>, Query, description = "Show encrypted values; needs the scope `tenants:secrets`"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Listing<ConfigView>)),
    security(("apiKey" = ["tenants:read"])),
)]
pub(crate) async fn list_config(
    caller: Authorized<TenantsRead>,
    InPath(tenant): InPath<TenantRef>,
    State(registry): State<Registry>,
    State(vault): State<Vault>,
    mut query: QueryParams,
) -> Result<impl IntoResponse, Refusal> {
    let window = query.window();
    let reveal = query.take("reveal").unwrap_or(false);
    query.finish()?;
    if reveal {
        require(caller.caller(), Scope::TenantsSecrets)?;
    }
    let tenant = tenant.find(&registry).await?.tenant;
    if reveal {
        tracing::info!(
            tenant.id = %tenant.id, caller = %caller.caller(),
            "the encrypted configuration of tenant {} was revealed", tenant.id
        );
    }
    let all = view::all(&registry, &tenant, reveal.then_some(&vault)).await?;
    let key = |value: &ConfigView| value.config_key.clone();
    let page = Listing::of_all(all, window.after.as_ref(), window.size(), key, |value| value);
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(page)))
}
