//! Placements whose tenants were made before their app had users.

use tenantry_domain::{
    ids::{ServerId, TenantId},
    names::ObjectName,
    placement::Epoch,
};

use crate::{Registry, RegistryError, error::Stored};

/// A placement that is to get the tables of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementWithoutUsers {
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
}

impl Registry {
    /// Placements that serve tenants of apps with users, and are not known to have tables for them; at most so many of them. Not
    /// those at which somebody is at work, nor those from which a move can be undone: what it goes back to is to be like it.
    pub async fn placements_without_users(
        &self,
        limit: i64,
    ) -> Result<Vec<PlacementWithoutUsers>, RegistryError> {
        let rows = sqlx::query!(
            "SELECT tenant_id, epoch, server_id, database, schema
             FROM apps JOIN tenants ON tenants.app = apps.name JOIN placements ON placements.tenant_id = tenants.id
             WHERE manifest ->> 'registration' IS NOT NULL AND NOT has_users AND placements.state = 'serving'
                 AND status IN ('active', 'suspended')
                 AND server_id IN (SELECT id FROM servers WHERE unreachable_since IS NULL AND state NOT IN ('hibernated', 'lost'))
                 AND NOT EXISTS (SELECT FROM operations WHERE operations.tenant_id = tenants.id
                     AND operations.state IN ('queued', 'running', 'waiting', 'undoing', 'stuck'))
                 AND NOT EXISTS (SELECT FROM undo_windows WHERE undo_windows.tenant_id = tenants.id)
                 AND NOT EXISTS (SELECT FROM rollout_tenants WHERE rollout_tenants.tenant_id = tenants.id
                     AND rollout_tenants.state = 'migrating')
             -- Those that fail each time do not keep the others.
             ORDER BY random() LIMIT $1",
            limit
        )
        .fetch_all(&self.housekeeping)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(PlacementWithoutUsers {
                    tenant: TenantId::from_uuid(row.tenant_id),
                    epoch: Epoch::from_stored(row.epoch),
                    server: ServerId::from_uuid(row.server_id),
                    database: ObjectName::parse(&row.database).stored("placements.database")?,
                    schema: ObjectName::parse(&row.schema).stored("placements.schema")?,
                })
            })
            .collect()
    }

    /// Notes that a placement has the tables of users.
    pub async fn placement_has_users(&self, tenant: TenantId, epoch: Epoch) -> Result<(), RegistryError> {
        sqlx::query!(
            "UPDATE placements SET has_users = true WHERE tenant_id = $1 AND epoch = $2",
            tenant.as_uuid(),
            epoch.number(),
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }
}
