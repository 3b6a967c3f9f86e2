//! The sessions of a transfer that has come to its end.

use super::{
    super::{AdminError, ServerAdmin, connections::AdminConnection, owner::Owner},
    session::run,
    write_fence::{self, OPEN},
};

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

    /// Nothing is to be done any more: the sessions may be used for another tenant.
    pub fn finish(mut self) {
        self.from.finish();
        self.to.finish();
    }
}
