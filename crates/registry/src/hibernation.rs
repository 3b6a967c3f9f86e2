//! Table `servers`, those of them that are stopped while nobody needs them.

use tenantry_domain::{ids::ServerId, slug::Slug};

use crate::{FencedError, Lease, LeaseLost, Registry, RegistryError, error::Stored};

/// A tenant for which a server has to stay awake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwakeTenant {
    /// Its slug.
    pub slug: Slug,
    /// An operation on it is not finished, or a rollout is at it; else it is neither suspended nor deleted.
    pub at_work: bool,
}

impl Registry {
    /// A tenant that keeps a server from being hibernated: its owner, or one that has something there.
    pub async fn server_awake_tenant(&self, id: ServerId) -> Result<Option<AwakeTenant>, RegistryError> {
        let row = sqlx::query!(
            r#"SELECT slug, at_work AS "at_work!" FROM tenants, LATERAL (SELECT EXISTS (
                   SELECT FROM operations WHERE subject_kind = 'tenant' AND subject_id = tenants.id
                       AND state IN ('queued', 'running', 'waiting', 'undoing', 'stuck'))
                   OR EXISTS (SELECT FROM rollout_tenants WHERE tenant_id = tenants.id AND state = 'migrating') AS at_work) AS work
               WHERE (id = (SELECT owner_id FROM servers WHERE servers.id = $1)
                       OR id IN (SELECT tenant_id FROM placements WHERE server_id = $1))
                   AND (at_work OR status NOT IN ('suspended', 'deactivated'))
               ORDER BY slug LIMIT 1"#,
            id.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(AwakeTenant { slug: Slug::parse(&row.slug).stored("tenants.slug")?, at_work: row.at_work })
        })
        .transpose()
    }

    /// Has all work on an active server of a tenant's own wait, which says why. Answers whether it is so.
    pub async fn server_hibernate(&self, lease: &Lease, reason: &str) -> Result<bool, FencedError> {
        let row = sqlx::query!(
            r#"WITH fence AS MATERIALIZED (SELECT subject_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE),
                 closed AS (
                   UPDATE servers SET state = 'hibernated', unreachable_since = now(), unreachable_error = $3
                   FROM fence WHERE servers.id = fence.subject_id AND owner_id IS NOT NULL
                       AND state IN ('active', 'hibernated')
                   RETURNING 1)
               SELECT (SELECT count(*) FROM fence) AS "held!", (SELECT count(*) FROM closed) AS "closed!""#,
            lease.operation.id.as_uuid(),
            lease.fence(),
            reason,
        )
        .fetch_one(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if row.held == 1 { Ok(row.closed == 1) } else { Err(LeaseLost.into()) }
    }

    /// Has a server that was hibernated take its tenant again; what waits for it is due at once.
    pub async fn server_woken(&self, lease: &Lease) -> Result<(), FencedError> {
        let held = sqlx::query_scalar!(
            r#"WITH fence AS MATERIALIZED (SELECT subject_id FROM operations WHERE id = $1 AND fence = $2
                   AND state IN ('running', 'undoing') FOR UPDATE),
                 opened AS (
                   UPDATE servers SET state = 'active', unreachable_since = NULL, unreachable_error = NULL
                   FROM fence WHERE servers.id = fence.subject_id AND state = 'hibernated'
                   RETURNING servers.id),
                 due AS (
                   UPDATE operations SET run_after = now() FROM opened
                   WHERE operations.state = 'waiting' AND waiting_for = opened.id)
               SELECT count(*) AS "held!" FROM fence"#,
            lease.operation.id.as_uuid(),
            lease.fence(),
        )
        .fetch_one(&self.pool)
        .await
        .map_err(RegistryError::from)?;
        if held == 1 { Ok(()) } else { Err(LeaseLost.into()) }
    }
}
