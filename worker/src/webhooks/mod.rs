//! Webhooks: tells endpoints of others what has happened, at least once, each tenant's events in order. ADR 17.
//!
//! The registry's triggers decide who is told of what; here it is sent. One queue of a webhook is one worker's at a time; what a
//! worker has sent and could not note is sent again by another.

mod sender;
mod settings;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt;
use tenantry_domain::{ids::WebhookId, webhook::pause_after};
pub use tenantry_outbound::{HostResolver, SystemHosts};
use tenantry_registry::{Attempt, AttemptEnd, RegistryError, TakeLimits};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use self::sender::{Refused, Sender};
pub use self::settings::WebhookSettings;
use crate::Resources;

/// Tries to note what came of an attempt: an event that was delivered is sent again otherwise.
const NOTE_TRIES: u32 = 5;
const NOTE_PAUSE: Duration = Duration::from_millis(500);

/// What this worker is sending.
#[derive(Default)]
struct InHand {
    tasks: JoinSet<()>,
    webhooks: HashMap<Id, WebhookId>,
}

impl InHand {
    fn begin(&mut self, webhook: WebhookId, attempt: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(attempt);
        self.webhooks.insert(task.id(), webhook);
    }

    /// Waits until one has ended; for ever if there is none.
    async fn ended(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            None => return std::future::pending().await,
            Some(Ok((id, ()))) => id,
            Some(Err(panicked)) => {
                tracing::error!(error = %panicked, "sending to a webhook panicked; it is tried again: {panicked}");
                panicked.id()
            }
        };
        self.webhooks.remove(&id);
    }

    /// How many there are, by webhook.
    fn busy(&self) -> Vec<(WebhookId, usize)> {
        let mut busy = BTreeMap::new();
        for webhook in self.webhooks.values() {
            *busy.entry(*webhook).or_insert(0) += 1;
        }
        busy.into_iter().collect()
    }
}

/// Sends what is due until `stop`.
pub(crate) async fn run(resources: Arc<Resources>, stop: CancellationToken) {
    let sender = Arc::new(Sender::new(resources.settings.webhooks.clone(), Arc::clone(&resources.outbound)));
    let mut news = resources.registry.webhook_feed();
    let mut in_hand = InHand::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = news.next() => {}
            () = in_hand.ended() => {}
            // Times of next attempts come by themselves.
            () = tokio::time::sleep(resources.settings.webhooks.poll_interval) => {}
        }
        if let Err(error) = begin_due(&resources, &sender, &mut in_hand).await {
            tracing::debug!(%error, "what is to be sent to webhooks cannot be asked for");
        }
    }
    let all = async {
        while !in_hand.tasks.is_empty() {
            in_hand.ended().await;
        }
    };
    // What takes longer is sent again by another worker, when the lease is over.
    let _ = tokio::time::timeout(resources.settings.stop_grace, all).await;
}

/// Begins as much of what is due as there is room for.
async fn begin_due(
    resources: &Arc<Resources>,
    sender: &Arc<Sender>,
    in_hand: &mut InHand,
) -> Result<(), RegistryError> {
    let settings = &resources.settings.webhooks;
    let limits = TakeLimits {
        of_one: settings.at_once_of_one,
        in_all: settings.at_once.saturating_sub(in_hand.tasks.len()),
    };
    if limits.in_all == 0 {
        return Ok(());
    }
    let (registry, now, lease) = (&resources.registry, resources.clock.now(), resources.settings.lease);
    let taken = registry.webhook_queues_take(now, &in_hand.busy(), limits, lease).await?;
    if taken.is_empty() {
        return Ok(());
    }
    for attempt in registry.webhook_attempts(&taken, now).await? {
        let (resources, sender) = (Arc::clone(resources), Arc::clone(sender));
        in_hand.begin(attempt.taken.webhook, async move { run_attempt(&resources, &sender, &attempt).await });
    }
    Ok(())
}

async fn run_attempt(resources: &Resources, sender: &Sender, attempt: &Attempt) {
    let lease = resources.settings.lease;
    let keep = async {
        loop {
            tokio::time::sleep(lease / 3).await;
            if matches!(resources.registry.webhook_queue_renew(&attempt.taken, lease).await, Ok(false)) {
                return;
            }
        }
    };
    let started = Instant::now();
    let sent = tokio::select! {
        sent = sender.send(attempt, &resources.kek, resources.clock.now()) => sent,
        // Another worker sends it, or the webhook is gone.
        () = keep => return,
    };
    metrics::histogram!("tenantry_webhook_attempt_duration_seconds").record(started.elapsed().as_secs_f64());
    let end = end_of(resources, attempt, sent);
    for _ in 0..NOTE_TRIES {
        match resources.registry.webhook_attempt_end(attempt, &end, resources.clock.now()).await {
            Ok(noted) => {
                if !noted {
                    tracing::debug!(event.id = %attempt.event.id, "another worker has sent the event meanwhile");
                }
                return;
            }
            Err(error) => {
                tracing::debug!(%error, event.id = %attempt.event.id, "what came of an event cannot be noted");
                tokio::time::sleep(NOTE_PAUSE).await;
            }
        }
    }
}

/// What is noted of an attempt, counted and logged.
fn end_of(resources: &Resources, attempt: &Attempt, sent: Result<u16, Refused>) -> AttemptEnd {
    let (webhook, event) = (attempt.taken.webhook, &attempt.event);
    let (end, outcome) = match sent {
        Ok(status) => (AttemptEnd::Delivered { status }, "delivered"),
        Err(Refused { status, message, for_good }) => {
            let pause = pause_after(attempt.failed + 1, rand::RngExt::random(&mut rand::rng()));
            let again_at = pause.filter(|_| !for_good).map(|pause| resources.clock.now() + pause);
            let outcome = if again_at.is_some() { "failed" } else { "dead" };
            tracing::warn!(
                webhook.id = %webhook, event.id = %event.id, attempt = attempt.failed + 1,
                "event {} ({}) was not delivered to webhook {webhook}: {message}", event.id, event.kind
            );
            if for_good {
                tracing::warn!(webhook.id = %webhook, "webhook {webhook} is gone (410) and disabled");
            }
            (AttemptEnd::Failed { status, error: message, again_at, disables: for_good }, outcome)
        }
    };
    metrics::counter!("tenantry_webhook_attempts_total", "outcome" => outcome).increment(1);
    end
}
