//! Undoing an operation: its steps are taken back, last first; then it ends.

use std::time::Duration;

use tenantry_domain::operation::OperationEventKind;
use tenantry_registry::Transition;

use super::{Executed, Moment, execution::Execution, record::Entry};
use crate::{slots, step_error::StepError};

/// How an operation ends when it is undone.
pub(super) enum Ending {
    Failed(String),
    Cancelled,
}

impl Execution<'_> {
    /// Takes back the first `count` steps, last first; then ends the operation.
    pub(super) async fn undo(
        &self,
        count: usize,
        ending: Ending,
        retries: u32,
    ) -> Result<Executed, StepError> {
        // One that has run was not recorded, and is taken back now.
        self.steps.forget_changes();
        // Recorded first: a crash from here on goes on undoing.
        let mut entry = Entry::undoing(count);
        entry.error = match &ending {
            Ending::Failed(error) => Some(error.clone()),
            Ending::Cancelled => None,
        };
        self.write(entry).await?;
        let mut failures = retries;
        for index in (0..count).rev() {
            if let Some(released) = self.undo_step(index, failures).await? {
                return Ok(released);
            }
            failures = 0;
            self.emit(OperationEventKind::StepUndone, Some(index), index, "undone");
            self.write(Entry::undoing(index)).await?;
        }
        let (kind, message, transition) = match &ending {
            Ending::Cancelled => {
                (OperationEventKind::Cancelled, "cancelled and undone".to_owned(), Transition::Cancelled)
            }
            Ending::Failed(error) => {
                (OperationEventKind::Failed, format!("failed and undone: {error}"), Transition::Failed)
            }
        };
        self.emit(kind, None, 0, &message);
        let mut entry = Entry::undoing(0);
        entry.transition = transition;
        entry.changes = Some(self.with_last_changes(false));
        self.write(entry).await?;
        tracing::warn!("{} ended: {message}", self.steps.kind());
        Ok(Executed::Ended)
    }

    /// Takes a step back, again after errors, as often as the settings allow; then the operation is stuck.
    /// Some: it was released, or ended, before the step is undone.
    async fn undo_step(&self, index: usize, mut failures: u32) -> Result<Option<Executed>, StepError> {
        let (settings, name) = (&self.engine.resources.settings, self.names[index]);
        loop {
            let undo = async {
                for _ in 0..self.engine.probe.repetitions() {
                    self.steps.undo(index).await?;
                }
                self.reached(index, Moment::Undone).await
            };
            let error = match self.guarded(index, undo).await {
                Ok(()) => return Ok(None),
                Err(error @ (StepError::LeaseLost | StepError::RegistryAway { .. })) => return Err(error),
                Err(StepError::Stopping) => {
                    return self.release_undo(index, Transition::Queued(Duration::ZERO), None).await;
                }
                Err(StepError::ServerAway { server, message, known, .. }) => {
                    // That the registry knew of it is no news.
                    if !known {
                        self.note_away(server, &message).await?;
                        self.emit(OperationEventKind::Waiting, Some(index), index + 1, &message);
                    }
                    let until = Transition::Waiting(settings.away_pause, server);
                    return self.release_undo(index, until, Some(message)).await;
                }
                Err(error @ (StepError::ServerBusy(_) | StepError::ServerFull { .. })) => {
                    let until = Transition::Waiting(slots::AGAIN_AFTER, None);
                    return self.release_undo(index, until, Some(error.to_string())).await;
                }
                Err(StepError::ProviderAway { message }) => {
                    let until =
                        Transition::Waiting(settings.away_pause.min(crate::providers::ASK_AGAIN_AFTER), None);
                    return self.release_undo(index, until, Some(message)).await;
                }
                Err(StepError::DiskFull { server, message }) => {
                    // That it goes on waiting is no news.
                    if self.steps.lease().operation.message.is_none() {
                        self.emit(OperationEventKind::Waiting, Some(index), index + 1, &message);
                    }
                    let until = Transition::Waiting(settings.away_pause, Some(server));
                    return self.release_undo(index, until, Some(message)).await;
                }
                Err(error) => error,
            };
            self.doubt_server();
            failures += 1;
            tracing::warn!(step.name = name, %error, "undoing step {name} failed: {error}");
            if failures >= settings.step_tries {
                return self.stick(index + 1, true, format!("undoing {name}: {error}")).await.map(Some);
            }
            let delay = self.backoff(failures);
            let message = format!("undoing failed, to be tried again: {error}");
            self.emit(OperationEventKind::Retrying, Some(index), index + 1, &message);
            let mut entry = Entry::undoing(index + 1);
            entry.retried = true;
            let later = delay > settings.lease || self.engine.stop.is_cancelled();
            if later {
                entry.transition = Transition::Queued(delay);
            }
            self.write(entry).await?;
            if later {
                return Ok(Some(Executed::Released));
            }
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = self.heartbeat.lost.cancelled() => return Err(StepError::LeaseLost),
                () = self.engine.stop.cancelled() => return self.release_undo(index, Transition::Queued(Duration::ZERO), None).await,
            }
        }
    }

    /// Releases the operation before a step is undone: it waits for something, or this worker stops.
    async fn release_undo(
        &self,
        index: usize,
        until: Transition,
        message: Option<String>,
    ) -> Result<Option<Executed>, StepError> {
        let mut entry = Entry::undoing(index + 1);
        entry.transition = until;
        entry.message = message;
        self.write(entry).await?;
        Ok(Some(Executed::Released))
    }
}
