//! Recording an operation's course.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use rand::RngExt;
use tenantry_domain::{ids::ServerId, operation::OperationEventKind};
use tenantry_registry::{Changes, NewEvent, Record, Recorded, Registry, Transition};

use super::{Executed, Moment, Point, execution::Execution};
use crate::step_error::StepError;

/// Steps that take no longer are recorded together.
pub(super) const RECORD_AFTER: Duration = Duration::from_millis(15);

/// The pause before a registry that is away is asked again.
const REGISTRY_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// How much of an operation's course is recorded, and since when.
pub(super) struct Written {
    pub(super) steps: usize,
    pub(super) at: Instant,
}

/// What is recorded next.
pub(super) struct Entry {
    /// Steps that are finished and not undone.
    pub(super) done: usize,
    pub(super) transition: Transition,
    pub(super) undoing: bool,
    pub(super) error: Option<String>,
    pub(super) message: Option<String>,
    pub(super) retried: bool,
    /// What changes with it; none: what the steps have changed since the last record.
    pub(super) changes: Option<Changes>,
}

impl Entry {
    pub(super) fn at(done: usize) -> Self {
        Self {
            done,
            transition: Transition::Running,
            undoing: false,
            error: None,
            message: None,
            retried: false,
            changes: None,
        }
    }

    /// While the operation is undone.
    pub(super) fn undoing(done: usize) -> Self {
        Self { undoing: true, ..Self::at(done) }
    }
}

impl Execution<'_> {
    /// Records that the steps before `index` are finished; true if somebody asked to cancel.
    pub(super) async fn write_steps(&self, index: usize, written: &mut Written) -> Result<bool, StepError> {
        let recorded = self.write(Entry::at(index)).await?;
        let before = std::mem::replace(written, Written { steps: index, at: Instant::now() });
        for step in before.steps..index {
            self.reached(step, Moment::Recorded).await?;
        }
        Ok(recorded.cancel_requested)
    }

    pub(super) async fn write(&self, entry: Entry) -> Result<Recorded, StepError> {
        let stored = &self.steps.lease().operation.steps;
        let renamed = self.names.iter().ne(stored.iter());
        let record = Record {
            transition: entry.transition,
            undoing: entry.undoing,
            steps: renamed.then_some(&self.names),
            steps_done: u16::try_from(entry.done).unwrap_or(u16::MAX),
            step: self.names.get(entry.done).copied(),
            progress: self.share(entry.done),
            cancellable: !entry.undoing && entry.done < self.steps.no_return(),
            error: entry.error,
            message: entry.message,
            retried: entry.retried,
            changes: entry.changes.unwrap_or_else(|| self.take_changes()),
            events: std::mem::take(&mut *self.pending_events.lock().unwrap_or_else(PoisonError::into_inner)),
        };
        let recorded =
            self.patiently(|| self.registry().operation_record(self.steps.lease(), &record)).await?;
        if recorded.cancel_requested {
            self.steps.signals().cancel.cancel();
        }
        Ok(recorded)
    }

    /// Whether steps have changed something that is not recorded yet.
    pub(super) fn has_changes(&self) -> bool {
        self.steps.has_changes()
    }

    fn take_changes(&self) -> Changes {
        self.steps.take_changes()
    }

    /// What steps have changed, and what changes with the operation's end.
    pub(super) fn with_last_changes(&self, succeeded: bool) -> Changes {
        let mut changes = self.take_changes();
        let last = self.steps.last_changes(succeeded);
        changes.status = last.status.or(changes.status);
        changes.plan = last.plan.or(changes.plan);
        last.placements.into_iter().for_each(|change| changes.change_placement(change));
        changes
    }

    /// Releases the operation, to be taken up again after a time.
    pub(super) async fn release(&self, done: usize, delay: Duration) -> Result<Executed, StepError> {
        let mut entry = Entry::at(done);
        entry.transition = Transition::Queued(delay);
        self.write(entry).await?;
        Ok(Executed::Released)
    }

    /// Releases the operation, which waits for something outside: for that server, if there is one.
    pub(super) async fn wait(
        &self,
        done: usize,
        again_after: Duration,
        server: Option<ServerId>,
        message: String,
        quiet: bool,
    ) -> Result<Executed, StepError> {
        if !quiet {
            self.emit(OperationEventKind::Waiting, Some(done), done, &message);
        }
        let mut entry = Entry::at(done);
        entry.transition = Transition::Waiting(again_after, server);
        entry.message = Some(message);
        self.write(entry).await?;
        Ok(Executed::Waiting(again_after))
    }

    /// Ends the operation's course until a person retries or abandons it.
    pub(super) async fn stick(
        &self,
        done: usize,
        undoing: bool,
        error: String,
    ) -> Result<Executed, StepError> {
        tracing::error!(error, "{} is stuck: {error}", self.steps.kind());
        let at = if undoing { done.saturating_sub(1) } else { done };
        self.emit(OperationEventKind::Stuck, Some(at), done, &error);
        let mut entry = Entry::at(done);
        entry.transition = Transition::Stuck;
        entry.undoing = undoing;
        entry.error = Some(error);
        self.write(entry).await?;
        Ok(Executed::Ended)
    }

    /// Notes that a server cannot be reached, so that nobody else tries in vain. Not by a worker that lost its
    /// lease: whoever has it now ended this one's sessions there, which looks the same from here.
    pub(super) async fn note_away(&self, server: Option<ServerId>, message: &str) -> Result<(), StepError> {
        if let Some(server) = server {
            self.engine.resources.servers.forget(server);
            self.patiently(|| self.registry().operation_heartbeat(self.steps.lease(), None)).await?;
            self.engine.resources.note_away(server, message, false).await;
        }
        Ok(())
    }

    /// Whatever was wrong with the connection to the server: its address and login are read anew.
    pub(super) fn doubt_server(&self) {
        if let Some(server) = self.steps.server() {
            self.engine.resources.servers.doubt(server);
        }
    }

    /// Does something again and again while the registry is away and the lease may hold.
    pub(super) async fn patiently<T, E, F>(&self, mut run: impl FnMut() -> F) -> Result<T, StepError>
    where
        E: Into<StepError>,
        F: Future<Output = Result<T, E>>,
    {
        let mut away_since = None;
        loop {
            match run().await.map_err(Into::into) {
                Err(StepError::RegistryAway { message })
                    if away_since.get_or_insert_with(Instant::now).elapsed()
                        < self.steps.lease().duration =>
                {
                    tracing::debug!(error = message, "the registry is away; trying again");
                    tokio::time::sleep(REGISTRY_AGAIN_AFTER).await;
                }
                result => return result,
            }
        }
    }

    pub(super) async fn reached(&self, index: usize, moment: Moment) -> Result<(), StepError> {
        let point = Point { kind: self.steps.kind(), step: self.names[index], moment };
        self.engine.probe.reached(point).await
    }

    /// Notes an event, to be written with the next record. `done` steps are finished then.
    pub(super) fn emit(&self, kind: OperationEventKind, step: Option<usize>, done: usize, message: &str) {
        let event = NewEvent {
            kind,
            step: step.and_then(|index| self.names.get(index).copied()),
            progress: self.share(done),
            message: message.to_owned(),
        };
        self.pending_events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    fn registry(&self) -> &Registry {
        &self.engine.resources.registry
    }

    /// Doubles from the base to the cap, with jitter of a half, so that many do not come back at once.
    pub(super) fn backoff(&self, failures: u32) -> Duration {
        let settings = &self.engine.resources.settings;
        let full = settings
            .retry_base
            .saturating_mul(1 << failures.saturating_sub(1).min(16))
            .min(settings.retry_cap);
        full.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    fn share(&self, done: usize) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "operations have a handful of steps")]
        let share = done as f32 / self.names.len().max(1) as f32;
        share.clamp(0.0, 1.0)
    }
}
