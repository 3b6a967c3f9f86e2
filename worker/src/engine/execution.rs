//! The execution of one operation, from lease to end.

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::FutureExt;
use tenantry_domain::{
    ids::OperationId,
    operation::{OperationEventKind, Subject},
};
use tenantry_registry::{Lease, NewEvent, RegistryError, TenantWithPlan, Transition};
use tracing::Instrument;

use super::{
    Done, Engine, Executed, Moment, Steps,
    heartbeat::Heartbeat,
    place::resume_at,
    record::{Entry, RECORD_AFTER, Written},
    undo::Ending,
};
use crate::{Resources, slots, step_error::StepError};

/// An operation at work.
pub(super) struct Execution<'a> {
    pub(super) engine: &'a Engine,
    pub(super) steps: Arc<dyn Steps>,
    pub(super) names: Vec<&'static str>,
    pub(super) heartbeat: Heartbeat,
    /// Events that go with the next record.
    pub(super) pending_events: Mutex<Vec<NewEvent>>,
}

/// Leases in a row that end without a word before an operation is stuck.
const SILENT_LIMIT: u16 = 8;

/// When an operation is offered again whose steps this worker does not know.
const LEAVE_FOR: Duration = Duration::from_secs(5);

pub(super) async fn execute(engine: &Engine, id: OperationId) -> Executed {
    let Resources { registry, settings, .. } = &*engine.resources;
    // Read beside the lease.
    let (lease, tenant) = tokio::join!(
        registry.operation_lease(
            id,
            &settings.name,
            settings.lease,
            engine.definitions.kinds(),
            SILENT_LIMIT
        ),
        registry.tenant_of_operation(id),
    );
    let lease = match lease {
        Ok(Some(lease)) => lease,
        Ok(None) => return Executed::NothingToDo,
        Err(error) => {
            tracing::warn!(operation.id = %id, %error, "operation {id} cannot be taken");
            return Executed::Lost;
        }
    };
    let (kind, attempt) = (lease.operation.kind(), lease.operation.attempts);
    let span = tracing::info_span!(
        "operation", operation.id = %id, operation.kind = %kind, operation.attempt = attempt,
        subject = %lease.operation.subject
    );
    let executed = run(engine, lease, tenant).instrument(span.clone()).await;
    let executed = match executed {
        Ok(executed) => executed,
        Err(StepError::LeaseLost) => {
            span.in_scope(|| tracing::info!("another worker has operation {id}"));
            Executed::Lost
        }
        Err(error) => {
            span.in_scope(|| tracing::warn!(%error, "operation {id} stopped; it will be taken up again"));
            Executed::Lost
        }
    };
    metrics::counter!("tenantry_operation_attempts_total", "kind" => kind.as_str(), "ended" => executed.as_str())
        .increment(1);
    executed
}

async fn run(
    engine: &Engine,
    lease: Lease,
    tenant: Result<Option<TenantWithPlan>, RegistryError>,
) -> Result<Executed, StepError> {
    let resources = &engine.resources;
    let operation = lease.operation.clone();
    // The worker that had it before may have written until the lease was ours.
    let first = operation.attempts == 1;
    let tenant = if first { tenant } else { resources.registry.tenant_of_operation(operation.id).await }?;
    let begun = match (operation.subject, &tenant) {
        (Subject::Tenant(_), None) => Err(StepError::permanent("the tenant is gone")),
        _ => engine.definitions.begin(lease, tenant, Arc::clone(resources)),
    };
    let steps: Arc<dyn Steps> = match begun {
        Ok(steps) => steps.into(),
        // Counted, and stuck in the end: there is no step that could say so.
        Err(error) => {
            tracing::warn!(%error, "operation {} cannot be begun: {error}", operation.id);
            let (fence, after) = (operation.fence, resources.settings.lease);
            resources.registry.operation_give_back(operation.id, fence, &error.to_string(), after).await?;
            return Ok(Executed::Released);
        }
    };
    let heartbeat = Heartbeat::begin(engine, &steps);
    let names = steps.names();
    let execution = Execution { engine, names, steps, heartbeat, pending_events: Mutex::default() };
    let from = match resume_at(&operation.steps, usize::from(operation.steps_done), &execution.names) {
        Ok(from) => from,
        Err(unknown) => {
            let message = format!(
                "waits for a worker that knows its step {unknown}: run one of the release that began it, or abandon it"
            );
            let (lease, limit) = (execution.steps.lease(), resources.settings.unknown_step_limit);
            if resources.registry.operation_leave(lease, &message, LEAVE_FOR, limit).await? {
                tracing::error!("{} is stuck: {message}", execution.steps.kind());
            } else {
                tracing::info!("{message}");
            }
            return Ok(Executed::Released);
        }
    };
    if operation.undoing {
        let ending = if operation.cancel_requested {
            Ending::Cancelled
        } else {
            Ending::Failed(operation.error.unwrap_or_else(|| "interrupted".into()))
        };
        return execution.undo(from, ending, operation.retries).await;
    }
    // That it waited shows in the message that it left: it is no news that it is looked at again.
    let quiet = operation.message.is_some();
    execution.forward(from, operation.cancel_requested, operation.retries, quiet).await
}

/// What became of a step.
enum Tried {
    Done,
    Pending(Duration, String),
    Later(Duration),
    Away(Option<tenantry_domain::ids::ServerId>, String),
    Failed(String),
    Stuck(String),
    Cancelled,
}

impl Execution<'_> {
    async fn forward(
        &self,
        from: usize,
        mut cancel: bool,
        retries: u32,
        quiet: bool,
    ) -> Result<Executed, StepError> {
        let count = self.names.len();
        tracing::info!("{} begins at step {from} of {count}", self.steps.kind());
        if !quiet {
            self.emit(OperationEventKind::Started, None, from, "a worker has begun");
        }
        let mut written = Written { steps: from, at: Instant::now() };
        for index in from..count {
            self.steps.signals().at_step(index, count);
            if !(quiet && index == from) {
                self.emit(OperationEventKind::StepStarted, Some(index), index, self.steps.doing(index));
            }
            let turns = index >= self.steps.no_return();
            let mut ran = None;
            // What a step has changed is recorded before the next one does anything on a server.
            if cancel || turns || self.has_changes() || self.engine.stop.is_cancelled() {
                cancel |= self.write_steps(index, &mut written).await?;
            }
            if !(cancel || turns || self.engine.stop.is_cancelled()) {
                let (cancelled, result) = self.run_beside_record(index, &mut written).await?;
                cancel |= cancelled;
                ran = Some(result);
            }
            // Asking to cancel is refused from the record on that turns, so one that is seen there came before.
            if cancel && index <= self.steps.no_return() {
                return self.undo(self.begun(index + usize::from(ran.is_some())), Ending::Cancelled, 0).await;
            }
            if ran.is_none() && self.engine.stop.is_cancelled() {
                return self.release(index, Duration::ZERO).await;
            }
            let failures = if index == from { retries } else { 0 };
            match self.try_step(index, failures, ran).await? {
                Tried::Done => {}
                Tried::Pending(..)
                    if index < self.steps.no_return() && self.steps.signals().cancel.is_cancelled() =>
                {
                    return self.undo(self.begun(index + 1), Ending::Cancelled, 0).await;
                }
                Tried::Pending(after, message) => {
                    return self.wait(index, after, None, message, quiet).await;
                }
                Tried::Away(server, message) => {
                    let after = self.engine.resources.settings.away_pause;
                    return self.wait(index, after, server, message, quiet).await;
                }
                Tried::Later(delay) => return self.release(index, delay).await,
                Tried::Failed(error) => {
                    return self.undo(self.begun(index + 1), Ending::Failed(error), 0).await;
                }
                Tried::Stuck(error) => return self.stick(index, false, error).await,
                Tried::Cancelled => {
                    return self.undo(self.begun(index + 1), Ending::Cancelled, 0).await;
                }
            }
            self.emit(OperationEventKind::StepFinished, Some(index), index + 1, "done");
        }
        self.emit(OperationEventKind::Succeeded, None, count, self.steps.done());
        let mut entry = Entry::at(count);
        entry.transition = Transition::Succeeded;
        entry.changes = Some(self.with_last_changes(true));
        if !self.write(entry).await?.accepted {
            return self.undo(count, Ending::Cancelled, 0).await;
        }
        tracing::info!("{} succeeded", self.steps.kind());
        Ok(Executed::Ended)
    }

    /// Runs a step once. Records meanwhile what was not recorded for a while; quick steps are recorded
    /// together. Not before the step: should a crash lose the record, the steps before run again.
    /// True if somebody asked to cancel.
    async fn run_beside_record(
        &self,
        index: usize,
        written: &mut Written,
    ) -> Result<(bool, Result<Done, StepError>), StepError> {
        let mut run = pin!(self.run_once(index));
        let at_once = self.engine.probe.records_each_step();
        let due = if at_once { Duration::ZERO } else { RECORD_AFTER.saturating_sub(written.at.elapsed()) };
        if let Ok(ran) = tokio::time::timeout(due, &mut run).await {
            let overdue = due.is_zero() && written.steps < index;
            let cancelled = if overdue { self.write_steps(index, written).await? } else { false };
            return Ok((cancelled, ran));
        }
        // A lost lease shows in the record, and ends the step too.
        let record = self.write_steps(index, written);
        tokio::try_join!(record, async { Ok(run.await) })
    }

    /// Runs a step, unless it `ran` once, and again after transient errors, as often as the settings allow.
    async fn try_step(
        &self,
        index: usize,
        mut failures: u32,
        mut ran: Option<Result<Done, StepError>>,
    ) -> Result<Tried, StepError> {
        let settings = &self.engine.resources.settings;
        let name = self.names[index];
        let mut prepared_anew = false;
        loop {
            let ran = match ran.take() {
                Some(ran) if !matches!(ran, Err(StepError::RegistryAway { .. })) => ran,
                _ => self.patiently(|| self.run_once(index)).await,
            };
            let past_return = index >= self.steps.no_return();
            if ran.is_err() {
                self.steps.forget_changes();
            }
            let error = match ran {
                Ok(Done::Now) => return Ok(Tried::Done),
                Ok(Done::Pending { again_after, message }) => {
                    return Ok(Tried::Pending(again_after, message));
                }
                Err(error @ (StepError::LeaseLost | StepError::RegistryAway { .. })) => return Err(error),
                Err(StepError::Stopping) => return Ok(Tried::Later(Duration::ZERO)),
                Err(StepError::ServerAway { server, message, known, .. }) => {
                    if !known {
                        self.note_away(server, &message).await?;
                    }
                    return Ok(Tried::Away(server, message));
                }
                Err(error @ (StepError::ServerBusy(_) | StepError::ServerFull { .. })) => {
                    return Ok(Tried::Pending(slots::AGAIN_AFTER, error.to_string()));
                }
                Err(StepError::ProviderAway { message }) => {
                    return Ok(Tried::Pending(
                        settings.away_pause.min(crate::providers::ASK_AGAIN_AFTER),
                        message,
                    ));
                }
                Err(StepError::DiskFull { server, message }) if past_return => {
                    return Ok(Tried::Away(Some(server), message));
                }
                Err(error) => error,
            };
            self.doubt_server();
            failures += 1;
            let (message, transient) = match error {
                StepError::Permanent { message } | StepError::DiskFull { message, .. } => (message, false),
                StepError::Unprepared { message } => (message, !std::mem::replace(&mut prepared_anew, true)),
                error => (error.to_string(), true),
            };
            // Asked to stop, a step may well end in an error.
            if !past_return && self.steps.signals().cancel.is_cancelled() {
                return Ok(Tried::Cancelled);
            }
            if !past_return && (!transient || failures >= settings.step_tries) {
                tracing::warn!(step.name = name, error = message, "step {name} failed: {message}");
                return Ok(Tried::Failed(format!("{name}: {message}")));
            }
            if past_return && failures >= settings.step_tries {
                return Ok(Tried::Stuck(format!("{name}: {message}")));
            }
            let delay = self.backoff(failures);
            tracing::info!(
                step.name = name,
                error = message,
                "step {name} failed and is tried again in {delay:?}: {message}"
            );
            let told = format!("failed, to be tried again in {:.1} s: {message}", delay.as_secs_f32());
            self.emit(OperationEventKind::Retrying, Some(index), index, &told);
            let mut entry = Entry::at(index);
            entry.error = Some(message);
            entry.retried = true;
            let cancelled = self.write(entry).await?.cancel_requested;
            if cancelled && !past_return {
                return Ok(Tried::Cancelled);
            }
            if delay > settings.lease {
                return Ok(Tried::Later(delay));
            }
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = self.heartbeat.lost.cancelled() => return Err(StepError::LeaseLost),
                () = self.steps.signals().cancel.cancelled(), if !past_return => return Ok(Tried::Cancelled),
                () = self.engine.stop.cancelled() => return Ok(Tried::Later(delay)),
            }
        }
    }

    async fn run_once(&self, index: usize) -> Result<Done, StepError> {
        let started = Instant::now();
        let run = async {
            self.reached(index, Moment::Before).await?;
            let mut done = Done::Now;
            for _ in 0..self.engine.probe.repetitions() {
                done = self.steps.run(index).await?;
            }
            self.reached(index, Moment::Ran).await?;
            Ok(done)
        };
        let ran = self.guarded(index, run).await;
        if ran.is_ok() {
            metrics::histogram!("tenantry_step_duration_seconds", "kind" => self.steps.kind().as_str(), "step" => self.names[index])
                .record(started.elapsed().as_secs_f64());
        }
        ran
    }

    /// Runs a part of a step within its timeout and lease, and not for long when the worker is told to stop. A panic is a
    /// failed try.
    pub(super) async fn guarded<T>(
        &self,
        index: usize,
        part: impl Future<Output = Result<T, StepError>>,
    ) -> Result<T, StepError> {
        let timeout = self.steps.timeout(index).unwrap_or(self.engine.resources.settings.step_timeout);
        let caught = AssertUnwindSafe(part).catch_unwind();
        tokio::select! {
            // First: a step whose lease is known to be lost must not send another statement.
            biased;
            () = self.heartbeat.lost.cancelled() => Err(StepError::LeaseLost),
            () = self.engine.no_time_left() => Err(StepError::Stopping),
            ran = tokio::time::timeout(timeout, caught) => match ran {
                Ok(Ok(ran)) => ran,
                Ok(Err(panic)) => Err(StepError::transient(format!("it panicked: {}", panic_text(&*panic)))),
                Err(_) => Err(StepError::timed_out(timeout)),
            },
        }
    }

    /// How many steps may have begun, when this worker has begun the first `count`. One that had the
    /// operation before may have come further than it could record.
    fn begun(&self, count: usize) -> usize {
        let steps = self.names.len();
        let count = if self.steps.lease().operation.attempts > 1 { steps } else { count };
        count.min(self.steps.no_return()).min(steps)
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
