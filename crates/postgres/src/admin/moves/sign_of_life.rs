//! Keeping a transaction at one end of a move while the other end is at work.
//!
//! A server ends a transaction that does nothing for long ([`AdminLimits::idle_in_transaction_timeout`]): its worker may be
//! frozen, and another one waits for the fence. One that waits for the other end says now and then that somebody is there.
//!
//! [`AdminLimits::idle_in_transaction_timeout`]: super::super::AdminLimits::idle_in_transaction_timeout

use std::{pin::pin, time::Duration};

use sqlx::PgConnection;

use super::session::run;

/// Begins to read a tenant's rows as they are at one moment. A source that has sent all waits here until the target has taken
/// it: what is on its way may be many megabytes. It holds nothing that anybody waits for, and whoever takes the fence ends it.
pub(super) const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL idle_in_transaction_session_timeout = '10min'";

/// How often. Much less than any sensible limit.
pub(super) const SIGN_OF_LIFE: Duration = Duration::from_millis(500);

/// Waits for work at the other end. The error is that of the connection that waits.
pub(super) async fn meanwhile<T>(
    waiting: &mut PgConnection,
    work: impl Future<Output = T>,
) -> Result<T, sqlx::Error> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = tokio::time::sleep(SIGN_OF_LIFE) => run(waiting, "SELECT").await?,
        }
    }
}
