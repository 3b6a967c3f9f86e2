//! Table `rollouts`, what people do with one that is there: pause, resume, abort, roll back.

use tenantry_domain::{
    app::AppVersion,
    ids::{OperationId, RolloutId},
    operation::{OperationInput, Subject},
    rollout::{Direction, Rollout, RolloutState},
};

use crate::{
    NewOperation, OperationStartError, Registry, RegistryError, RolloutStartError, TimedConnection,
    error::{Stored, broken_constraint},
    jobs,
    rollouts::{lock, lock_app, take_turns, version},
};

/// What somebody asks of a rollout that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RolloutControl {
    /// Stop for a while. What is being migrated comes to its end.
    Pause,
    /// Go on, and try again what failed; with another version, all tenants are to have that one.
    Resume(Option<AppVersion>),
    /// End it where it is.
    Abort,
    /// Take every tenant back to the version that it had.
    Rollback,
}

/// A rollout cannot do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum RolloutControlError {
    /// There is none with that id.
    #[error("there is no such rollout")]
    NotFound,
    /// Not as it is.
    #[error("the rollout is {0}")]
    State(RolloutState),
    /// The app has no such version, or it is not after the rollout's.
    #[error("{0}")]
    Version(String),
    /// A version has no down SQL.
    #[error("version {0} has no down SQL; push a version that takes it back instead")]
    NotReversible(AppVersion),
    /// Another one of the app is not finished, or has come after it.
    #[error("rollout {0} of the app came after it")]
    Newer(RolloutId),
    /// As starting an operation.
    #[error(transparent)]
    Start(#[from] OperationStartError),
}

impl From<RegistryError> for RolloutControlError {
    fn from(error: RegistryError) -> Self {
        Self::Start(error.into())
    }
}

impl From<sqlx::Error> for RolloutControlError {
    fn from(error: sqlx::Error) -> Self {
        RegistryError::from(error).into()
    }
}

impl Registry {
    /// Pauses, resumes, ends or turns a rollout, and wakes the operation that drives it; where that has ended, `new` is one
    /// that goes on.
    pub async fn rollout_control(
        &self,
        id: RolloutId,
        control: &RolloutControl,
        new: NewOperation,
    ) -> Result<Rollout, RolloutControlError> {
        let mut tx = self.begin().await?;
        take_turns(&mut tx, id).await?;
        let rollout = lock(&mut tx, id).await?.ok_or(RolloutControlError::NotFound)?;
        match control {
            RolloutControl::Pause => {
                require(&rollout, &[RolloutState::Running])?;
                sqlx::query!(
                    "UPDATE rollouts SET state = 'paused', reason = 'somebody paused it' WHERE id = $1",
                    id.as_uuid()
                )
                .execute(&mut *tx)
                .await?;
            }
            RolloutControl::Resume(target) => {
                require(&rollout, &[RolloutState::Paused, RolloutState::Halted])?;
                resume(&mut tx, &rollout, *target).await?;
            }
            RolloutControl::Abort => {
                let open = [RolloutState::Running, RolloutState::Paused, RolloutState::Halted];
                require(&rollout, &open)?;
                abort(&mut tx, id, "somebody ended it").await?;
            }
            RolloutControl::Rollback => match roll_back(&mut tx, &rollout).await {
                Err(RolloutControlError::Start(OperationStartError::Registry(RegistryError::Database(
                    error,
                )))) if broken_constraint(&error) == Some("rollouts_one_unfinished") => {
                    drop(tx);
                    let RolloutStartError::Busy(newer) = self.unfinished_of(&rollout.app).await? else {
                        return Err(RolloutControlError::NotFound);
                    };
                    return Err(RolloutControlError::Newer(newer));
                }
                rolled_back => rolled_back?,
            },
        }
        wake(&mut tx, id, new).await?;
        let rollout = lock(&mut tx, id).await?.ok_or(RolloutControlError::NotFound)?;
        tx.commit().await?;
        Ok(rollout)
    }
}

/// Ends a rollout that is locked where it is: tenants whose turn has not come keep their version.
pub(crate) async fn abort(
    tx: &mut TimedConnection,
    id: RolloutId,
    reason: &str,
) -> Result<(), RegistryError> {
    sqlx::query!(
        "WITH rollout AS (
             UPDATE rollouts SET state = 'aborted', reason = $2, finished_at = now(), soak_until = NULL WHERE id = $1
         )
         UPDATE rollout_tenants SET state = 'skipped' WHERE rollout_id = $1 AND state = 'pending'",
        id.as_uuid(),
        reason,
    )
    .execute(tx)
    .await?;
    Ok(())
}

fn require(rollout: &Rollout, states: &[RolloutState]) -> Result<(), RolloutControlError> {
    if states.contains(&rollout.state) { Ok(()) } else { Err(RolloutControlError::State(rollout.state)) }
}

async fn resume(
    tx: &mut TimedConnection,
    rollout: &Rollout,
    target: Option<AppVersion>,
) -> Result<(), RolloutControlError> {
    let to = target.unwrap_or(rollout.target);
    lock_app(tx, &rollout.app).await?;
    if to < rollout.target {
        let message = format!("it is not after version {}; take tenants back by a rollback", rollout.target);
        return Err(RolloutControlError::Version(message));
    }
    if target.is_some() && rollout.direction == Direction::Down {
        return Err(RolloutControlError::Version("it takes tenants back, to no other version".to_owned()));
    }
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM app_versions WHERE app = $1 AND version = $2) AS "known!""#,
        rollout.app.as_str(),
        to.number()
    )
    .fetch_one(&mut *tx)
    .await?;
    if !known {
        let message = format!("the app has no version {to}; resume with another targetVersion");
        return Err(RolloutControlError::Version(message));
    }
    // Those that have the former target go on to the next one.
    sqlx::query!(
        "WITH rollout AS (
             UPDATE rollouts SET state = 'running', reason = NULL, target_version = $2, soak_until = NULL WHERE id = $1
         ), claimed AS (
             UPDATE rollout_tenants SET tries = 0 WHERE rollout_id = $1 AND state = 'migrating'
         )
         UPDATE rollout_tenants AS tenant SET state = 'pending', tries = 0, error = NULL, again_at = '-infinity',
             finished_at = NULL
         WHERE rollout_id = $1 AND (state = 'failed' OR state = 'done' AND $3 AND EXISTS (
             SELECT FROM placements WHERE placements.tenant_id = tenant.tenant_id
                 AND placements.state IN ('serving', 'cutover') AND schema_version < $2))",
        rollout.id.as_uuid(),
        to.number(),
        rollout.direction == Direction::Up,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Turns a rollout back: every tenant that has a newer version than the one before it.
async fn roll_back(tx: &mut TimedConnection, rollout: &Rollout) -> Result<(), RolloutControlError> {
    if rollout.direction == Direction::Down
        || matches!(rollout.state, RolloutState::RolledBack | RolloutState::Aborted)
    {
        return Err(RolloutControlError::State(rollout.state));
    }
    lock_app(tx, &rollout.app).await?;
    let newer = sqlx::query_scalar!(
        "SELECT id FROM rollouts WHERE app = $1 AND id > $2 ORDER BY id DESC LIMIT 1",
        rollout.app.as_str(),
        rollout.id.as_uuid()
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(newer) = newer {
        return Err(RolloutControlError::Newer(RolloutId::from_uuid(newer)));
    }
    let stuck = sqlx::query_scalar!(
        "SELECT max(version) FROM app_versions
         WHERE app = $1 AND version <= $2 AND down IS NULL
             AND version > coalesce((SELECT min(from_version) FROM rollout_tenants WHERE rollout_id = $3), $4, 0)",
        rollout.app.as_str(),
        rollout.target.number(),
        rollout.id.as_uuid(),
        rollout.former.map(AppVersion::number),
    )
    .fetch_one(&mut *tx)
    .await?;
    if let Some(stuck) = stuck {
        return Err(RolloutControlError::NotReversible(version(stuck, "app_versions.version")?));
    }
    // New tenants get the former version from now on.
    sqlx::query!(
        "UPDATE apps SET promoted_version = $2, updated_at = clock_timestamp()
         WHERE name = $1 AND promoted_version = $3 AND $2::bigint IS NOT NULL",
        rollout.app.as_str(),
        rollout.former.map(AppVersion::number),
        rollout.target.number(),
    )
    .execute(&mut *tx)
    .await?;
    let last = i16::try_from(rollout.settings.waves.len().saturating_sub(1)).unwrap_or(i16::MAX);
    sqlx::query!(
        "WITH rollout AS (
             UPDATE rollouts SET state = 'running', direction = 'down', reason = NULL, finished_at = NULL, soak_until = NULL,
                 wave = $2
             WHERE id = $1
         ), claimed AS (
             UPDATE rollout_tenants SET tries = 0 WHERE rollout_id = $1 AND state = 'migrating'
         )
         UPDATE rollout_tenants AS tenant SET tries = 0, error = NULL, again_at = '-infinity', finished_at = NULL,
             -- One that failed may have some of its versions.
             state = CASE WHEN EXISTS (SELECT FROM placements WHERE placements.tenant_id = tenant.tenant_id
                     AND placements.state IN ('serving', 'cutover') AND schema_version > from_version)
                 THEN 'pending' ELSE 'skipped' END
         WHERE rollout_id = $1 AND state IN ('pending', 'done', 'failed')",
        rollout.id.as_uuid(),
        last,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Has the operation of a rollout look at it now; starts `new` where there is none.
async fn wake(tx: &mut TimedConnection, id: RolloutId, new: NewOperation) -> Result<(), RolloutControlError> {
    let woken = sqlx::query!(
        "UPDATE operations SET enqueued_at = now(), run_after = now(),
             state = CASE state WHEN 'stuck' THEN 'queued' ELSE state END
         WHERE subject_kind = 'rollout' AND subject_id = $1
             AND state IN ('queued', 'running', 'waiting', 'undoing', 'stuck')
         RETURNING id, lane",
        id.as_uuid()
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(operation) = woken {
        let lane = operation.lane.parse().stored("operations.lane")?;
        jobs::enqueue_in_tx(tx, lane, &[OperationId::from_uuid(operation.id)]).await?;
        return Ok(());
    }
    debug_assert_eq!((new.subject, &new.input), (Subject::Rollout(id), &OperationInput::Rollout));
    Registry::operation_start_in_tx(tx, new).await?;
    Ok(())
}
