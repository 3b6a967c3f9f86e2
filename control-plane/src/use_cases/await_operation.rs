//! Waiting for an operation to end.

use std::time::Duration;

use tenantry_domain::operation::Operation;
use tenantry_registry::Registry;
use tokio::time::{Instant, sleep, timeout_at};

use crate::operation_watch::{Subscription, Woken};

/// News may be lost with a connection that looks alive: look again after this long without any.
const WITHOUT_NEWS: Duration = Duration::from_secs(2);

/// Waits until the operation is finished or stuck, at most `limit`; answers it as it was seen last, if at all.
pub(crate) async fn await_operation(
    registry: &Registry,
    subscription: &mut Subscription,
    limit: Duration,
) -> Option<Operation> {
    let deadline = Instant::now() + limit;
    let mut seen = None;
    let watch = async {
        loop {
            let woken = tokio::select! {
                woken = subscription.end() => woken,
                () = sleep(WITHOUT_NEWS) => Woken::News,
            };
            if woken == Woken::Stopping {
                return;
            }
            match registry.operation_get(subscription.id()).await {
                Ok(operation) => {
                    let finished = operation.as_ref().is_none_or(|operation| operation.state.is_at_rest());
                    seen = operation;
                    if finished {
                        return;
                    }
                }
                // The operation goes on without us. Whether it is done is asked again.
                Err(error) => tracing::debug!(%error, "an operation could not be looked at"),
            }
        }
    };
    // Whether it was in time shows in the operation's state.
    let _ = timeout_at(deadline, watch).await;
    seen
}
