//! A tenant as operators see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use tenantry_domain::{app::AppVersion, plan::Features, tenant::TenantStatus};
use tenantry_registry::TenantDetails;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::vocabulary;

/// One customer organisation.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantView {
    /// Its id.
    id: Uuid,
    /// Its name in URLs, schemas and roles.
    #[schema(example = "my-org")]
    slug: String,
    /// A second label below the base domain.
    subdomain: Option<String>,
    /// Its name for people.
    #[schema(example = "My Organization")]
    name: String,
    /// provisioning, active, suspended, deactivated, purging, purged or failed.
    #[schema(value_type = vocabulary::TenantStatus)]
    status: &'static str,
    /// When a deactivated tenant's data is dropped.
    purge_at: Option<DateTime<Utc>>,
    /// What it has bought.
    #[schema(example = "premium")]
    plan: String,
    /// The application whose tables it has.
    #[schema(example = "mis")]
    app: String,
    /// Its own feature switches, over the plan's.
    #[schema(value_type = Object)]
    features: Features,
    /// Its own ceiling for users, in place of the plan's.
    max_users: Option<u32>,
    /// Its own ceiling for data and files in bytes, in place of the plan's.
    max_storage: Option<u64>,
    /// Free-form settings.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
    /// Where its data is; null while it has none.
    placement: Option<PlacementView>,
    /// When it signed up.
    created_at: DateTime<Utc>,
    /// When any of this last changed.
    updated_at: DateTime<Utc>,
}

/// Where a tenant's data is.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlacementView {
    /// schema, database or instance.
    #[schema(value_type = vocabulary::Tier)]
    tier: &'static str,
    /// The server's name.
    server: Option<String>,
    /// The database.
    database: String,
    /// The schema, also the name of the role.
    schema: String,
    /// Grows with each change of placement.
    epoch: i32,
    /// preparing or serving.
    #[schema(value_type = vocabulary::PlacementState)]
    state: &'static str,
    /// The app version that its tables have.
    schema_version: Option<i64>,
}

impl From<TenantDetails> for TenantView {
    fn from(details: TenantDetails) -> Self {
        let TenantDetails { tenant, placement, server } = details;
        let server = server.map(|name| name.to_string());
        Self {
            id: tenant.id.as_uuid(),
            slug: tenant.slug.to_string(),
            subdomain: tenant.subdomain.map(|label| label.to_string()),
            name: tenant.name.as_str().to_owned(),
            status: tenant.status.as_str(),
            purge_at: match tenant.status {
                TenantStatus::Deactivated { purge_at } => Some(purge_at),
                _ => None,
            },
            plan: tenant.plan.to_string(),
            app: tenant.app.to_string(),
            features: tenant.features,
            max_users: tenant.limits.max_users,
            max_storage: tenant.limits.max_storage_bytes,
            settings: tenant.settings,
            placement: placement.map(|placement| PlacementView {
                tier: placement.tier.as_str(),
                server,
                database: placement.database.to_string(),
                schema: placement.schema.to_string(),
                epoch: placement.epoch.number(),
                state: placement.state.as_str(),
                schema_version: placement.schema_version.map(AppVersion::number),
            }),
            created_at: tenant.created_at,
            updated_at: tenant.updated_at,
        }
    }
}
