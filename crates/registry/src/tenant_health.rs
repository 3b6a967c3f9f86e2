//! How tenants do: the function `tenant_health` of the registry's own.

use tenantry_domain::ids::TenantId;

use crate::{Registry, RegistryError, error::Stored};

/// How a tenant does, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Every check holds.
    Healthy,
    /// It is served, perhaps not wholly: a check does not hold.
    Degraded,
    /// It is not served, and should be.
    Unhealthy,
}

tenantry_domain::names_of! { Health { Healthy = "healthy", Degraded = "degraded", Unhealthy = "unhealthy" } }

/// How a tenant does: what holds, and how its requests went.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a check of its own")]
pub struct TenantHealth {
    /// In a word.
    pub health: Health,
    /// It is on a server that answers, and nothing about it is stuck.
    pub database: bool,
    /// Its data takes less than it may.
    pub storage: bool,
    /// It may have more users.
    pub users: bool,
    /// Requests of today are left.
    pub limits: bool,
    /// It has the app's promoted version.
    pub version: bool,
    /// It is served, and few requests of the last hour failed.
    pub api: bool,
    /// The keys of all issuers that it trusts could be fetched.
    pub issuers: bool,
    /// Milliseconds that a request of the last hour took on average; none if there was none.
    pub response_ms: Option<f64>,
    /// Of the last hour's requests, those that failed.
    pub error_rate: Option<f64>,
    /// Percent of the last 30 days' requests that did not fail.
    pub uptime: Option<f64>,
}

impl Registry {
    /// How a tenant does; none: there is no such tenant.
    pub async fn tenant_health(&self, tenant: TenantId) -> Result<Option<TenantHealth>, RegistryError> {
        let row = sqlx::query!(
            r#"SELECT health AS "health!", database AS "database!", storage AS "storage!", users AS "users!",
                   limits AS "limits!", version AS "version!", api AS "api!", response_ms, error_rate, uptime,
                   issuers AS "issuers!"
               FROM tenant_health($1)"#,
            tenant.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(TenantHealth {
                health: row.health.parse().stored("tenant_health")?,
                database: row.database,
                storage: row.storage,
                users: row.users,
                limits: row.limits,
                version: row.version,
                api: row.api,
                issuers: row.issuers,
                response_ms: row.response_ms,
                error_rate: row.error_rate,
                uptime: row.uptime,
            })
        })
        .transpose()
    }
}
