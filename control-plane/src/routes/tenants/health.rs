//! `GET /api/v1/tenants/{tenant}/health`

use std::sync::Arc;

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tenantry_domain::Clock;
use tenantry_registry::{Registry, TenantHealth};
use utoipa::ToSchema;

use crate::{
    auth::{Authorized, scopes::TenantsRead},
    input::{InPath, TenantRef},
    refusal::Refusal,
    vocabulary,
};

/// How a tenant does.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HealthView {
    /// In a word: `healthy` when every check holds, `unhealthy` when the tenant should be served and is not.
    #[schema(value_type = vocabulary::Health)]
    status: &'static str,
    checks: ChecksView,
    metrics: MetricsView,
    /// When this was found.
    last_checked: DateTime<Utc>,
}

/// What holds.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a check of its own")]
struct ChecksView {
    /// It is on a server that answers, and no operation on it is stuck.
    database: bool,
    /// Its data takes less than it may.
    storage: bool,
    /// It is active, and of the last hour's requests fewer than 5 % failed (5xx).
    api: bool,
    /// It may have more users.
    users: bool,
    /// Requests of today are left.
    limits: bool,
    /// It has the app's promoted version.
    version: bool,
    /// The keys of all issuers that it trusts could be fetched; `GET .../config/auth.issuers` says which could not, and why.
    issuers: bool,
}

/// How its requests went; null where there was none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MetricsView {
    /// Milliseconds on average, of the last hour's.
    response_time: Option<f64>,
    /// Of the last hour's, the part that failed: 0.01 is one in a hundred.
    error_rate: Option<f64>,
    /// Percent of the last 30 days' that did not fail.
    uptime: Option<f64>,
}

impl HealthView {
    fn new(health: &TenantHealth, now: DateTime<Utc>) -> Self {
        Self {
            status: health.health.as_str(),
            checks: ChecksView {
                database: health.database,
                storage: health.storage,
                api: health.api,
                users: health.users,
                limits: health.limits,
                version: health.version,
                issuers: health.issuers,
            },
            metrics: MetricsView {
                response_time: health.response_ms,
                error_rate: health.error_rate,
                uptime: health.uptime,
            },
            last_checked: now,
        }
    }
}

/// How a tenant does
///
/// From what is known at the moment: requests are counted by the data planes and known some seconds later, storage and
/// users each hour, near a limit each minute.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/health", tag = "tenants",
    params(("tenant" = String, Path, description = "Id or slug", example = "my-org")),
    responses((status = 200, description = "How it does", body = HealthView)),
    security(("apiKey" = ["tenants:read"])),
)]
pub(crate) async fn tenant_health(
    _: Authorized<TenantsRead>,
    InPath(tenant): InPath<TenantRef>,
    State(registry): State<Registry>,
    State(clock): State<Arc<dyn Clock>>,
) -> Result<Json<HealthView>, Refusal> {
    let tenant = tenant.find(&registry).await?.tenant.id;
    let health = registry.tenant_health(tenant).await?.ok_or_else(|| Refusal::not_found("tenant"))?;
    Ok(Json(HealthView::new(&health, clock.now())))
}
