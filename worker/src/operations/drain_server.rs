//! Drain server: moves tenants off a server, some at a time, each by an operation of its own. What cannot be moved is named
//! at the end, and stays; retried, it is tried again. The server takes no new tenants meanwhile, nor afterwards, unless only
//! some are to go.

use std::time::Duration;

use tenantry_domain::{
    ids::OperationId,
    operation::{DrainServerState, FailedMove, OperationInput, OperationKind, OperationState, Subject},
};
use tenantry_registry::NewOperation;

use crate::{
    engine::{Definition, Done, Sequence, ServerSubject, StepResult, Work},
    step,
    step_error::StepError,
};

pub(super) struct DrainServer;

pub(super) struct Input {
    /// Tenants that stay; none: all go.
    pub(super) keep: Option<u32>,
    /// Moves at a time.
    pub(super) at_once: u16,
}

impl Definition for DrainServer {
    const KIND: OperationKind = OperationKind::DrainServer;
    type Subject = ServerSubject;
    type Input = Input;
    type State = DrainServerState;
}

/// How often the moves are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Failed moves that are told of in full.
const TOLD: usize = 5;

pub(super) fn define() -> Sequence<DrainServer> {
    Sequence::new("its tenants are served from elsewhere")
        .step(step!(stop_placing, "taking no more tenants"))
        .step(step!(move_tenants, "moving its tenants"))
}

async fn stop_placing(work: &Work<DrainServer>) -> StepResult {
    if work.input.keep.is_none() {
        work.resources.registry.server_drain(&work.lease).await?;
        // What tenants have left there is kept no longer.
        work.resources.registry.undo_window_end_on(&work.lease).await?;
    }
    // What an earlier run could not move is tried again.
    work.update_state(|state| *state = DrainServerState::default());
    Ok(Done::Now)
}

/// Looks at the moves that are on their way, and starts others; in between other operations of the lane have their turn.
async fn move_tenants(work: &Work<DrainServer>) -> StepResult {
    let registry = &work.resources.registry;
    let mut state = work.state();
    for ended in registry.moves_ended(&state.moving).await? {
        state.moving.retain(|moving| *moving != ended.operation);
        if ended.state == OperationState::Succeeded {
            state.moved += 1;
        } else {
            let error = ended.error.unwrap_or_else(|| ended.state.to_string());
            state.failed.push(FailedMove { tenant: ended.tenant, slug: ended.slug, error });
        }
    }
    // Others may have left since: purged, or moved by somebody else.
    let failed: Vec<_> = state.failed.iter().map(|failed| failed.tenant).collect();
    let stays = registry.tenants_on(work.subject.id, &failed).await?;
    state.failed.retain(|failed| stays.contains(&failed.tenant));
    let there = registry.server_tenants(work.subject.id).await?;
    let surplus = there.tenants.saturating_sub(work.input.keep.unwrap_or(0));
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let (moving, failed) = (count(state.moving.len()), count(state.failed.len()));
    let free = u32::from(work.input.at_once).saturating_sub(moving);
    let start = free.min(surplus.saturating_sub(moving).saturating_sub(failed));
    let of = state.moved + surplus;
    let message =
        format!("{} of {of} tenants are moved, {moving} on their way, {failed} cannot be moved", state.moved);
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    work.progress(state.moved as f32 / of.max(1) as f32, &message);
    // A move goes on for a while after the tenant is served from elsewhere: it drops what was left.
    if moving > 0 || start > 0 {
        let but: Vec<_> = state.failed.iter().map(|failed| failed.tenant).collect();
        let now = work.resources.clock.now();
        let mut after = state.clone();
        registry
            .moves_start(
                &work.lease,
                start,
                &but,
                |tenant, slug, tier| NewOperation {
                    id: OperationId::generate(now, &mut rand::rng()),
                    subject: Subject::Tenant(tenant),
                    subject_name: slug,
                    input: OperationInput::Move {
                        tier,
                        server: None,
                        plan: None,
                        offline: false,
                        undoes: false,
                        // The server is to be empty.
                        undo_window_seconds: 0,
                    },
                    created_at: now,
                },
                |started| {
                    after.moving.extend_from_slice(started);
                    serde_json::to_value(&after).expect("states are plain data")
                },
            )
            .await?;
        work.set_stored_state(after);
        return Ok(Done::Pending { again_after: LOOK_EVERY, message });
    }
    work.update_state(|stored| *stored = state.clone());
    if surplus == 0 {
        if work.input.keep.is_some() || there.kept == 0 {
            return Ok(Done::Now);
        }
        // Those that have left it meanwhile, too.
        registry.undo_window_end_on(&work.lease).await?;
        let message = format!("dropping what {} tenants have left there", there.kept);
        return Ok(Done::Pending { again_after: LOOK_EVERY, message });
    }
    if there.at_work > 0 && surplus > failed {
        return Ok(Done::Pending { again_after: LOOK_EVERY, message });
    }
    let told: Vec<String> =
        state.failed.iter().take(TOLD).map(|failed| format!("{}: {}", failed.slug, failed.error)).collect();
    Err(StepError::permanent(format!(
        "{surplus} tenants stay, because they cannot be moved: {}; see to that and retry",
        told.join("; ")
    )))
}
