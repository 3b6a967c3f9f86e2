//! Table `server_classes`: templates from which providers make servers.

use chrono::{DateTime, Utc};
use tenantry_domain::{
    plan::Tier,
    server_class::{ServerClass, ServerClassName},
    server_template::ServerTemplate,
};

use crate::{
    Registry, RegistryError, TimedConnection,
    error::{Stored, broken_constraint, to_json},
    servers::{integer, tier_names},
};

/// A class cannot be deleted.
#[derive(Debug, thiserror::Error)]
pub enum ServerClassDeleteError {
    /// There is none of that name.
    #[error("there is no such server class")]
    NotFound,
    /// Servers were made from it, or are being made, or a plan names it.
    #[error("servers were made from this class, or a plan names it")]
    InUse,
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

struct ClassRow {
    name: String,
    provider: String,
    region: String,
    version: Option<i32>,
    size: serde_json::Value,
    parameters: serde_json::Value,
    spec: serde_json::Value,
    tiers: Vec<String>,
    capacity: i32,
    max_connections: i32,
    min_free: i32,
    max_servers: i32,
    cost: Option<String>,
    created_at: DateTime<Utc>,
}

impl TryFrom<ClassRow> for ServerClass {
    type Error = RegistryError;

    fn try_from(row: ClassRow) -> Result<Self, RegistryError> {
        let tiers: Result<Vec<Tier>, _> = row.tiers.iter().map(|tier| tier.parse()).collect();
        Ok(Self {
            name: ServerClassName::parse(&row.name).stored("server_classes.name")?,
            provider: row.provider.parse().stored("server_classes.provider")?,
            region: row.region,
            template: ServerTemplate {
                version: row.version.map(u16::try_from).transpose().stored("server_classes.version")?,
                size: serde_json::from_value(row.size).stored("server_classes.size")?,
                parameters: serde_json::from_value(row.parameters).stored("server_classes.parameters")?,
                spec: serde_json::from_value(row.spec).stored("server_classes.spec")?,
            },
            tiers: tiers.stored("server_classes.tiers")?,
            capacity: row.capacity.try_into().stored("server_classes.capacity")?,
            max_connections: row.max_connections.try_into().stored("server_classes.max_connections")?,
            min_free: row.min_free.try_into().stored("server_classes.min_free")?,
            max_servers: row.max_servers.try_into().stored("server_classes.max_servers")?,
            cost: row.cost,
            created_at: row.created_at,
        })
    }
}

impl Registry {
    /// Adds a class; false if there is one of that name.
    pub async fn server_class_create(&self, class: &ServerClass) -> Result<bool, RegistryError> {
        let done = sqlx::query!(
            "INSERT INTO server_classes (name, provider, region, version, size, parameters, spec, tiers, capacity,
                 max_connections, min_free, max_servers, cost, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (name) DO NOTHING",
            class.name.as_str(),
            class.provider.as_str(),
            class.region,
            class.template.version.map(i32::from),
            to_json(&class.template.size),
            to_json(&class.template.parameters),
            to_json(&class.template.spec),
            &tier_names(&class.tiers),
            integer(class.capacity),
            integer(class.max_connections),
            integer(class.min_free),
            integer(class.max_servers),
            class.cost,
            class.created_at,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Replaces a class, for servers that are ordered from now on; answers when it was added, or none if there is none of
    /// that name. Its provider stays: what it has made is that one's.
    pub async fn server_class_replace(
        &self,
        class: &ServerClass,
    ) -> Result<Option<DateTime<Utc>>, RegistryError> {
        let created_at = sqlx::query_scalar!(
            "UPDATE server_classes SET region = $3, version = $4, size = $5, parameters = $6, spec = $7, tiers = $8,
                 capacity = $9, max_connections = $10, min_free = $11, max_servers = $12, cost = $13
             WHERE name = $1 AND provider = $2 RETURNING created_at",
            class.name.as_str(),
            class.provider.as_str(),
            class.region,
            class.template.version.map(i32::from),
            to_json(&class.template.size),
            to_json(&class.template.parameters),
            to_json(&class.template.spec),
            &tier_names(&class.tiers),
            integer(class.capacity),
            integer(class.max_connections),
            integer(class.min_free),
            integer(class.max_servers),
            class.cost,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(created_at)
    }

    /// All classes, by name.
    pub async fn server_class_list(&self) -> Result<Vec<ServerClass>, RegistryError> {
        let rows = sqlx::query_as!(
            ClassRow,
            "SELECT name, provider, region, version, size, parameters, spec, tiers, capacity, max_connections, min_free,
                 max_servers, cost, created_at FROM server_classes ORDER BY name"
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(ServerClass::try_from).collect()
    }

    /// One class.
    pub async fn server_class_get(
        &self,
        name: &ServerClassName,
    ) -> Result<Option<ServerClass>, RegistryError> {
        let row = sqlx::query_as!(
            ClassRow,
            "SELECT name, provider, region, version, size, parameters, spec, tiers, capacity, max_connections, min_free,
                 max_servers, cost, created_at FROM server_classes WHERE name = $1",
            name.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(ServerClass::try_from).transpose()
    }

    /// Deletes a class from which no server was made, or is being made, and that no plan names.
    pub async fn server_class_delete(&self, name: &ServerClassName) -> Result<(), ServerClassDeleteError> {
        let mut tx = self.begin().await?;
        Self::server_class_lock(&mut tx, name).await?.ok_or(ServerClassDeleteError::NotFound)?;
        let deleted = sqlx::query!(
            "DELETE FROM server_classes WHERE name = $1 AND NOT EXISTS (
                 SELECT FROM operations
                 WHERE (kind = 'order_server' AND input->>'class' = $1 OR durable_state->>'own_server_class' = $1)
                     AND state IN ('queued', 'running', 'waiting', 'undoing', 'stuck'))",
            name.as_str()
        )
        .execute(&mut *tx)
        .await;
        match deleted {
            Ok(done) if done.rows_affected() == 1 => Ok(tx.commit().await.map_err(RegistryError::from)?),
            Ok(_) => Err(ServerClassDeleteError::InUse),
            Err(error)
                if matches!(
                    broken_constraint(&error),
                    Some("servers_class_fkey" | "plans_server_class_fkey")
                ) =>
            {
                Err(ServerClassDeleteError::InUse)
            }
            Err(error) => Err(ServerClassDeleteError::Registry(error.into())),
        }
    }

    /// Waits for whoever orders a server of a class or deletes it. What he has done is seen by the next statement, not by this
    /// one.
    pub(crate) async fn server_class_lock(
        tx: &mut TimedConnection,
        name: &ServerClassName,
    ) -> Result<Option<()>, RegistryError> {
        let locked = sqlx::query!("SELECT FROM server_classes WHERE name = $1 FOR UPDATE", name.as_str());
        Ok(locked.fetch_optional(tx).await?.map(drop))
    }
}
