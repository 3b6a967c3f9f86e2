//! Servers that providers make: what classes lack, what is ordered, registered and given back. Until one is registered its
//! operation alone knows of it.

use chrono::{DateTime, Utc};
use tenantry_domain::{
    ids::{OperationId, ServerId},
    operation::OperationInput,
    plan::Tier,
    server_class::ServerClassName,
};

use crate::{
    FencedError, Lease, LeaseLost, NewOperation, NewServer, OperationStartError, Registry, RegistryError,
    error::{Stored, broken_constraint},
    servers::{integer, tier_names},
};

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

impl Registry {
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

    /// Registers a server that an operation has had made, for its tenant if it has one; again: with the address and login that it
    /// has now. If it is for everybody, sign-ups and moves that waited for room are due at once.
    pub async fn server_register(&self, lease: &Lease, new: &NewServer) -> Result<(), FencedError> {
        let server = &new.server;
        let held = sqlx::query_scalar!(
            r#"WITH fence AS MATERIALIZED (SELECT tenant_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE),
                 registered AS (
                   INSERT INTO servers (id, name, region, host, port, admin_user, admin_password, shared_database,
                       state, provider, tiers, capacity, max_connections, created_at, ssl_mode, ssl_root_cert, owner_id,
                       class)
                   SELECT $3, $4, $5, $6, $7, $8, $9, $10, 'active', $11, $12, $13, $14, now(), $15, $16, tenant_id,
                       (SELECT name FROM server_classes WHERE name = $17)
                   FROM fence
                   ON CONFLICT (id) DO UPDATE SET host = excluded.host, port = excluded.port,
                       admin_user = excluded.admin_user, admin_password = excluded.admin_password,
                       revision = servers.revision + 1, unreachable_since = NULL, unreachable_error = NULL
               ), due AS (
                   UPDATE operations SET run_after = now() FROM fence
                   WHERE fence.tenant_id IS NULL AND operations.state = 'waiting' AND waiting_for IS NULL
                       AND kind IN ('provision', 'move')
               )
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            server.id.as_uuid(),
            server.name.as_str(),
            server.region,
            server.host,
            i32::from(server.port),
            new.admin_user,
            new.admin_password,
            new.shared_database.as_str(),
            server.provider.as_str(),
            &tier_names(&server.tiers),
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
