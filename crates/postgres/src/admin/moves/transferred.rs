//! The sessions of a transfer that has come to its end.

use std::time::Duration;

use super::{
    super::{AdminError, ServerAdmin, connections::AdminConnection, owner::Owner},
    session::run,
    write_fence::{self, OPEN},
};

/// How long is waited until nothing of the tenant's is left in a session.
const RESET_PATIENCE: Duration = Duration::from_secs(1);

/// A transfer whose rows are all there. A connection would be waited for while writes wait, so the one at the target is kept
/// to let the tenant in. It has a place in the budget of each server: whoever keeps it waits for no other connection there.
/// Its sessions are forgotten, so that nobody waits for one that hangs while it is kept. They are closed when it is dropped, and
/// may be used for others after [`Transferred::finish`].
pub struct Transferred {
    pub(super) from: AdminConnection,
    pub(super) to: AdminConnection,
}

impl std::fmt::Debug for Transferred {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transferred").finish_non_exhaustive()
    }
}

impl Transferred {
    /// As [`ServerAdmin::let_in`], which is the target's.
    ///
    /// # Errors
    /// The session may be gone by now: that says nothing of the server.
    pub async fn let_in(&mut self, target: &ServerAdmin, owner: Owner<'_>) -> Result<(), AdminError> {
        self.to.be_watched();
        let done = run(&mut self.to, &write_fence::let_in(owner)).await;
        done.map_err(|error| target.failed(OPEN, error))
    }

    /// Nothing is to be done any more: the sessions may be used for another tenant. Where that takes long they are closed
    /// instead.
    pub async fn finish(mut self) {
        // The settings of the transfer, and what the tenant's own SQL may have left in them.
        let reset = "RESET ALL; UNLISTEN *; DISCARD TEMP; DEALLOCATE ALL; SELECT pg_advisory_unlock_all()";
        let reset = async |end: &mut AdminConnection| {
            if run(end, reset).await.is_ok() {
                end.finish();
            }
        };
        let both = async { tokio::join!(reset(&mut self.from), reset(&mut self.to)) };
        // What is not reset by then is closed.
        let _ = tokio::time::timeout(RESET_PATIENCE, both).await;
    }
}
