//! Table `rollouts`, the side of the operation that drives one: which wave it is in, and when it ends.

use chrono::{DateTime, Utc};
use tenantry_domain::{
    ids::RolloutId,
    rollout::{Direction, Rollout, RolloutState},
};

use crate::{
    FencedError, Lease, LeaseLost, Registry, RegistryError, TimedConnection,
    rollout_control::abort,
    rollouts::{gather, lock, take_turns},
};

/// Requests of a wave's tenants below which nothing is said about their errors.
const FEW_REQUESTS: i64 = 20;

/// What a look at a rollout found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutTurn {
    /// The rollout as it is now.
    pub rollout: Rollout,
    /// Tenants that are done, or failed, or are left as they are.
    pub ended: u64,
    /// Those that have the version that they are to have.
    pub done: u64,
    /// Those that failed.
    pub failed: u64,
    /// All of them, those of later waves included.
    pub tenants: u64,
    /// The version was promoted just now: who signs up gets it from now on, and whoever began before is looked for the next time.
    pub promoted: bool,
    /// When the first of those that wait may be tried again, if none can be migrated now.
    pub again_at: Option<DateTime<Utc>>,
}

impl Registry {
    /// Looks at a rollout: takes tenants in that are not in it yet, begins the next wave, or ends it. None: there is no
    /// such rollout any more.
    pub async fn rollout_turn(
        &self,
        lease: &Lease,
        id: RolloutId,
    ) -> Result<Option<RolloutTurn>, FencedError> {
        let mut tx = self.begin().await?;
        take_turns(&mut tx, id).await?;
        if !is_held(&mut tx, lease).await? {
            return Err(LeaseLost.into());
        }
        let Some(rollout) = lock(&mut tx, id).await? else { return Ok(None) };
        let turn = turn(&mut tx, rollout).await?;
        tx.commit().await.map_err(RegistryError::from)?;
        Ok(Some(turn))
    }

    /// Ends a rollout whose operation is undone; one that has ended stays as it is.
    pub async fn rollout_end(&self, lease: &Lease, id: RolloutId, reason: &str) -> Result<(), FencedError> {
        let mut tx = self.begin().await?;
        take_turns(&mut tx, id).await?;
        if !is_held(&mut tx, lease).await? {
            return Err(LeaseLost.into());
        }
        let Some(rollout) = lock(&mut tx, id).await? else { return Ok(()) };
        if !rollout.state.is_finished() {
            abort(&mut tx, id, reason).await?;
        }
        tx.commit().await.map_err(RegistryError::from)?;
        Ok(())
    }
}

/// Whether the operation is this worker's still, until the transaction ends.
async fn is_held(tx: &mut TimedConnection, lease: &Lease) -> Result<bool, RegistryError> {
    let held = sqlx::query!(
        "SELECT id FROM operations WHERE id = $1 AND fence = $2 AND state IN ('running', 'undoing') FOR UPDATE",
        lease.operation.id.as_uuid(),
        lease.fence(),
    )
    .fetch_optional(tx)
    .await?;
    Ok(held.is_some())
}

async fn turn(tx: &mut TimedConnection, mut rollout: Rollout) -> Result<RolloutTurn, RegistryError> {
    let mut promoted = false;
    if rollout.state == RolloutState::Running {
        let last = u16::try_from(rollout.settings.waves.len().saturating_sub(1)).unwrap_or(u16::MAX);
        let is_new = !sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM rollout_tenants WHERE rollout_id = $1) AS "has!""#,
            rollout.id.as_uuid()
        )
        .fetch_one(&mut *tx)
        .await?;
        if is_new && rollout.wave == 0 && rollout.direction == Direction::Up {
            gather(tx, &rollout, None).await?;
        }
        follow_placements(tx, &rollout).await?;
        while rollout.state == RolloutState::Running && is_through(tx, &rollout).await? {
            let changed = if rollout.wave < last {
                next_wave(tx, &rollout).await?
            } else {
                // Tenants that signed up meanwhile come first.
                gather(tx, &rollout, Some(last)).await? == 0 && {
                    promoted = promote(tx, &rollout).await?;
                    !promoted && finish(tx, &rollout).await?
                }
            };
            if let Some(now) = lock(tx, rollout.id).await? {
                rollout = now;
            }
            if !changed {
                break;
            }
        }
    }
    let counts = sqlx::query!(
        r#"SELECT count(*) AS "tenants!", count(*) FILTER (WHERE state IN ('done', 'failed', 'skipped')) AS "ended!",
               count(*) FILTER (WHERE state = 'failed') AS "failed!",
               count(*) FILTER (WHERE state = 'done') AS "done!",
               CASE WHEN count(*) FILTER (WHERE state = 'migrating' OR state = 'pending' AND again_at <= now() AND wave <= $2) = 0
                   THEN min(again_at) FILTER (WHERE state = 'pending' AND wave <= $2) END AS again_at
           FROM rollout_tenants WHERE rollout_id = $1"#,
        rollout.id.as_uuid(),
        rollout.wave.cast_signed(),
    )
    .fetch_one(tx)
    .await?;
    let count = |count: i64| u64::try_from(count).unwrap_or_default();
    Ok(RolloutTurn {
        rollout,
        ended: count(counts.ended),
        done: count(counts.done),
        failed: count(counts.failed),
        tenants: count(counts.tenants),
        again_at: counts.again_at,
        promoted,
    })
}

/// Notes where tenants are that were moved meanwhile, and passes over those that are nowhere any more, or whose server was stopped
/// for as long as they are suspended: they are migrated when they are served again. Those that are claimed: see `pass_over`.
async fn follow_placements(tx: &mut TimedConnection, rollout: &Rollout) -> Result<(), RegistryError> {
    sqlx::query!(
        "UPDATE rollout_tenants AS tenant SET server_id = placements.server_id
         FROM placements WHERE placements.tenant_id = tenant.tenant_id AND placements.state IN ('serving', 'cutover')
             AND rollout_id = $1 AND tenant.state = 'pending' AND tenant.server_id <> placements.server_id",
        rollout.id.as_uuid(),
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE rollout_tenants AS tenant SET state = 'skipped',
             error = 'nothing serves it at the moment; it will get its version when it is served again'
         WHERE rollout_id = $1 AND tenant.state = 'pending' AND NOT EXISTS (
             SELECT FROM placements JOIN servers ON servers.id = placements.server_id
             WHERE placements.tenant_id = tenant.tenant_id AND placements.state IN ('serving', 'cutover')
                 AND servers.state NOT IN ('hibernated', 'lost'))",
        rollout.id.as_uuid(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether no tenant of the waves so far is still to be migrated.
async fn is_through(tx: &mut TimedConnection, rollout: &Rollout) -> Result<bool, RegistryError> {
    let through = sqlx::query_scalar!(
        r#"SELECT NOT EXISTS (SELECT FROM rollout_tenants
               WHERE rollout_id = $1 AND wave <= $2 AND state IN ('pending', 'migrating')) AS "through!""#,
        rollout.id.as_uuid(),
        rollout.wave.cast_signed(),
    )
    .fetch_one(tx)
    .await?;
    Ok(through)
}

/// Begins the next wave, once this one has been watched for as long as it is to be. False: it is being watched.
async fn next_wave(tx: &mut TimedConnection, rollout: &Rollout) -> Result<bool, RegistryError> {
    let soak = rollout.settings.waves.get(usize::from(rollout.wave)).map_or(0, |wave| wave.soak_seconds);
    let has_tenants = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM rollout_tenants WHERE rollout_id = $1 AND wave = $2 AND state = 'done') AS "has!""#,
        rollout.id.as_uuid(),
        rollout.wave.cast_signed(),
    )
    .fetch_one(&mut *tx)
    .await?;
    if soak > 0 && has_tenants && rollout.soak_until.is_none() {
        sqlx::query!(
            "UPDATE rollouts SET soak_until = now() + make_interval(secs => $2) WHERE id = $1",
            rollout.id.as_uuid(),
            f64::from(soak),
        )
        .execute(&mut *tx)
        .await?;
        return Ok(false);
    }
    if rollout.soak_until.is_some() {
        let soaked = sqlx::query!(
            r#"SELECT soak_until <= now() AS "over!", requests AS "requests!", errors AS "errors!"
               FROM rollouts, LATERAL (
                   SELECT coalesce(sum(requests), 0)::bigint AS requests, coalesce(sum(errors), 0)::bigint AS errors
                   FROM rollout_tenants AS tenant JOIN usage_samples ON usage_samples.tenant_id = tenant.tenant_id
                   WHERE rollout_id = rollouts.id AND tenant.state = 'done'
                       AND at >= greatest(tenant.finished_at, soak_until - make_interval(secs => $2))) AS told
               WHERE id = $1 AND soak_until IS NOT NULL"#,
            rollout.id.as_uuid(),
            f64::from(soak),
        )
        .fetch_one(&mut *tx)
        .await?;
        if soaked.requests >= FEW_REQUESTS && soaked.errors * 20 > soaked.requests {
            let reason = format!(
                "{} of {} requests to tenants that have the version failed; look at them, then resume or roll back",
                soaked.errors, soaked.requests
            );
            sqlx::query!(
                "UPDATE rollouts SET state = 'halted', reason = $2 WHERE id = $1",
                rollout.id.as_uuid(),
                reason
            )
            .execute(&mut *tx)
            .await?;
            return Ok(true);
        }
        if !soaked.over {
            return Ok(false);
        }
    }
    sqlx::query!(
        "UPDATE rollouts SET wave = wave + 1, soak_until = NULL WHERE id = $1",
        rollout.id.as_uuid()
    )
    .execute(tx)
    .await?;
    Ok(true)
}

/// Has new tenants get the version of a rollout whose tenants are all through. False: they do.
async fn promote(tx: &mut TimedConnection, rollout: &Rollout) -> Result<bool, RegistryError> {
    if rollout.direction == Direction::Down {
        return Ok(false);
    }
    let promoted = sqlx::query!(
        "UPDATE apps SET promoted_version = $2, updated_at = clock_timestamp()
             WHERE name = $1 AND coalesce(promoted_version, 0) < $2
                 AND EXISTS (SELECT FROM app_versions WHERE app = $1 AND version = $2)",
        rollout.app.as_str(),
        rollout.target.number(),
    )
    .execute(tx)
    .await?;
    Ok(promoted.rows_affected() == 1)
}

/// Ends a rollout whose tenants are all through. Those whose sign-up began before new tenants got its version are waited for.
/// False: it goes on.
async fn finish(tx: &mut TimedConnection, rollout: &Rollout) -> Result<bool, RegistryError> {
    let state = match rollout.direction {
        Direction::Up => RolloutState::Succeeded,
        Direction::Down => RolloutState::RolledBack,
    };
    let signing_up = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               -- A worker reads the app once for each.
               SELECT FROM operations JOIN tenants ON tenants.id = tenant_id JOIN apps ON apps.name = tenants.app
               WHERE tenants.app = $1 AND kind IN ('provision', 'restore', 'resume')
                   -- The promotion may have been committed a little after its time.
                   AND operations.started_at <= apps.updated_at + interval '2 seconds'
                   AND operations.state IN ('queued', 'running', 'waiting')) AS "any!""#,
        rollout.app.as_str()
    )
    .fetch_one(&mut *tx)
    .await?;
    if signing_up {
        return Ok(false);
    }
    sqlx::query!(
        "UPDATE rollouts SET state = $2, finished_at = now() WHERE id = $1",
        rollout.id.as_uuid(),
        state.as_str()
    )
    .execute(tx)
    .await?;
    Ok(true)
}
