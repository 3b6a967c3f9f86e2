//! The course of one operation, from lease to end.

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rand::RngExt;
use tenantry_domain::{
    ids::OperationId,
    operation::{OperationEventKind, OperationState},
    tenant::TenantPhase,
};
use tenantry_registry::{
    Ending, FencedError, Lease, NewEvent, Outcome, Record, RegistryError, TenantWithPlan,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

use super::{Definition, Engine, Looked, Moment, Point, Step, StepError, Work};
use crate::{Resources, operations};

pub(super) async fn look_at(engine: &Engine, id: OperationId) -> Looked {
    let Resources { registry, settings, .. } = &*engine.resources;
    // Read beside the lease.
    let (lease, tenant) = tokio::join!(
        registry.operation_lease(id, &settings.name, settings.lease),
        registry.tenant_of_operation(id),
    );
    let lease = match lease {
        Ok(Some(lease)) => lease,
        Ok(None) => return Looked::NothingToDo,
        Err(error) => {
            tracing::warn!(operation.id = %id, %error, "operation {id} cannot be taken");
            return Looked::Lost;
        }
    };
    let (kind, attempt) = (lease.operation.kind, lease.operation.attempts);
    let span = tracing::info_span!(
        "operation", operation.id = %id, operation.kind = %kind, operation.attempt = attempt,
        tenant.id = %lease.operation.tenant_id
    );
    let looked = course(engine, lease, tenant).instrument(span.clone()).await;
    let looked = match looked {
        Ok(looked) => looked,
        Err(StepError::LeaseLost) => {
            span.in_scope(|| tracing::info!("another worker has operation {id}"));
            Looked::Lost
        }
        Err(error) => {
            span.in_scope(|| tracing::warn!(%error, "operation {id} stopped; it will be taken up again"));
            Looked::Lost
        }
    };
    metrics::counter!("tenantry_operation_attempts_total", "kind" => kind.as_str(), "ended" => format!("{looked:?}"))
        .increment(1);
    looked
}

/// Renews the lease until dropped; cancels its token when the lease is lost, or may be: a worker that
/// cannot reach the registry must not go on while another one has taken over.
struct Heartbeat {
    lost: CancellationToken,
    _stop: DropGuard,
}

impl Heartbeat {
    fn begin(engine: &Engine, lease: &Lease) -> Self {
        let (lost, stop) = (CancellationToken::new(), CancellationToken::new());
        let (registry, lease, tell, until) =
            (engine.resources.registry.clone(), lease.clone(), lost.clone(), stop.clone());
        tokio::spawn(async move {
            let third = lease.duration / 3;
            let mut beat = tokio::time::interval(third);
            beat.tick().await;
            let mut renewed = Instant::now();
            while until.run_until_cancelled(beat.tick()).await.is_some() {
                let asked = Instant::now();
                match tokio::time::timeout(third, registry.operation_heartbeat(&lease)).await {
                    Ok(Ok(_)) => renewed = asked,
                    Ok(Err(FencedError::LeaseLost(_))) => return tell.cancel(),
                    // The next beat would come too late.
                    _ if renewed.elapsed() + third >= lease.duration => return tell.cancel(),
                    _ => {}
                }
            }
        });
        Self { lost, _stop: stop.drop_guard() }
    }
}

/// An operation at work.
struct Course<'a> {
    engine: &'a Engine,
    work: Work,
    definition: Definition,
    heartbeat: Heartbeat,
    /// Events that go with the next record.
    untold: Mutex<Vec<NewEvent>>,
}

/// How much of an operation's course is recorded, and since when.
struct Recorded {
    steps: usize,
    at: Instant,
}

/// Steps that take no longer are recorded together.
const RECORD_AFTER: Duration = Duration::from_millis(15);

/// The pause before a registry that is away is asked again.
const REGISTRY_AGAIN_AFTER: Duration = Duration::from_millis(50);

async fn course(
    engine: &Engine,
    lease: Lease,
    tenant: Result<Option<TenantWithPlan>, RegistryError>,
) -> Result<Looked, StepError> {
    let resources = &engine.resources;
    let heartbeat = Heartbeat::begin(engine, &lease);
    let operation = lease.operation.clone();
    // The worker that had it before may have written until the lease was ours.
    let first = operation.attempts == 1;
    let tenant = if first { tenant } else { resources.registry.tenant_of_operation(operation.id).await };
    let tenant = tenant?.ok_or_else(|| StepError::permanent("the tenant is gone"))?;
    let work = Work::new(lease, tenant, Arc::clone(resources));
    let definition = operations::define(operation.kind, &work);
    let course = Course { engine, work, definition, heartbeat, untold: Mutex::default() };
    if operation.state == OperationState::Undoing {
        let error = operation.error.unwrap_or_else(|| "interrupted".into());
        let outcome = if operation.cancel_requested { Outcome::Cancelled } else { Outcome::Failed { error } };
        let count = usize::from(operation.steps_done).min(course.definition.steps.len());
        return course.undo(count, outcome).await;
    }
    course.forward(usize::from(operation.steps_done), operation.cancel_requested).await
}

impl Course<'_> {
    async fn forward(&self, from: usize, mut cancel: bool) -> Result<Looked, StepError> {
        let steps = &self.definition.steps;
        let retries = self.work.lease.operation.retries;
        tracing::info!("{} begins at step {from} of {}", self.definition.kind, steps.len());
        self.tell(self.event(OperationEventKind::Started, None, from, "a worker has begun"));
        let mut recorded = Recorded { steps: from, at: Instant::now() };
        for (index, step) in steps.iter().enumerate().skip(from) {
            self.tell(self.event(OperationEventKind::StepStarted, Some(&**step), index, step.doing()));
            let turns = index >= self.definition.no_return;
            let mut ran = None;
            if cancel || turns || self.engine.stop.is_cancelled() {
                cancel |= self.record_steps(index, &mut recorded).await?;
            } else {
                let (cancelled, result) = self.run_beside_record(&**step, index, &mut recorded).await?;
                cancel |= cancelled;
                ran = Some(result);
            }
            // Asking to cancel is refused from the record on that turns, so one that is seen there came before.
            if cancel && index <= self.definition.no_return {
                return self.undo(self.begun(index + usize::from(ran.is_some())), Outcome::Cancelled).await;
            }
            if ran.is_none() && self.engine.stop.is_cancelled() {
                return self.give_back(Duration::ZERO).await;
            }
            let failures = if index == from { retries } else { 0 };
            match self.try_step(&**step, index, failures, ran).await? {
                Tried::Ran => {}
                Tried::Later(delay) => return self.give_back(delay).await,
                Tried::Failed(error) => {
                    return self.undo(self.begun(index + 1), Outcome::Failed { error }).await;
                }
            }
            self.tell(self.event(OperationEventKind::StepFinished, Some(&**step), index + 1, "done"));
        }
        self.tell(self.event(OperationEventKind::Succeeded, None, steps.len(), self.definition.done));
        if !self.finish(Outcome::Succeeded, self.definition.phase_when_done).await? {
            return self.undo(steps.len(), Outcome::Cancelled).await;
        }
        tracing::info!("{} succeeded", self.definition.kind);
        Ok(Looked::Ended)
    }

    /// Records the steps before `index` and that `index` is next.
    async fn record_steps(&self, index: usize, recorded: &mut Recorded) -> Result<bool, StepError> {
        let cancel = self.record(index, false, Vec::new(), None).await?;
        let before = std::mem::replace(recorded, Recorded { steps: index, at: Instant::now() });
        for step in &self.definition.steps[before.steps..index] {
            self.reached(&**step, Moment::Recorded).await?;
        }
        Ok(cancel)
    }

    /// Runs a step once. Records meanwhile what was not recorded for a while; quick steps are recorded
    /// together. Not before the step: should a crash lose the record, the steps before run again.
    /// True if somebody asked to cancel.
    async fn run_beside_record(
        &self,
        step: &dyn Step,
        index: usize,
        recorded: &mut Recorded,
    ) -> Result<(bool, Result<(), StepError>), StepError> {
        let mut run = pin!(self.run_once(step));
        let at_once = self.engine.probe.records_each_step();
        let due = if at_once { Duration::ZERO } else { RECORD_AFTER.saturating_sub(recorded.at.elapsed()) };
        if let Ok(ran) = tokio::time::timeout(due, &mut run).await {
            let overdue = due.is_zero();
            let cancelled = if overdue { self.record_steps(index, recorded).await? } else { false };
            return Ok((cancelled, ran));
        }
        // A lost lease shows in the record, and ends the step too.
        let record = self.record_steps(index, recorded);
        tokio::try_join!(record, async { Ok(run.await) })
    }

    /// Runs a step, unless it `ran` once, and again after transient errors, as often as the settings allow.
    async fn try_step(
        &self,
        step: &dyn Step,
        index: usize,
        mut failures: u32,
        mut ran: Option<Result<(), StepError>>,
    ) -> Result<Tried, StepError> {
        let settings = &self.engine.resources.settings;
        loop {
            let ran = match ran.take() {
                Some(ran) if !matches!(ran, Err(StepError::RegistryAway { .. })) => ran,
                _ => self.patiently(|| self.run_once(step)).await,
            };
            let error = match ran {
                Ok(()) => return Ok(Tried::Ran),
                Err(error @ (StepError::LeaseLost | StepError::RegistryAway { .. })) => return Err(error),
                Err(error) => error,
            };
            failures += 1;
            let (message, transient) = match error {
                StepError::Permanent { message } => (message, false),
                error => (error.to_string(), true),
            };
            let past_return = index >= self.definition.no_return;
            if !past_return && (!transient || failures >= settings.step_tries) {
                tracing::warn!(
                    step.name = step.name(),
                    error = message,
                    "step {} failed: {message}",
                    step.name()
                );
                return Ok(Tried::Failed(format!("{}: {message}", step.name())));
            }
            self.forget_server();
            let delay = self.backoff(failures);
            tracing::info!(
                step.name = step.name(),
                error = message,
                "step {} failed and is tried again in {delay:?}: {message}",
                step.name()
            );
            let event = self.event(
                OperationEventKind::Retrying,
                Some(step),
                index,
                &format!("failed, to be tried again in {:.1} s: {message}", delay.as_secs_f32()),
            );
            self.record(index, false, vec![event], Some(message)).await?;
            if delay > settings.lease {
                return Ok(Tried::Later(delay));
            }
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = self.heartbeat.lost.cancelled() => return Err(StepError::LeaseLost),
                () = self.engine.stop.cancelled() => return Ok(Tried::Later(delay)),
            }
        }
    }

    async fn run_once(&self, step: &dyn Step) -> Result<(), StepError> {
        let (started, timeout) = (Instant::now(), self.engine.resources.settings.step_timeout);
        let run = async {
            self.reached(step, Moment::Before).await?;
            for _ in 0..self.engine.probe.repetitions() {
                step.run(&self.work).await?;
            }
            self.reached(step, Moment::Ran).await
        };
        let ran = tokio::select! {
            ran = tokio::time::timeout(timeout, run) => ran.unwrap_or_else(|_| Err(StepError::timed_out(timeout))),
            () = self.heartbeat.lost.cancelled() => Err(StepError::LeaseLost),
        };
        if ran.is_ok() {
            metrics::histogram!("tenantry_step_duration_seconds", "kind" => self.definition.kind.as_str(), "step" => step.name())
                .record(started.elapsed().as_secs_f64());
        }
        ran
    }

    /// How many steps may have begun, when this worker has begun the first `count`. One that had the
    /// operation before may have come further than it could record.
    fn begun(&self, count: usize) -> usize {
        let steps = self.definition.steps.len();
        let count = if self.work.lease.operation.attempts > 1 { steps } else { count };
        count.min(self.definition.no_return).min(steps)
    }

    /// Takes back the first `count` steps, last first; then ends the operation.
    async fn undo(&self, count: usize, outcome: Outcome) -> Result<Looked, StepError> {
        let error = match &outcome {
            Outcome::Failed { error } => Some(error.clone()),
            _ => None,
        };
        // Recorded first: a crash from here on goes on undoing.
        self.record(count, true, Vec::new(), error).await?;
        for (index, step) in self.definition.steps.iter().enumerate().take(count).rev() {
            let mut failures = 0;
            loop {
                let undo = async {
                    for _ in 0..self.engine.probe.repetitions() {
                        step.undo(&self.work).await?;
                    }
                    self.reached(&**step, Moment::Undone).await
                };
                let timeout = self.engine.resources.settings.step_timeout;
                let undone = tokio::select! {
                    undone = tokio::time::timeout(timeout, undo) => {
                        undone.unwrap_or_else(|_| Err(StepError::timed_out(timeout)))
                    }
                    () = self.heartbeat.lost.cancelled() => Err(StepError::LeaseLost),
                };
                match undone {
                    Ok(()) => break,
                    Err(StepError::LeaseLost) => return Err(StepError::LeaseLost),
                    Err(error) => {
                        self.forget_server();
                        failures += 1;
                        let delay = self.backoff(failures);
                        let message = format!("undoing failed, to be tried again: {error}");
                        tracing::warn!(step.name = step.name(), %error, "undoing step {} failed: {error}", step.name());
                        let event = self.event(OperationEventKind::Retrying, Some(&**step), index, &message);
                        self.record(index + 1, true, vec![event], None).await?;
                        if delay > self.engine.resources.settings.lease || self.engine.stop.is_cancelled() {
                            return self.give_back(delay).await;
                        }
                        tokio::time::sleep(delay).await;
                    }
                }
            }
            let event = self.event(OperationEventKind::StepUndone, Some(&**step), index, "undone");
            self.record(index, true, vec![event], None).await?;
        }
        let (kind, message) = match &outcome {
            Outcome::Cancelled => (OperationEventKind::Cancelled, "cancelled and undone".to_owned()),
            Outcome::Failed { error } => (OperationEventKind::Failed, format!("failed and undone: {error}")),
            Outcome::Succeeded => unreachable!("what succeeded is not undone"),
        };
        self.tell(self.event(kind, None, 0, &message));
        self.finish(outcome, self.definition.phase_when_undone).await?;
        tracing::warn!("{} ended: {message}", self.definition.kind);
        Ok(Looked::Ended)
    }

    /// Whatever was wrong with the connection to the server: its address and login are read anew.
    fn forget_server(&self) {
        if let Some(placement) = self.work.placement() {
            self.engine.resources.servers.forget(placement.server_id);
        }
    }

    async fn give_back(&self, delay: Duration) -> Result<Looked, StepError> {
        self.patiently(|| self.registry().operation_release(&self.work.lease, delay)).await?;
        Ok(Looked::GivenBack)
    }

    /// Records that `done` steps are finished and not undone; true if somebody asked to cancel.
    async fn record(
        &self,
        done: usize,
        undoing: bool,
        events: Vec<NewEvent>,
        error: Option<String>,
    ) -> Result<bool, StepError> {
        let mut told = self.untold();
        told.extend(events);
        let record = Record {
            undoing,
            steps_done: u16::try_from(done).unwrap_or(u16::MAX),
            step: self.definition.steps.get(done).map(|step| step.name()),
            progress: self.progress(done),
            cancellable: !undoing && done < self.definition.no_return,
            retried: error.is_some() && !undoing,
            error,
            schema_version: self.work.take_schema_version(),
            events: told,
        };
        self.patiently(|| self.registry().operation_record(&self.work.lease, &record)).await
    }

    /// Ends the operation; false, and it goes on, if somebody asked to cancel what went well.
    async fn finish(&self, outcome: Outcome, tenant: Option<TenantPhase>) -> Result<bool, StepError> {
        let schema_version = self.work.take_schema_version();
        let ending = Ending { outcome, tenant, schema_version, events: self.untold() };
        self.patiently(|| self.registry().operation_finish(&self.work.lease, &ending)).await
    }

    /// Does something again and again while the registry is away and the lease may hold.
    async fn patiently<T, E, F>(&self, mut run: impl FnMut() -> F) -> Result<T, StepError>
    where
        E: Into<StepError>,
        F: Future<Output = Result<T, E>>,
    {
        let mut away_since = None;
        loop {
            match run().await.map_err(Into::into) {
                Err(StepError::RegistryAway { message })
                    if away_since.get_or_insert_with(Instant::now).elapsed() < self.work.lease.duration =>
                {
                    tracing::debug!(error = message, "the registry is away; trying again");
                    tokio::time::sleep(REGISTRY_AGAIN_AFTER).await;
                }
                result => return result,
            }
        }
    }

    async fn reached(&self, step: &dyn Step, moment: Moment) -> Result<(), StepError> {
        self.engine.probe.reached(Point { kind: self.definition.kind, step: step.name(), moment }).await
    }

    fn tell(&self, event: NewEvent) {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    fn untold(&self) -> Vec<NewEvent> {
        std::mem::take(&mut *self.untold.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn registry(&self) -> &tenantry_registry::Registry {
        &self.engine.resources.registry
    }

    /// Doubles from the base to the cap, with jitter of a half, so that many do not come back at once.
    fn backoff(&self, failures: u32) -> Duration {
        let settings = &self.engine.resources.settings;
        let full = settings.retry_base.saturating_mul(1 << (failures - 1).min(16)).min(settings.retry_cap);
        full.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    fn progress(&self, done: usize) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "operations have a handful of steps")]
        let share = done as f32 / self.definition.steps.len().max(1) as f32;
        share.clamp(0.0, 1.0)
    }

    fn event(
        &self,
        kind: OperationEventKind,
        step: Option<&dyn Step>,
        done: usize,
        message: &str,
    ) -> NewEvent {
        NewEvent {
            kind,
            step: step.map(Step::name),
            progress: self.progress(done),
            message: message.to_owned(),
        }
    }
}

/// What became of a step.
enum Tried {
    Ran,
    Later(Duration),
    Failed(String),
}
