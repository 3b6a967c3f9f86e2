//! Work on both ends of a move, and what ends it early.

use std::time::{Duration, Instant};

use tenantry_postgres::admin::{MoveError, PublicationId, Transfer};

use super::{LOCK_PATIENCE, Move, publication, source};
use crate::{
    engine::{PlacedAt, Work},
    operations::placements::{LOOK_EVERY, away, between, site},
    step_error::StepError,
};

/// Connects both ends. Its sessions are the only ones there that the move has meanwhile.
pub(super) async fn connect<'a>(
    work: &'a Work<Move>,
    from: &'a PlacedAt,
    to: &'a PlacedAt,
) -> Result<Transfer<'a>, StepError> {
    connect_for(work, from, to, publication(work)).await
}

pub(super) async fn connect_for<'a>(
    work: &'a Work<Move>,
    from: &'a PlacedAt,
    to: &'a PlacedAt,
    publication: PublicationId,
) -> Result<Transfer<'a>, StepError> {
    let connect = Transfer::connect(site(from), site(to), work.owner(&from.placement), publication);
    Box::pin(watched(work, from, to, connect)).await
}

/// Waits for work on both servers, looking meanwhile whether they are there, the work is still wanted, and the old server
/// does not keep too much for it.
pub(super) async fn watched<T>(
    work: &Work<Move>,
    from: &PlacedAt,
    to: &PlacedAt,
    done: impl Future<Output = Result<T, MoveError>>,
) -> Result<T, StepError> {
    watched_as(work, from, to, done).await?.map_err(|error| between(from, to, error))
}

/// As [`watched`], with what became of the work as it is.
pub(super) async fn watched_as<T>(
    work: &Work<Move>,
    from: &PlacedAt,
    to: &PlacedAt,
    done: impl Future<Output = Result<T, MoveError>>,
) -> Result<Result<T, MoveError>, StepError> {
    let trouble = async {
        tokio::select! {
            () = work.cancelled().cancelled() => StepError::transient("it was asked to stop"),
            error = away(from) => error,
            error = away(to) => error,
            error = too_much_wal(work) => error,
        }
    };
    tokio::select! {
        biased;
        done = Box::pin(done) => Ok(done),
        error = Box::pin(trouble) => Err(error),
    }
}

/// Waits until a server keeps more WAL for the move than it may.
async fn too_much_wal(work: &Work<Move>) -> StepError {
    let Some(slot) = work.state().slot else { return std::future::pending().await };
    // Mostly it is over by then.
    tokio::time::sleep(LOOK_EVERY).await;
    let from = match source(work).await {
        Ok(from) => from,
        Err(error) => return error,
    };
    let most = work.resources.settings.move_wal_keep_size;
    loop {
        // That the server is away is noticed elsewhere.
        if let Ok(Some(kept)) = from.server.admin.wal_kept_for(&slot).await
            && kept > most
        {
            return StepError::permanent(format!(
                "its server keeps more than {} MB of WAL for the move, and may not (--move-wal-keep-size of the worker); move \
                 it when less is written on that server, or ask for an offline move, in which writes wait",
                most >> 20
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// For how long such a lock is tried to be had.
const LOCK_TRIES: Duration = Duration::from_secs(4);

const FEWEST_TRIES: u32 = 3;

/// For one who needs the tenant's tables for himself and waits for whoever is at it, a little at a time.
pub(super) struct LockTries {
    began: Instant,
    tries: u32,
    /// Before the next try, for those who came behind it.
    pause: Duration,
}

impl LockTries {
    /// Others come and go between two tries.
    pub(super) fn beside_writes() -> Self {
        Self { began: Instant::now(), tries: 0, pause: LOCK_PATIENCE }
    }

    /// Nobody comes but by logins of the tenant's own.
    pub(super) fn while_writes_wait() -> Self {
        Self { began: Instant::now(), tries: 0, pause: LOCK_PATIENCE / 20 }
    }

    /// What an attempt gave; none: try again.
    pub(super) async fn result<T>(
        &mut self,
        work: &Work<Move>,
        attempt: Result<T, StepError>,
    ) -> Result<Option<T>, StepError> {
        self.tries += 1;
        // Of many tables each may take its time.
        let goes_on = self.tries < FEWEST_TRIES || self.began.elapsed() < LOCK_TRIES;
        match attempt {
            Err(StepError::Transient { .. }) if goes_on && !work.cancelled().is_cancelled() => {
                tokio::time::sleep(self.pause).await;
                Ok(None)
            }
            Err(StepError::Transient { message }) => Err(StepError::permanent(format!(
                "the tenant's tables cannot be closed to writes, because a transaction goes on for long: {message}"
            ))),
            done => done.map(Some),
        }
    }
}
