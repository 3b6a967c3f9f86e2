//! A provider that hangs holds up one operation at a time, not all that ask it.
//!
//! Each call may take seconds until it is given up, and keeps a place of the lane `long` meanwhile: a few orders that wait for a
//! cloud would leave no place for moves. So after one that took long in vain, others fail at once for a while; then one tries.
//! Nor do more than two ask at the same time, however slowly it answers. What it says is cut to what a person reads.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tenantry_domain::{ids::ServerId, server};
use tenantry_registry::Registry;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{ASK_AGAIN_AFTER, Look, Order, Provider, ProviderError};

/// A call that takes longer than this, and fails, hung.
const LONG: Duration = Duration::from_secs(3);

/// Operations that may ask at the same time, and how long one waits for that.
const AT_ONCE: usize = 2;
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest message that is kept of a provider's, in characters.
const MAX_MESSAGE: usize = 1000;

/// See the module.
pub(super) struct Guarded {
    inner: Arc<dyn Provider>,
    turns: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Answers,
    /// It hung; nobody asks before.
    Hangs {
        until: Instant,
        message: String,
    },
    /// One asks whether it still does.
    Tried {
        message: String,
    },
}

/// Whoever tries it. What it finds is noted, or that it found nothing.
struct Trial<'a> {
    guarded: &'a Guarded,
    state: Option<State>,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            self.guarded.note(state);
        }
    }
}

impl Guarded {
    pub(super) fn new(inner: Arc<dyn Provider>) -> Arc<Self> {
        Arc::new(Self { inner, turns: Semaphore::new(AT_ONCE), state: Mutex::new(State::Answers) })
    }

    fn note(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Lets one through, unless it hangs.
    fn begin(&self) -> Result<Trial<'_>, ProviderError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let message = match &*state {
            State::Answers => return Ok(Trial { guarded: self, state: None }),
            State::Hangs { until, message } if *until <= Instant::now() => message.clone(),
            State::Hangs { message, .. } | State::Tried { message } => {
                return Err(ProviderError::Transient(message.clone()));
            }
        };
        *state = State::Tried { message: message.clone() };
        // Should it be given up: the next one tries.
        Ok(Trial { guarded: self, state: Some(State::Hangs { until: Instant::now(), message }) })
    }

    async fn guard<T>(
        &self,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let Ok(_turn) = timeout(PATIENCE, self.turns.acquire()).await else {
            return Err(ProviderError::Busy);
        };
        let mut trial = self.begin()?;
        let begun = Instant::now();
        let done = call.await.map_err(|error| match error {
            ProviderError::Transient(message) => ProviderError::Transient(readable(&message)),
            ProviderError::Permanent(message) => ProviderError::Permanent(readable(&message)),
            ProviderError::Busy => ProviderError::Busy,
        });
        match &done {
            Err(ProviderError::Transient(message)) if begun.elapsed() > LONG => {
                let (until, message) = (Instant::now() + ASK_AGAIN_AFTER, message.clone());
                trial.state = Some(State::Hangs { until, message });
            }
            _ if trial.state.is_some() => trial.state = Some(State::Answers),
            _ => {}
        }
        done
    }
}

/// A message without control characters, which no database keeps, and not longer than a person reads.
fn readable(message: &str) -> String {
    message.chars().filter(|letter| !letter.is_control()).take(MAX_MESSAGE).collect()
}

#[async_trait]
impl Provider for Guarded {
    fn kind(&self) -> server::Provider {
        self.inner.kind()
    }

    fn look_every(&self) -> Duration {
        self.inner.look_every()
    }

    fn shows_changes_within(&self) -> Duration {
        self.inner.shows_changes_within()
    }

    async fn order(&self, order: &Order) -> Result<(), ProviderError> {
        self.guard(self.inner.order(order)).await
    }

    async fn look(&self, id: ServerId) -> Result<Look, ProviderError> {
        let look = self.guard(self.inner.look(id)).await?;
        Ok(if let Look::Making(message) = look { Look::Making(readable(&message)) } else { look })
    }

    async fn resize(&self, order: &Order) -> Result<(), ProviderError> {
        self.guard(self.inner.resize(order)).await
    }

    async fn hibernate(&self, id: ServerId, asleep: bool, fence: i64) -> Result<(), ProviderError> {
        self.guard(self.inner.hibernate(id, asleep, fence)).await
    }

    async fn delete(&self, id: ServerId) -> Result<(), ProviderError> {
        self.guard(self.inner.delete(id)).await
    }

    async fn list(&self) -> Result<Vec<ServerId>, ProviderError> {
        self.guard(self.inner.list()).await
    }

    async fn sweep(&self) -> Result<(), ProviderError> {
        self.guard(self.inner.sweep()).await
    }

    async fn supervise(self: Arc<Self>, registry: Registry, stop: CancellationToken) {
        Arc::clone(&self.inner).supervise(registry, stop).await;
    }
}
