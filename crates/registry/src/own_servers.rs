//! Table `servers`, those of them that a provider made for one tenant.

use tenantry_domain::{
    ids::ServerId, server::Provider, server_class::ServerClassName, server_tls::ServerTls,
};
use uuid::Uuid;

use crate::{FencedError, Lease, LeaseLost, Registry, RegistryError, error::Stored};

/// A server that a provider made for one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnServer {
    /// Which; also what its provider knows it by.
    pub id: ServerId,
    /// Who made it.
    pub provider: Provider,
}

fn own_server(id: Uuid, provider: &str) -> Result<OwnServer, RegistryError> {
    Ok(OwnServer { id: ServerId::from_uuid(id), provider: provider.parse().stored("servers.provider")? })
}

impl Registry {
    /// Stores what an operation knows at once, before a step does what it must not forget.
    pub async fn operation_keep_state(
        &self,
        lease: &Lease,
        durable_state: &serde_json::Value,
    ) -> Result<(), FencedError> {
        let kept = sqlx::query!(
            "UPDATE operations SET durable_state = $3 WHERE id = $1 AND fence = $2 AND state IN ('running', 'undoing')",
            lease.operation.id.as_uuid(),
            lease.fence(),
            durable_state,
        )
        .execute(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if kept.rows_affected() == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }

    /// Forgets a server of the lease's tenant that its provider has deleted, and that holds no placement any more.
    pub async fn own_server_forget(&self, lease: &Lease, id: ServerId) -> Result<(), FencedError> {
        let held = sqlx::query_scalar!(
            r#"WITH fence AS MATERIALIZED (SELECT tenant_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE),
                 gone AS (DELETE FROM servers USING fence WHERE servers.id = $3 AND owner_id = fence.tenant_id)
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            id.as_uuid(),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if held == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }

    /// The servers that were made for the tenant of a lease. Those that are listed while it holds and are not the one that
    /// serves are needed by nobody later.
    pub async fn own_servers(&self, lease: &Lease) -> Result<Vec<OwnServer>, FencedError> {
        let rows = sqlx::query!(
            r#"SELECT servers.id AS "id?", provider AS "provider?" FROM operations
               LEFT JOIN servers ON owner_id = tenant_id
               WHERE operations.id = $1 AND fence = $2 AND operations.state IN ('running', 'undoing')"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if rows.is_empty() {
            return Err(LeaseLost.into());
        }
        let own = rows.into_iter().filter_map(|row| row.id.zip(row.provider));
        Ok(own.map(|(id, provider)| own_server(id, &provider)).collect::<Result<_, _>>()?)
    }

    /// Servers of tenants that are purged, and that nobody works on: what an operation left that was given up.
    pub async fn own_servers_left(&self) -> Result<Vec<OwnServer>, RegistryError> {
        let rows = sqlx::query!(
            "SELECT servers.id, provider FROM servers JOIN tenants ON tenants.id = owner_id
             WHERE tenants.status = 'purged' AND servers.tenants = 0 AND NOT EXISTS (
                 SELECT FROM operations WHERE subject_kind = 'tenant' AND subject_id = owner_id
                     AND operations.state IN ('queued', 'running', 'waiting', 'undoing', 'stuck'))"
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| own_server(row.id, &row.provider)).collect()
    }

    /// Forgets a server of a purged tenant that its provider has deleted.
    pub async fn own_server_sweep(&self, id: ServerId) -> Result<(), RegistryError> {
        sqlx::query!(
            "DELETE FROM servers USING tenants
             WHERE servers.id = $1 AND tenants.id = owner_id AND tenants.status = 'purged' AND servers.tenants = 0",
            id.as_uuid()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Those of some servers' ids that are known: registered, or ordered by an operation that has not ended.
    pub async fn servers_known(&self, ids: &[ServerId]) -> Result<Vec<ServerId>, RegistryError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.as_uuid()).collect();
        let known = sqlx::query_scalar!(
            r#"SELECT id AS "id!" FROM unnest($1::uuid[]) AS asked (id)
               WHERE EXISTS (SELECT FROM servers WHERE servers.id = asked.id) OR EXISTS (
                   SELECT FROM operations
                   WHERE (durable_state->>'own_server' = asked.id::text OR (subject_kind = 'server' AND subject_id = asked.id))
                       AND state IN ('queued', 'running', 'waiting', 'undoing', 'stuck'))"#,
            &ids
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(known.into_iter().map(ServerId::from_uuid).collect())
    }

    /// Whether a server of tier `instance` waits for a tenant, because somebody registered it or its class keeps some ready;
    /// one of a class, if one is given.
    pub async fn server_is_free_for_instance(
        &self,
        class: Option<&ServerClassName>,
    ) -> Result<bool, RegistryError> {
        let free = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM servers WHERE state = 'active' AND 'instance' = ANY (tiers) AND tenants = 0
                   AND capacity > 0 AND owner_id IS NULL AND unreachable_since IS NULL
                   AND ($1::text IS NULL OR class = $1)) AS "free!""#,
            class.map(ServerClassName::as_str)
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(free)
    }

    /// Notes where a server of a provider is now, and how it is protected, if that is said; true if anything is new.
    pub async fn server_moved(
        &self,
        id: ServerId,
        provider: Provider,
        host: &str,
        port: u16,
        tls: Option<&ServerTls>,
    ) -> Result<bool, RegistryError> {
        let moved = sqlx::query!(
            "WITH moved AS (
                 UPDATE servers SET host = $3, port = $4, ssl_mode = coalesce($5, ssl_mode),
                     ssl_root_cert = CASE WHEN $5::text IS NULL THEN ssl_root_cert ELSE $6 END, revision = revision + 1,
                     -- One that is hibernated is let in by whoever wakes it.
                     unreachable_since = CASE state WHEN 'hibernated' THEN unreachable_since END,
                     unreachable_error = CASE state WHEN 'hibernated' THEN unreachable_error END
                 WHERE id = $1 AND provider = $2 AND ((host, port) IS DISTINCT FROM ($3, $4)
                     OR $5::text IS NOT NULL AND (ssl_mode, ssl_root_cert) IS DISTINCT FROM ($5, $6))
                 RETURNING id, state
             ), due AS (
                 UPDATE operations SET run_after = now() FROM moved
                 WHERE operations.state = 'waiting' AND waiting_for = moved.id AND moved.state <> 'hibernated'
             )
             SELECT FROM moved",
            id.as_uuid(),
            provider.as_str(),
            host,
            i32::from(port),
            tls.map(|tls| tls.mode().as_str()),
            tls.and_then(ServerTls::root_cert),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(moved.is_some())
    }
}
