//! At which placements changes of tenants' data are noted: where the configuration says `audit.data`, and where they were and some
//! are still to be brought away.

use tenantry_domain::{
    config::AUDIT_DATA,
    ids::{ServerId, TenantId},
    names::ObjectName,
    placement::Epoch,
};

use crate::{Registry, RegistryError, error::Stored};

/// How far a placement is with what its tenant's configuration wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataAudit {
    /// Some of its tables may be audited.
    Beginning,
    /// All are.
    On,
    /// None is to be, but something may still be noted there.
    Ending,
}

tenantry_domain::names_of! { DataAudit { Beginning = "beginning", On = "on", Ending = "ending" } }

/// A placement whose data is audited, or to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedPlacement {
    /// Whose.
    pub tenant: TenantId,
    /// Which of the tenant's.
    pub epoch: Epoch,
    /// On which server.
    pub server: ServerId,
    /// The database.
    pub database: ObjectName,
    /// The schema.
    pub schema: ObjectName,
    /// Whether it serves the tenant. Of others what is noted is brought away, and nothing else.
    pub is_served: bool,
    /// Whether it is to be audited.
    pub wanted: bool,
    /// How far it is.
    pub state: Option<DataAudit>,
}

impl Registry {
    /// The placements whose data is audited, or to be, by server and database.
    pub async fn data_audit_list(&self) -> Result<Vec<AuditedPlacement>, RegistryError> {
        let rows = sqlx::query!(
            r#"WITH known AS (
                   SELECT tenant_id FROM placements WHERE data_audit IS NOT NULL
                   UNION SELECT tenant_id FROM tenant_config WHERE key = $1
                   UNION SELECT id FROM tenants WHERE plan IN (SELECT name FROM plans WHERE default_config -> $1 = 'true')
               ), looked AS (
                   SELECT placements.*, placements.state IN ('serving', 'cutover') AS is_served,
                       coalesce((SELECT value FROM tenant_config AS config
                               WHERE config.tenant_id = tenants.id AND key = $1),
                           (SELECT default_config -> $1 FROM plans WHERE name = plan)) = 'true' AS wanted
                   FROM known JOIN placements USING (tenant_id) JOIN tenants ON tenants.id = tenant_id
               )
               SELECT tenant_id, epoch, server_id, database, schema, is_served AS "is_served!",
                   coalesce(wanted, false) AS "wanted!", data_audit
               FROM looked WHERE wanted AND is_served OR data_audit IS NOT NULL ORDER BY server_id, database"#,
            AUDIT_DATA
        )
        .fetch_all(&self.housekeeping)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(AuditedPlacement {
                    tenant: TenantId::from_uuid(row.tenant_id),
                    epoch: Epoch::from_stored(row.epoch),
                    server: ServerId::from_uuid(row.server_id),
                    database: ObjectName::parse(&row.database).stored("placements.database")?,
                    schema: ObjectName::parse(&row.schema).stored("placements.schema")?,
                    is_served: row.is_served,
                    wanted: row.wanted,
                    state: row
                        .data_audit
                        .map(|state| state.parse())
                        .transpose()
                        .stored("placements.data_audit")?,
                })
            })
            .collect()
    }

    /// Whether changes of a tenant's data are to be noted.
    pub async fn data_audit_is_wanted(&self, tenant: TenantId) -> Result<bool, RegistryError> {
        let wanted = sqlx::query_scalar!(
            r#"SELECT coalesce((SELECT value FROM tenant_config WHERE tenant_id = tenants.id AND key = $2),
                   default_config -> $2) = 'true' AS wanted
               FROM tenants JOIN plans ON plans.name = plan WHERE id = $1"#,
            tenant.as_uuid(),
            AUDIT_DATA,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(wanted.flatten().unwrap_or(false))
    }

    /// Notes how far a placement is. Durable: what is noted there must not be forgotten.
    pub async fn data_audit_set(
        &self,
        tenant: TenantId,
        epoch: Epoch,
        state: DataAudit,
    ) -> Result<(), RegistryError> {
        sqlx::query!(
            "UPDATE placements SET data_audit = $3 WHERE tenant_id = $1 AND epoch = $2 AND data_audit IS DISTINCT FROM $3",
            tenant.as_uuid(),
            epoch.number(),
            state.as_str(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Nothing is noted any more at a placement that was [`DataAudit::Ending`], and nothing is left there.
    pub async fn data_audit_ended(&self, tenant: TenantId, epoch: Epoch) -> Result<(), RegistryError> {
        sqlx::query!(
            "UPDATE placements SET data_audit = NULL WHERE tenant_id = $1 AND epoch = $2 AND data_audit = 'ending'",
            tenant.as_uuid(),
            epoch.number(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
