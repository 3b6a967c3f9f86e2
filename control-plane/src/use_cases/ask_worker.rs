//! Asking a worker what only a worker can find out: it connects to tenant servers, the control plane does not.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use tenantry_domain::{
    Clock,
    ids::InquiryId,
    inquiry::{Answer, Question},
};
use tenantry_registry::{Asked, Registry, RegistryError, feed::InquiryNews};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout_at},
};

/// How long an answer is waited for; a worker gives up a little earlier.
const LIMIT: Duration = Duration::from_secs(20);

/// News may be lost with a connection that looks alive: look again after this long without any.
const WITHOUT_NEWS: Duration = Duration::from_secs(1);

/// Inquiries that one process waits for at a time: each has a connection that listens.
const AT_ONCE: usize = 4;

/// See the module.
#[derive(Clone)]
pub(crate) struct AskWorker {
    registry: Registry,
    clock: Arc<dyn Clock>,
    places: Arc<Semaphore>,
}

/// There is no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// No worker took the question.
    NoWorker,
    /// A worker has tried, or is still at it.
    Failed(String),
    /// The registry failed.
    Registry(RegistryError),
}

impl Unanswered {
    /// The answer is one to another question: the worker is of another release.
    pub(crate) fn foreign() -> Self {
        Self::Failed(
            "a worker of another release has answered something else; bring all to one release".into(),
        )
    }
}

impl From<RegistryError> for Unanswered {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl AskWorker {
    pub(crate) fn new(registry: Registry, clock: Arc<dyn Clock>) -> Self {
        Self { registry, clock, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(&self, question: &Question) -> Result<Answer, Unanswered> {
        let deadline = Instant::now() + LIMIT;
        let Ok(Ok(_place)) = timeout_at(deadline, self.places.acquire()).await else {
            return Err(Unanswered::Failed(
                "too many other questions wait for the workers; try again shortly".into(),
            ));
        };
        let id = InquiryId::generate(self.clock.now(), &mut rand::rng());
        self.registry.inquiry_ask(id, question).await?;
        let answered = self.wait(id, deadline).await;
        // One that is not forgotten here is after some minutes.
        if let Err(error) = self.registry.inquiry_forget(id).await {
            tracing::debug!(%error, "an inquiry is not forgotten yet");
        }
        match answered? {
            Asked::Answered(Answer::Failed { message }) => Err(Unanswered::Failed(message)),
            Asked::Answered(answer) => Ok(answer),
            Asked::Taken => {
                Err(Unanswered::Failed("the worker that was asked has not answered in time".into()))
            }
            Asked::Open => Err(Unanswered::NoWorker),
        }
    }

    async fn wait(&self, id: InquiryId, deadline: Instant) -> Result<Asked, RegistryError> {
        // It begins with `Reconnected` once it listens: what came before is seen by the look that follows.
        let mut news = self.registry.inquiry_feed();
        let heard = async |news: &mut tenantry_registry::feed::Feed<InquiryNews>| loop {
            match news.next().await {
                Some(InquiryNews::Answered(answered)) if answered == id => return,
                Some(InquiryNews::Reconnected) | None => return,
                Some(_) => {}
            }
        };
        loop {
            let look_again = async {
                tokio::select! {
                    () = heard(&mut news) => {}
                    () = sleep(WITHOUT_NEWS) => {}
                }
            };
            let in_time = timeout_at(deadline, look_again).await.is_ok();
            match self.registry.inquiry_get(id).await? {
                Some(answered @ Asked::Answered(_)) => return Ok(answered),
                other if !in_time => return Ok(other.unwrap_or(Asked::Open)),
                _ => {}
            }
        }
    }
}
