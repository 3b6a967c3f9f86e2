//! Table `rollout_tenants`, the workers' side: noting what came of the tenants of a claim.

use std::time::Duration;

use tenantry_domain::{
    app::AppVersion,
    ids::{OperationId, RolloutId, TenantId},
    rollout::{Direction, Rollout, RolloutState},
};
use uuid::Uuid;

use crate::{Registry, RegistryError, RolloutBatch, TimedConnection, error::Stored, jobs, rollouts::lock};

/// How often it is looked whether the operation of a rollout waits again, and how soon: a look takes some milliseconds.
const LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(10);

/// What came of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Migrated {
    /// It has this version now.
    To(AppVersion),
    /// Not now: its tables are locked, or its server fails. It counts as a try where `counts` is set.
    Later {
        /// Why, for a person.
        error: String,
        /// Whether it fails when that has happened too often.
        counts: bool,
        /// The version that its tables have, where that may be another one than before.
        at: Option<AppVersion>,
    },
    /// It cannot be migrated further.
    Failed {
        /// Why, for a person.
        error: String,
        /// The version that its tables have, where that may be another one than before.
        at: Option<AppVersion>,
    },
    /// There was no time for it.
    Untouched,
    /// It is not known which version its tables have: it stays claimed, by nobody, until somebody has read that there.
    Unread {
        /// Why, for a person; none: there was no time.
        error: Option<String>,
        /// Whether the rollout halts when that has happened too often.
        counts: bool,
    },
}

impl Registry {
    /// Notes what came of a claim's tenants, and gives them back. Of those that another worker has taken over nothing is noted.
    /// Halts the rollout where too many have failed.
    pub async fn rollout_claim_end(
        &self,
        batch: &RolloutBatch,
        ends: &[(TenantId, Migrated)],
    ) -> Result<(), RegistryError> {
        let tenants: Vec<Uuid> = ends.iter().map(|(tenant, _)| tenant.as_uuid()).collect();
        let kinds: Vec<String> = ends
            .iter()
            .map(|(_, end)| match end {
                Migrated::To(_) => "done",
                Migrated::Failed { .. } => "failed",
                Migrated::Later { counts: true, .. } => "tried",
                Migrated::Later { .. } => "later",
                Migrated::Untouched => "untouched",
                Migrated::Unread { counts: true, .. } => "tried unread",
                Migrated::Unread { .. } => "unread",
            })
            .map(str::to_owned)
            .collect();
        let versions: Vec<Option<i64>> = ends
            .iter()
            .map(|(_, end)| match end {
                Migrated::To(version) => Some(version.number()),
                Migrated::Failed { at, .. } | Migrated::Later { at, .. } => at.map(AppVersion::number),
                Migrated::Untouched | Migrated::Unread { .. } => None,
            })
            .collect();
        let errors: Vec<Option<String>> = ends
            .iter()
            .map(|(_, end)| match end {
                Migrated::Failed { error, .. } | Migrated::Later { error, .. } => Some(error.clone()),
                Migrated::Unread { error, .. } => error.clone(),
                Migrated::To(_) | Migrated::Untouched => None,
            })
            .collect();
        let mut tx = self.begin().await?;
        let Some(rollout) = lock(&mut tx, batch.rollout.id).await? else { return Ok(()) };
        let up = rollout.direction == Direction::Up;
        // What failed on its way to another version has its turn anew.
        let is_same = (rollout.direction, rollout.target) == (batch.rollout.direction, batch.rollout.target);
        let ended = sqlx::query!(
            r#"WITH ended AS (
                   UPDATE rollout_tenants AS tenant SET
                       state = CASE WHEN kind = 'done' AND version = CASE WHEN $6 THEN $7 ELSE from_version END THEN 'done'
                           WHEN kind IN ('unread', 'tried unread') THEN 'migrating'
                           WHEN $10 AND (kind = 'failed' OR kind = 'tried' AND tries >= $8) THEN 'failed'
                           -- The rollout has turned, or has another version by now.
                           ELSE 'pending' END,
                       tries = CASE WHEN kind IN ('later', 'untouched', 'unread') THEN greatest(tries - 1, 0)
                           WHEN $10 OR kind = 'tried unread' THEN tries ELSE 0 END,
                       error = end_.error, session = CASE WHEN kind IN ('unread', 'tried unread') THEN 0 END,
                       claimed_until = CASE WHEN kind IN ('unread', 'tried unread') THEN
                           now() + CASE WHEN end_.error IS NULL THEN interval '0' ELSE interval '2 seconds' END END,
                       again_at = CASE WHEN kind = 'tried' THEN now() + interval '500 milliseconds' * (1 << least(tries, 6))
                           WHEN kind = 'later' THEN now() + interval '2 seconds' ELSE '-infinity' END,
                       finished_at = CASE WHEN kind IN ('done', 'failed') OR kind = 'tried' AND tries >= $8 THEN now() END
                   FROM unnest($3::uuid[], $4::text[], $5::bigint[], $9::text[]) AS end_ (tenant_id, kind, version, error)
                   WHERE rollout_id = $1 AND tenant.tenant_id = end_.tenant_id AND batch = $2 AND state = 'migrating'
                       AND session <> 0
                   RETURNING tenant.tenant_id, tenant.state, version, kind = 'tried unread' AND tries >= $8 AS unreadable
               ), placed AS (
                   UPDATE placements SET schema_version = version FROM ended
                   WHERE placements.tenant_id = ended.tenant_id AND placements.state IN ('serving', 'cutover')
                       AND version IS NOT NULL AND schema_version IS DISTINCT FROM version
               )
               SELECT count(*) FILTER (WHERE state = 'failed') AS "failed!", coalesce(bool_or(unreadable), false) AS "unreadable!"
               FROM ended"#,
            batch.rollout.id.as_uuid(),
            batch.fence,
            &tenants,
            &kinds,
            &versions as &[Option<i64>],
            up,
            rollout.target.number(),
            tries(&rollout),
            &errors as &[Option<String>],
            is_same,
        )
        .fetch_one(&mut *tx)
        .await?;
        if rollout.state == RolloutState::Aborted {
            // Its turn does not come any more.
            sqlx::query!(
                "UPDATE rollout_tenants SET state = 'skipped' WHERE rollout_id = $1 AND state = 'pending'",
                batch.rollout.id.as_uuid()
            )
            .execute(&mut *tx)
            .await?;
        }
        if ended.failed > 0 && rollout.state == RolloutState::Running {
            halt(&mut tx, &rollout).await?;
        }
        let is_over = sqlx::query_scalar!(
            r#"SELECT NOT EXISTS (SELECT FROM rollout_tenants
                   WHERE rollout_id = $1 AND state IN ('pending', 'migrating') AND wave <= $2) AS "is_over!""#,
            rollout.id.as_uuid(),
            rollout.wave.cast_signed(),
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        if ended.unreadable {
            self.rollout_halt_unread(&rollout).await?;
        }
        if is_over {
            self.rollout_look_now(rollout.id).await?;
        }
        Ok(())
    }

    /// Halts the rollout of an app that has nothing left to do but to wait until it can be read how far tenants came, in it or in one
    /// before (`rollout`): which was tried often.
    async fn rollout_halt_unread(&self, rollout: &Rollout) -> Result<(), RegistryError> {
        sqlx::query!(
            "WITH unread AS (
                 SELECT tenant_id, slug, error FROM rollout_tenants JOIN tenants ON tenants.id = tenant_id
                 WHERE rollout_tenants.state = 'migrating' AND session = 0 AND tries >= $2
             )
             UPDATE rollouts SET state = 'halted', reason = waits.reason FROM (
                 SELECT rollouts.id, min(format('it cannot be read how far %s came, and it stays as it is until that is read: %s',
                     slug, unread.error)) AS reason
                 FROM rollouts JOIN rollout_tenants AS tenant ON rollout_id = rollouts.id AND tenant.wave <= rollouts.wave
                     AND tenant.state IN ('pending', 'migrating')
                 LEFT JOIN unread USING (tenant_id)
                 WHERE app = $1 AND rollouts.state = 'running' GROUP BY rollouts.id HAVING count(*) = count(slug)) AS waits
             WHERE rollouts.id = waits.id AND rollouts.state = 'running'",
            rollout.app.as_str(),
            tries(rollout),
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }

    /// Has the operation that drives a rollout look at it now. One that is looking has perhaps not seen what there is to see: it is
    /// told when it waits again.
    async fn rollout_look_now(&self, id: RolloutId) -> Result<(), RegistryError> {
        for _ in 0..LOOKS {
            if self.rollout_told(id).await? {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// In a transaction of its own: the operation holds its row before that of the rollout. False: it is looking.
    async fn rollout_told(&self, id: RolloutId) -> Result<bool, RegistryError> {
        let mut tx = self.relaxed.begin().await?;
        let operation = sqlx::query!(
            "SELECT id, lane, state FROM operations WHERE subject_kind = 'rollout' AND subject_id = $1 AND finished_at IS NULL
             FOR UPDATE",
            id.as_uuid()
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(operation) = operation else { return Ok(true) };
        if operation.state != "waiting" {
            return Ok(operation.state != "running");
        }
        sqlx::query!(
            "UPDATE operations SET enqueued_at = now(), run_after = now() WHERE id = $1",
            operation.id
        )
        .execute(&mut *tx)
        .await?;
        let lane = operation.lane.parse().stored("operations.lane")?;
        jobs::enqueue_in_tx(&mut tx, lane, &[OperationId::from_uuid(operation.id)]).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// As `rollout_tenants.tries` counts.
fn tries(rollout: &Rollout) -> i16 {
    i16::try_from(rollout.settings.tries).unwrap_or(i16::MAX)
}

/// Halts a rollout if too many have failed.
async fn halt(tx: &mut TimedConnection, rollout: &Rollout) -> Result<(), RegistryError> {
    let counts = sqlx::query!(
        r#"SELECT count(*) AS "tenants!", count(*) FILTER (WHERE state = 'failed') AS "failed!",
               (SELECT slug || ': ' || coalesce(error, '') FROM rollout_tenants JOIN tenants ON tenants.id = tenant_id
                WHERE rollout_id = $1 AND rollout_tenants.state = 'failed' ORDER BY finished_at LIMIT 1) AS first
           FROM rollout_tenants WHERE rollout_id = $1"#,
        rollout.id.as_uuid()
    )
    .fetch_one(&mut *tx)
    .await?;
    let (tenants, failed) = (counts.tenants.unsigned_abs(), counts.failed.unsigned_abs());
    let budget = match rollout.direction {
        Direction::Up => rollout.settings.max_failures.of(tenants),
        Direction::Down => 0,
    };
    if failed > budget {
        let reason = format!(
            "{failed} of {tenants} tenants failed, {budget} may; {}",
            counts.first.unwrap_or_default()
        );
        sqlx::query!(
            "UPDATE rollouts SET state = 'halted', reason = $2 WHERE id = $1",
            rollout.id.as_uuid(),
            reason
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}
