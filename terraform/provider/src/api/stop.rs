//! Terraform wants no more to be waited for.

use tokio::sync::watch;

/// Whether somebody has interrupted Terraform.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Sender<bool>);

impl Stop {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Returns when it is wanted.
    pub(crate) async fn stopped(&self) {
        // The sender is in self.
        let _ = self.0.subscribe().wait_for(|stopped| *stopped).await;
    }
}
