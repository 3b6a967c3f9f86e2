//! Renewing a lease while an operation is at work, and carrying signals meanwhile: requests to cancel in,
//! progress out.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use tenantry_registry::FencedError;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Engine, Steps};

/// Progress is written no more often than this.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// Renews a lease until dropped; cancels its token when the lease is lost, or may be: a worker that cannot
/// reach the registry must not go on while another one has taken over.
pub(super) struct Heartbeat {
    pub(super) lost: CancellationToken,
    _stop: DropGuard,
}

impl Heartbeat {
    pub(super) fn begin(engine: &Engine, steps: &Arc<dyn Steps>) -> Self {
        let (lost, stop) = (CancellationToken::new(), CancellationToken::new());
        tokio::spawn(beat(engine.clone(), Arc::clone(steps), lost.clone(), stop.clone()));
        Self { lost, _stop: stop.drop_guard() }
    }
}

async fn beat(engine: Engine, steps: Arc<dyn Steps>, lost: CancellationToken, stop: CancellationToken) {
    let (registry, lease, signals) = (&engine.resources.registry, steps.lease(), steps.signals());
    let third = lease.duration / 3;
    let mut beat = tokio::time::interval(third);
    beat.tick().await;
    let (mut renewed, mut written) = (Instant::now(), None::<Instant>);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
            () = signals.progressed.notified() => {
                let pause = written.map_or(Duration::ZERO, |at| PROGRESS_EVERY.saturating_sub(at.elapsed()));
                if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
                written = Some(Instant::now());
            }
        }
        let progress = signals.progress.lock().unwrap_or_else(PoisonError::into_inner).take();
        let asked = Instant::now();
        let message = progress.as_ref().map(|(share, message)| (signals.of_all(*share), message.as_str()));
        match tokio::time::timeout(third, registry.operation_heartbeat(lease, message)).await {
            Ok(Ok(cancel)) => {
                renewed = asked;
                if cancel {
                    signals.cancel.cancel();
                }
            }
            Ok(Err(FencedError::LeaseLost(_))) => return lost.cancel(),
            // The next beat would come too late.
            _ if renewed.elapsed() + third >= lease.duration => return lost.cancel(),
            _ => {}
        }
    }
}
