//! Table `rollout_tenants`, the workers' side: claiming some tenants of a server. What came of each: `rollout_outcomes.rs`.
//!
//! A tenant is claimed only while no operation on it is unfinished, and no operation on it is leased while it is claimed
//! ([`Registry::operation_lease`]). A claim that has expired stays one until another worker has taken it over: only the tenant's
//! own tables say how far it came. One whose tables cannot be read is claimed by session 0, which is nobody.

use std::time::Duration;

use tenantry_domain::{
    app::AppVersion,
    ids::{RolloutId, ServerId, TenantId},
    names::ObjectName,
    plan::Tier,
    rollout::{Direction, Rollout, RolloutState},
};
use uuid::Uuid;

use crate::{
    Registry, RegistryError, TimedConnection,
    error::Stored,
    operation_leases::interval,
    rollouts::{lock, version},
};

/// Some tenants of one server that a worker migrates.
#[derive(Debug, Clone)]
pub struct RolloutBatch {
    /// The rollout, as it was when they were claimed.
    pub rollout: Rollout,
    /// Where they are.
    pub server: ServerId,
    /// The revision of that server.
    pub server_revision: i64,
    /// The fencing token of the claim, for the subject of each tenant.
    pub fence: i64,
    /// The session that migrates them: the token of its first claim.
    pub session: i64,
    /// Another worker had claimed them before: how far it came is not known.
    pub taken_over: bool,
    /// They.
    pub tenants: Vec<ClaimedTenant>,
}

/// A tenant that a worker migrates.
#[derive(Debug, Clone)]
pub struct ClaimedTenant {
    /// Which.
    pub tenant: TenantId,
    /// How its data is isolated.
    pub tier: Tier,
    /// Where.
    pub database: ObjectName,
    /// Its schema.
    pub schema: ObjectName,
    /// The version that it has, as far as the registry knows.
    pub version: AppVersion,
    /// The version that it had before the rollout.
    pub from: AppVersion,
    /// Whether changes of its data are audited.
    pub is_audited: bool,
}

/// What became of a claim that was to be extended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimRenewed {
    /// It is the worker's still.
    GoesOn,
    /// It is, and the rollout is paused, has ended or turned: what can stop is to.
    Stop,
    /// Another worker has it, or nothing is left of it.
    Lost,
}

/// The limits of a claim.
#[derive(Debug, Clone, Copy)]
pub struct ClaimLimits {
    /// Tenants at most. Whoever else may claim some is left a share of them.
    pub tenants: u16,
    /// So few are not shared.
    pub at_least: u16,
    /// How long they are claimed without a sign of life.
    pub lease: Duration,
    /// The session that is to migrate them, after those that it has claimed before; none: a new one.
    pub session: Option<ClaimSession>,
}

/// A session that claims tenants again and again.
#[derive(Debug, Clone, Copy)]
pub struct ClaimSession {
    /// The token of its first claim.
    pub id: i64,
    /// Where it has a connection: tenants there come first.
    pub server: ServerId,
}

impl ClaimLimits {
    fn session_id(self) -> Option<i64> {
        self.session.map(|session| session.id)
    }
}

impl Registry {
    /// Claims tenants that are due, of one server; none: there are none, or enough workers are at them. Tenants that have
    /// to wait are put off by the way, with the reason.
    pub async fn rollout_claim(&self, limits: ClaimLimits) -> Result<Option<RolloutBatch>, RegistryError> {
        if let Some(batch) = self.take_over(limits).await? {
            return Ok(Some(batch));
        }
        let running = sqlx::query_scalar!(
            "SELECT id FROM rollouts WHERE state = 'running' AND soak_until IS NULL ORDER BY random()"
        )
        .fetch_all(&self.relaxed)
        .await?;
        for id in running {
            let mut tx = self.relaxed.begin().await?;
            let Some(rollout) = lock(&mut tx, RolloutId::from_uuid(id)).await? else { continue };
            if rollout.state != RolloutState::Running || rollout.soak_until.is_some() {
                continue;
            }
            let batch = claim(&mut tx, rollout, limits).await?;
            tx.commit().await?;
            if let Some(batch) = batch {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Takes over a claim that has expired, of any rollout: it comes to its end, also where the rollout goes on no more.
    async fn take_over(&self, limits: ClaimLimits) -> Result<Option<RolloutBatch>, RegistryError> {
        let expired = sqlx::query!(
            r#"SELECT DISTINCT rollout_id, rollout_tenants.server_id, batch AS "batch!", revision AS "revision?"
             FROM rollout_tenants LEFT JOIN servers ON servers.id = rollout_tenants.server_id
             WHERE rollout_tenants.state = 'migrating' AND claimed_until <= now()
                 AND (unreachable_since IS NULL OR servers.state = 'lost')"#
        )
        .fetch_all(&self.relaxed)
        .await?;
        for claim in expired {
            let mut tx = self.relaxed.begin().await?;
            let id = RolloutId::from_uuid(claim.rollout_id);
            let Some(rollout) = lock(&mut tx, id).await? else { continue };
            take_turn(&mut tx, claim.server_id, true).await?;
            pass_over(&mut tx, claim.rollout_id, claim.batch).await?;
            let Some(revision) = claim.revision else {
                tx.commit().await?;
                continue;
            };
            let ids = sqlx::query_scalar!(
                "SELECT tenant_id FROM rollout_tenants
                 WHERE rollout_id = $1 AND batch = $2 AND state = 'migrating' AND claimed_until <= now()
                     AND (SELECT count(DISTINCT coalesce(session, batch)) FROM rollout_tenants
                         WHERE server_id = $4 AND state = 'migrating' AND claimed_until > now() AND session IS DISTINCT FROM 0
                             AND coalesce(session, batch) IS DISTINCT FROM $5) < $6
                     -- One that takes it away: see `operation_lease`.
                     AND NOT EXISTS (SELECT FROM operations WHERE operations.tenant_id = rollout_tenants.tenant_id
                         AND operations.state IN ('running', 'undoing'))
                 LIMIT $3 FOR UPDATE SKIP LOCKED",
                claim.rollout_id,
                claim.batch,
                i64::from(limits.tenants),
                claim.server_id,
                limits.session_id(),
                i64::from(rollout.settings.parallelism),
            )
            .fetch_all(&mut *tx)
            .await?;
            let (fence, tenants) = mark(&mut tx, &rollout, &ids, limits).await?;
            tx.commit().await?;
            if tenants.is_empty() {
                continue;
            }
            return Ok(Some(RolloutBatch {
                rollout,
                server: ServerId::from_uuid(claim.server_id),
                server_revision: revision,
                fence,
                session: limits.session_id().unwrap_or(fence),
                taken_over: true,
                tenants,
            }));
        }
        Ok(None)
    }

    /// Extends a claim.
    pub async fn rollout_claim_renew(
        &self,
        batch: &RolloutBatch,
        lease: Duration,
    ) -> Result<ClaimRenewed, RegistryError> {
        let done = sqlx::query!(
            r#"WITH renewed AS (
                   UPDATE rollout_tenants SET claimed_until = now() + $3
                   WHERE rollout_id = $1 AND batch = $2 AND state = 'migrating' AND session <> 0 RETURNING 1
               )
               SELECT state = 'running' AND direction = $4 AS "goes_on!", (SELECT count(*) FROM renewed) AS "renewed!"
               FROM rollouts WHERE id = $1"#,
            batch.rollout.id.as_uuid(),
            batch.fence,
            interval(lease),
            batch.rollout.direction.as_str(),
        )
        .fetch_optional(&self.relaxed)
        .await?;
        Ok(match done {
            Some(done) if done.renewed > 0 && done.goes_on => ClaimRenewed::GoesOn,
            Some(done) if done.renewed > 0 => ClaimRenewed::Stop,
            _ => ClaimRenewed::Lost,
        })
    }
}

/// Gives up tenants of which it was not read how far they came, and that are not served any more, or whose server is lost: that is read
/// when they are restored.
async fn pass_over(tx: &mut TimedConnection, rollout: Uuid, batch: i64) -> Result<(), RegistryError> {
    sqlx::query!(
        "UPDATE rollout_tenants AS tenant SET state = 'skipped', claimed_until = NULL,
             error = 'nothing serves it at the moment; it will get its version when it is served again'
         FROM tenants WHERE rollout_id = $1 AND batch = $2 AND tenant.state = 'migrating' AND claimed_until <= now()
             AND tenants.id = tenant_id AND (
                 status NOT IN ('active', 'suspended') AND NOT EXISTS (
                     SELECT FROM operations WHERE operations.tenant_id = tenants.id AND operations.finished_at IS NULL)
                 OR NOT EXISTS (SELECT FROM servers WHERE servers.id = tenant.server_id AND servers.state <> 'lost'))",
        rollout,
        batch,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Claims tenants of a rollout that is locked, on a server where there is room.
async fn claim(
    tx: &mut TimedConnection,
    rollout: Rollout,
    limits: ClaimLimits,
) -> Result<Option<RolloutBatch>, RegistryError> {
    let id = rollout.id;
    let servers = sqlx::query!(
        "SELECT id, revision FROM servers
         WHERE unreachable_since IS NULL AND state NOT IN ('hibernated', 'lost')
             AND EXISTS (SELECT FROM rollout_tenants WHERE rollout_id = $1 AND server_id = servers.id AND state = 'pending'
                 AND wave <= $2 AND again_at <= now())
             AND (SELECT count(DISTINCT coalesce(session, batch)) FROM rollout_tenants
                 WHERE server_id = servers.id AND state = 'migrating' AND session IS DISTINCT FROM 0
                     AND coalesce(session, batch) IS DISTINCT FROM $4) < $3
         ORDER BY id IS DISTINCT FROM $5, random()",
        id.as_uuid(),
        rollout.wave.cast_signed(),
        i64::from(rollout.settings.parallelism),
        limits.session_id(),
        limits.session.map(|session| session.server.as_uuid()),
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut has_a_turn = false;
    for server in servers {
        // With one turn nobody waits for another one: two could wait for each other.
        if !take_turn(tx, server.id, !has_a_turn).await? {
            continue;
        }
        has_a_turn = true;
        // An operation that begins waits until this is over; one that has begun is seen by the next statement.
        let ids = sqlx::query_scalar!(
            "SELECT tenant_id FROM rollout_tenants JOIN tenants ON tenants.id = tenant_id
             WHERE rollout_id = $1 AND server_id = $2 AND rollout_tenants.state = 'pending' AND wave <= $3 AND again_at <= now()
                 AND (SELECT count(DISTINCT coalesce(session, batch)) FROM rollout_tenants
                     WHERE server_id = $2 AND state = 'migrating' AND session IS DISTINCT FROM 0
                         AND coalesce(session, batch) IS DISTINCT FROM $7) < $6
             ORDER BY wave, again_at LIMIT greatest($5, least($4, (SELECT count(*) FROM rollout_tenants
                 WHERE rollout_id = $1 AND server_id = $2 AND state = 'pending' AND wave <= $3) / $6))
             FOR NO KEY UPDATE OF tenants, rollout_tenants SKIP LOCKED",
            id.as_uuid(),
            server.id,
            rollout.wave.cast_signed(),
            i64::from(limits.tenants),
            i64::from(limits.at_least),
            i64::from(rollout.settings.parallelism),
            limits.session_id(),
        )
        .fetch_all(&mut *tx)
        .await?;
        let ready = sort_out(tx, &rollout, server.id, &ids).await?;
        let (fence, tenants) = mark(tx, &rollout, &ready, limits).await?;
        if !tenants.is_empty() {
            return Ok(Some(RolloutBatch {
                rollout,
                server: ServerId::from_uuid(server.id),
                server_revision: server.revision,
                fence,
                session: limits.session_id().unwrap_or(fence),
                taken_over: false,
                tenants,
            }));
        }
    }
    Ok(None)
}

/// Rollouts claim on a server by turns, each of which ends with its transaction: so each counts what those before have claimed. False:
/// it is another one's turn, and nobody was to wait (`waits`).
async fn take_turn(tx: &mut TimedConnection, server: Uuid, waits: bool) -> Result<bool, RegistryError> {
    let has_turn = sqlx::query_scalar!(
        r#"SELECT CASE WHEN $2 THEN pg_advisory_xact_lock(hashtext('tenantry claims'), hashtext($1)) IS NOT NULL
               ELSE pg_try_advisory_xact_lock(hashtext('tenantry claims'), hashtext($1)) END AS "has_turn!""#,
        server.to_string(),
        waits,
    );
    Ok(has_turn.fetch_one(tx).await?)
}

/// Those of some tenants that can be migrated now. Others are put off, or are done with.
async fn sort_out(
    tx: &mut TimedConnection,
    rollout: &Rollout,
    server: Uuid,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, RegistryError> {
    let rows = sqlx::query!(
        r#"WITH looked AS (
               SELECT rollout_tenants.tenant_id, status, placement.server_id, schema_version, CASE
                   WHEN status NOT IN ('active', 'suspended') OR placement.state IS NULL THEN 'unserved'
                   WHEN CASE WHEN $3 THEN schema_version >= $4 ELSE schema_version <= from_version END THEN 'done'
                   WHEN EXISTS (SELECT FROM operations WHERE operations.tenant_id = tenants.id
                       AND operations.state IN ('queued', 'running', 'waiting', 'undoing', 'stuck')) THEN 'operation'
                   WHEN EXISTS (SELECT FROM rollout_tenants AS other WHERE other.tenant_id = tenants.id
                       AND other.rollout_id <> $1 AND other.state = 'migrating') THEN 'rollout'
                   WHEN EXISTS (SELECT FROM undo_windows WHERE undo_windows.tenant_id = tenants.id) THEN 'undo window'
                   WHEN placement.server_id <> $2 THEN 'elsewhere'
                   WHEN NOT in_maintenance_window(coalesce(
                           (SELECT value FROM tenant_config
                            WHERE tenant_config.tenant_id = tenants.id AND key = 'maintenance.window'),
                           plans.default_config -> 'maintenance.window'), now()) THEN 'maintenance window' END AS waits
               FROM rollout_tenants JOIN tenants ON tenants.id = rollout_tenants.tenant_id
               JOIN plans ON plans.name = plan
               LEFT JOIN placements AS placement ON placement.tenant_id = tenants.id AND placement.state IN ('serving', 'cutover')
               WHERE rollout_id = $1 AND rollout_tenants.tenant_id = ANY ($5)
           ), put_off AS (
               UPDATE rollout_tenants AS tenant SET server_id = coalesce(looked.server_id, tenant.server_id),
                   state = CASE waits WHEN 'done' THEN 'done' WHEN 'unserved' THEN 'skipped' ELSE 'pending' END,
                   error = CASE waits
                       WHEN 'unserved' THEN format('it is %s, and will get its version when it is served again', status)
                       WHEN 'operation' THEN 'waits for an operation on it'
                       WHEN 'rollout' THEN 'waits until it is known how far the rollout before came with it'
                       WHEN 'undo window' THEN 'waits until its last move can no longer be undone'
                       WHEN 'maintenance window' THEN 'waits for its maintenance window' END,
                   finished_at = CASE waits WHEN 'done' THEN now() END,
                   -- What the rollout before did was perhaps noted since this one began.
                   from_version = CASE WHEN waits = 'done' AND batch = 0 AND $3 THEN looked.schema_version
                       ELSE tenant.from_version END,
                   again_at = CASE waits WHEN 'elsewhere' THEN '-infinity'
                       WHEN 'operation' THEN now() + interval '1 second' WHEN 'rollout' THEN now() + interval '1 second'
                       ELSE now() + interval '5 seconds' END
               FROM looked WHERE rollout_id = $1 AND tenant.tenant_id = looked.tenant_id AND waits IS NOT NULL
           )
           SELECT tenant_id FROM looked WHERE waits IS NULL"#,
        rollout.id.as_uuid(),
        server,
        rollout.direction == Direction::Up,
        rollout.target.number(),
        ids,
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| row.tenant_id).collect())
}

/// Makes tenants a worker's, under a token that is greater than any that was given out for one of them.
async fn mark(
    tx: &mut TimedConnection,
    rollout: &Rollout,
    tenants: &[Uuid],
    limits: ClaimLimits,
) -> Result<(i64, Vec<ClaimedTenant>), RegistryError> {
    let rows = sqlx::query!(
        r#"WITH token AS MATERIALIZED (
               SELECT greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
                   (SELECT max(fence) + 1 FROM operations WHERE subject_kind = 'tenant' AND subject_id = ANY ($2)),
                   (SELECT max(batch) + 1 FROM rollout_tenants WHERE tenant_id = ANY ($2))) AS fence
           )
           UPDATE rollout_tenants AS tenant SET state = 'migrating', batch = token.fence, session = coalesce($4, token.fence),
               claimed_until = now() + $3, tries = least(tries + 1, 32767), finished_at = NULL,
               -- Why it could not be read is said until it is.
               error = CASE WHEN session = 0 THEN error END,
               from_version = CASE WHEN batch = 0 AND $5 THEN greatest(from_version, schema_version) ELSE from_version END
           FROM token, placements WHERE rollout_id = $1 AND tenant.tenant_id = ANY ($2)
               AND placements.tenant_id = tenant.tenant_id AND placements.state IN ('serving', 'cutover')
           RETURNING tenant.tenant_id, token.fence AS "fence!", from_version, tier, database, schema, schema_version,
               data_audit"#,
        rollout.id.as_uuid(),
        tenants,
        interval(limits.lease),
        limits.session_id(),
        rollout.direction == Direction::Up,
    )
    .fetch_all(tx)
    .await?;
    let fence = rows.first().map_or(0, |row| row.fence);
    let tenants = rows
        .into_iter()
        .map(|row| {
            let from = version(row.from_version, "rollout_tenants.from_version")?;
            let now = row.schema_version.map(|number| version(number, "placements.schema_version"));
            Ok(ClaimedTenant {
                tenant: TenantId::from_uuid(row.tenant_id),
                tier: row.tier.parse().stored("placements.tier")?,
                database: ObjectName::parse(&row.database).stored("placements.database")?,
                schema: ObjectName::parse(&row.schema).stored("placements.schema")?,
                version: now.transpose()?.unwrap_or(from),
                from,
                is_audited: row.data_audit.is_some(),
            })
        })
        .collect::<Result<_, RegistryError>>()?;
    Ok((fence, tenants))
}
