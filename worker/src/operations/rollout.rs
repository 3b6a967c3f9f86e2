//! Rollout: carries a version of an app to all of its tenants, wave by wave. It only drives: which tenants are in it, which wave
//! has its turn, when it has ended. `rollouts/` migrates them, in every worker.

use std::time::Duration;

use tenantry_domain::{
    ids::RolloutId,
    operation::{NoState, OperationKind},
    rollout::{Direction, RolloutState},
};

use crate::{
    engine::{Definition, Done, Sequence, StepResult, Work},
    step,
    step_error::StepError,
    undo,
};

pub(super) struct Rollout;

/// A rollout, for the operation that drives it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RolloutSubject {
    pub(super) id: RolloutId,
}

impl Definition for Rollout {
    const KIND: OperationKind = OperationKind::Rollout;
    type Subject = RolloutSubject;
    type Input = ();
    type State = NoState;
}

/// How often a rollout is looked at: while tenants are migrated, whose last one has it looked at, and while none can be.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOK_WHILE_NOTHING_MOVES: Duration = Duration::from_secs(1);

pub(super) fn define() -> Sequence<Rollout> {
    Sequence::new("every tenant has its version")
        .step(step!(migrate_tenants, "migrating its tenants").undo(undo!(end)))
}

/// Nobody would drive it any more. Tenants that have the version keep it.
async fn end(work: &Work<Rollout>) -> Result<(), StepError> {
    let reason = "its operation was cancelled, or failed";
    Ok(work.resources.registry.rollout_end(&work.lease, work.subject.id, reason).await?)
}

/// Looks at the rollout; in between other operations of the lane have their turn.
async fn migrate_tenants(work: &Work<Rollout>) -> StepResult {
    let turn = work.resources.registry.rollout_turn(&work.lease, work.subject.id).await?;
    let turn = turn.ok_or_else(|| StepError::permanent("the rollout is gone"))?;
    let rollout = &turn.rollout;
    let verb = match rollout.direction {
        Direction::Up => "have",
        Direction::Down => "are back from",
    };
    let failed = if turn.failed > 0 { format!(", {} failed", turn.failed) } else { String::new() };
    let mut message = format!(
        "{} of {} tenants {verb} version {}, wave {} of {}{failed}",
        turn.done,
        turn.tenants,
        rollout.target,
        rollout.wave + 1,
        rollout.settings.waves.len()
    );
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    work.progress(turn.ended as f32 / turn.tenants.max(1) as f32, &message);
    let again_after = match rollout.state {
        RolloutState::Succeeded | RolloutState::RolledBack => return Ok(Done::Now),
        RolloutState::Aborted => {
            return Err(StepError::permanent(
                rollout.reason.clone().unwrap_or_else(|| "it was ended".to_owned()),
            ));
        }
        RolloutState::Paused | RolloutState::Halted => {
            let reason = rollout.reason.as_deref().unwrap_or_default();
            message = format!("{}: {reason}; {message}", rollout.state);
            LOOK_WHILE_NOTHING_MOVES
        }
        RolloutState::Running => match (rollout.soak_until, turn.again_at) {
            (Some(until), _) => {
                message = format!("wave {} is watched until {until}; {message}", rollout.wave + 1);
                LOOK_WHILE_NOTHING_MOVES
            }
            (None, Some(_)) => LOOK_WHILE_NOTHING_MOVES,
            (None, None) if turn.promoted => Duration::ZERO,
            (None, None) => LOOK_EVERY,
        },
    };
    Ok(Done::Pending { again_after, message })
}
