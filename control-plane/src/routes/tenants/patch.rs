//! `PATCH /api/v1/tenants/{tenant}`

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Map, Value};
use tenantry_domain::{Clock, plan::LimitOverrides, tenant::DisplayName};
use tenantry_http::Problem;
use tenantry_registry::{Registry, TenantChange};
use utoipa::ToSchema;

use super::{create::feature_names, view::TenantView};
use crate::{
    auth::{Authorized, scopes::TenantsWrite},
    input::{Ceiling, Fields, InPath, JsonBody, TenantRef},
    refusal::Refusal,
};

/// What is to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "name": "New Name", "features": { "biometric_auth": true }, "maxUsers": 50 }))]
pub(crate) struct PatchTenantBody {
    /// Its name for people.
    name: Option<String>,
    /// Replaces its settings.
    #[schema(value_type = Option<Object>)]
    settings: Option<Map<String, Value>>,
    /// Replaces its own feature switches.
    features: Option<BTreeMap<String, bool>>,
    /// Its own ceiling for users; null goes back to the plan's.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    max_users: Ceiling<u32>,
    /// Its own ceiling for data and files in bytes; null goes back to the plan's.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    max_storage: Ceiling<u64>,
}

impl PatchTenantBody {
    fn read(self, own: LimitOverrides) -> Result<TenantChange, Refusal> {
        let mut fields = Fields::default();
        let name = fields.take_some("name", self.name.as_deref().map(DisplayName::parse));
        if let Some(features) = &self.features {
            feature_names(&mut fields, features);
        }
        fields.finish()?;
        let limits = LimitOverrides {
            max_users: self.max_users.over(own.max_users),
            max_storage_bytes: self.max_storage.over(own.max_storage_bytes),
        };
        let limits = (limits != own).then_some(limits);
        Ok(TenantChange { name, settings: self.settings, features: self.features, limits })
    }
}

/// Change a tenant's name, settings, features or limits
///
/// Takes effect at once, also on the data plane.
#[utoipa::path(
    patch, path = "/api/v1/tenants/{tenant}", tag = "tenants",
    params(("tenant" = String, Path, description = "Id or slug", example = "my-org")),
    request_body = PatchTenantBody,
    responses(
        (status = 200, description = "The tenant as it is now", body = TenantView),
        (status = 409, description = "`tenant_purged`", body = Problem),
    ),
    security(("apiKey" = ["tenants:write"])),
)]
pub(crate) async fn patch_tenant(
    _: Authorized<TenantsWrite>,
    InPath(tenant): InPath<TenantRef>,
    State(registry): State<Registry>,
    State(clock): State<Arc<dyn Clock>>,
    JsonBody(body): JsonBody<PatchTenantBody>,
) -> Result<Json<TenantView>, Refusal> {
    let before = tenant.find_kept(&registry).await?;
    let id = before.tenant.id;
    let change = body.read(before.tenant.limits)?;
    registry.tenant_change(id, &change, clock.now()).await?;
    Ok(Json(TenantRef::Id(id).find(&registry).await?.into()))
}
