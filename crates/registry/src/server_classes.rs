//! Table `server_classes`, and the servers that are made from them.

use chrono::{DateTime, Utc};
use tenantry_domain::{
    ids::{OperationId, ServerId},
    operation::OperationInput,
    plan::Tier,
    server_class::{ServerClass, ServerClassName},
};

use crate::{
    FencedError, Lease, LeaseLost, NewOperation, NewServer, OperationStartError, Registry, RegistryError,
    TimedConnection,
    error::{Stored, broken_constraint, to_json},
    servers::integer,
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

/// A server that is being made from a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOrder {
    /// The id that it will have.
    pub id: ServerId,
    /// The name that it will have.
    pub name: String,
    /// What it is made from.
    pub class: ServerClassName,
    /// The operation that sees to it.
    pub operation: OperationId,
    /// What it waits for.
    pub message: Option<String>,
    /// Why its provider could not do it when it was last asked.
    pub failing: Option<String>,
    /// When it was ordered.
    pub ordered_at: DateTime<Utc>,
}

struct ClassRow {
    name: String,
    provider: String,
    region: String,
    parameters: serde_json::Value,
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
            parameters: serde_json::from_value(row.parameters).stored("server_classes.parameters")?,
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

fn tier_names(class: &ServerClass) -> Vec<String> {
    class.tiers.iter().map(ToString::to_string).collect()
}

impl Registry {
    /// Adds a class; false if there is one of that name.
    pub async fn server_class_create(&self, class: &ServerClass) -> Result<bool, RegistryError> {
        let done = sqlx::query!(
            "INSERT INTO server_classes (name, provider, region, parameters, tiers, capacity, max_connections, min_free,
                 max_servers, cost, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (name) DO NOTHING",
            class.name.as_str(),
            class.provider.as_str(),
            class.region,
            to_json(&class.parameters),
            &tier_names(class),
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
            "UPDATE server_classes SET region = $3, parameters = $4, tiers = $5, capacity = $6, max_connections = $7,
                 min_free = $8, max_servers = $9, cost = $10
             WHERE name = $1 AND provider = $2 RETURNING created_at",
            class.name.as_str(),
            class.provider.as_str(),
            class.region,
            to_json(&class.parameters),
            &tier_names(class),
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
            "SELECT name, provider, region, parameters, tiers, capacity, max_connections, min_free, max_servers, cost,
                 created_at FROM server_classes ORDER BY name"
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
            "SELECT name, provider, region, parameters, tiers, capacity, max_connections, min_free, max_servers, cost,
                 created_at FROM server_classes WHERE name = $1",
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
    async fn server_class_lock(
        tx: &mut TimedConnection,
        name: &ServerClassName,
    ) -> Result<Option<()>, RegistryError> {
        let locked = sqlx::query!("SELECT FROM server_classes WHERE name = $1 FOR UPDATE", name.as_str());
        Ok(locked.fetch_optional(tx).await?.map(drop))
    }

    /// Servers that are being made from classes, the oldest order first.
    pub async fn server_orders(&self) -> Result<Vec<ServerOrder>, RegistryError> {
        let rows = sqlx::query!(
            r#"SELECT id, subject_id, subject_name, input->>'class' AS "class!", message, error,
                   durable_state->>'failing' AS failing, state, created_at
               FROM operations
               WHERE kind = 'order_server' AND state IN ('queued', 'running', 'waiting', 'undoing', 'stuck')
               ORDER BY created_at, id"#
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let stuck = (row.state == "stuck").then_some(row.error).flatten();
                Ok(ServerOrder {
                    id: ServerId::from_uuid(row.subject_id),
                    name: row.subject_name,
                    class: ServerClassName::parse(&row.class).stored("operations.input")?,
                    operation: OperationId::from_uuid(row.id),
                    message: row.message,
                    failing: row.failing.or(stuck),
                    ordered_at: row.created_at,
                })
            })
            .collect()
    }

    /// Classes of which servers are to be ordered now, and how many.
    pub async fn server_classes_short(&self) -> Result<Vec<(ServerClassName, u32)>, RegistryError> {
        let rows = sqlx::query!(
            r#"SELECT name AS "name!", missing AS "missing!" FROM server_class_orders WHERE missing > 0 ORDER BY name"#
        )
        .fetch_all(&self.relaxed)
        .await?;
        rows.into_iter()
            .map(|row| {
                let name = ServerClassName::parse(&row.name).stored("server_classes.name")?;
                Ok((name, u32::try_from(row.missing).unwrap_or(0)))
            })
            .collect()
    }

    /// Orders a server of a class that has too little room, unless somebody else was faster; answers whether.
    pub async fn server_order(
        &self,
        class: &ServerClassName,
        new: NewOperation,
    ) -> Result<bool, OperationStartError> {
        debug_assert!(matches!(new.input, OperationInput::OrderServer { .. }), "an order");
        let mut tx = self.begin().await?;
        Self::server_class_lock(&mut tx, class).await?;
        let missing = sqlx::query_scalar!(
            r#"SELECT missing > 0 AS "missing!" FROM server_class_orders WHERE name = $1"#,
            class.as_str()
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(RegistryError::from)?;
        if missing != Some(true) {
            return Ok(false);
        }
        Self::operation_start_in_tx(&mut tx, new).await?;
        tx.commit().await.map_err(RegistryError::from)?;
        Ok(true)
    }

    /// What one who finds no room in a tier waits for: a server of a class, of the given one if there is one, that is being
    /// made or about to be ordered.
    pub async fn server_to_come(
        &self,
        tier: Tier,
        class: Option<&ServerClassName>,
    ) -> Result<Option<String>, RegistryError> {
        let coming = sqlx::query_scalar!(
            r#"SELECT CASE WHEN failing IS NULL THEN format('a server of class %s is being made', name)
                       ELSE format('a server of class %s is to be made, and its provider fails: %s', name, failing)
                   END AS "coming!"
               FROM server_classes JOIN server_class_orders USING (name) LEFT JOIN LATERAL (
                   SELECT coalesce(durable_state->>'failing', CASE state WHEN 'stuck' THEN error END) AS failing
                   FROM operations WHERE kind = 'order_server' AND input->>'class' = name
                       AND state IN ('queued', 'running', 'waiting', 'undoing', 'stuck')
                   ORDER BY 1 NULLS FIRST LIMIT 1) AS orders ON true
               WHERE $1 = ANY (tiers) AND ($2::text IS NULL OR name = $2) AND (ordered > 0 OR missing > 0)
               ORDER BY failing IS NOT NULL, name LIMIT 1"#,
            tier.as_str(),
            class.map(ServerClassName::as_str),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(coming)
    }

    /// Registers the server that was ordered by a lease; again: with the address and login that it has now. Sign-ups and moves
    /// that waited for room are due at once.
    pub async fn server_register(&self, lease: &Lease, new: &NewServer) -> Result<(), FencedError> {
        let server = &new.server;
        let tiers: Vec<String> = server.tiers.iter().map(ToString::to_string).collect();
        let held = sqlx::query_scalar!(
            r#"WITH fence AS MATERIALIZED (SELECT subject_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE),
                 registered AS (
                   INSERT INTO servers (id, name, region, host, port, admin_user, admin_password, shared_database,
                       state, provider, tiers, capacity, max_connections, created_at, ssl_mode, ssl_root_cert, class)
                   SELECT subject_id, $3, $4, $5, $6, $7, $8, $9, 'active', $10, $11, $12, $13, now(), $14, $15, $16
                   FROM fence
                   ON CONFLICT (id) DO UPDATE SET host = excluded.host, port = excluded.port,
                       admin_user = excluded.admin_user, admin_password = excluded.admin_password,
                       revision = servers.revision + 1, unreachable_since = NULL, unreachable_error = NULL
               ), due AS (
                   UPDATE operations SET run_after = now() FROM fence
                   WHERE operations.state = 'waiting' AND waiting_for IS NULL AND kind IN ('provision', 'move')
               )
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            server.name.as_str(),
            server.region,
            server.host,
            i32::from(server.port),
            new.admin_user,
            new.admin_password,
            new.shared_database.as_str(),
            server.provider.as_str(),
            &tiers,
            integer(server.capacity),
            integer(server.max_connections),
            server.tls.mode().as_str(),
            server.tls.root_cert(),
            server.class.as_ref().map(ServerClassName::as_str),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if held == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }

    /// Whether a server holds nobody, and nothing that a tenant has left.
    pub async fn server_is_empty(&self, id: ServerId) -> Result<bool, RegistryError> {
        let empty = sqlx::query_scalar!(
            r#"SELECT NOT EXISTS (SELECT FROM placements WHERE server_id = $1) AS "empty!""#,
            id.as_uuid()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(empty)
    }

    /// Forgets the server of a lease, if it is empty: its provider is about to delete it. Answers whether there is none any
    /// more.
    pub async fn server_forget_empty(&self, lease: &Lease) -> Result<bool, FencedError> {
        let forgotten = sqlx::query!(
            r#"WITH fence AS MATERIALIZED (SELECT subject_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE),
                 known AS (SELECT servers.id FROM servers JOIN fence ON servers.id = fence.subject_id),
                 gone AS (DELETE FROM servers USING known
                   WHERE servers.id = known.id AND tenants = 0 AND owner_id IS NULL RETURNING 1)
               SELECT (SELECT count(*) FROM fence) AS "held!",
                   (SELECT count(*) FROM known) = (SELECT count(*) FROM gone) AS "forgotten!""#,
            lease.operation.id.as_uuid(),
            lease.fence(),
        )
        .fetch_one(&self.pool)
        .await;
        match forgotten {
            Ok(row) if row.held == 1 => Ok(row.forgotten),
            Ok(_) => Err(LeaseLost.into()),
            // What a tenant has left there, or is about to be placed there.
            Err(error) if broken_constraint(&error).is_some_and(|name| name.starts_with("placements_")) => {
                Ok(false)
            }
            Err(error) => Err(RegistryError::from(error).into()),
        }
    }
}
