//! The body of a long answer. A task of its own reads it from the tenant's server, so that a client that takes none of
//! it does not decide for how long its connection is kept from others.

use std::time::Duration;

use bytes::Bytes;
use tenantry_postgres::tenant::TenantQueryError;
use tokio::{sync::mpsc, time::timeout};

use crate::pool::Lease;

/// Parts that are read before the client takes them.
const AHEAD: usize = 1;

/// How often a task that waits for its client looks whether somebody waits for the connection.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why an answer ends in its middle.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// It did not come to its end.
    #[error(transparent)]
    Statement(#[from] TenantQueryError),
    /// The client took it too slowly, and other tenants waited for its connection.
    #[error("the client takes it too slowly while other tenants wait for a connection")]
    TooSlow,
}

/// A body that is still on its connection.
pub(crate) struct Parts {
    parts: mpsc::Receiver<Result<Bytes, Broken>>,
    /// Its bytes.
    pub(crate) len: usize,
}

impl Parts {
    /// Begins to read.
    pub(crate) fn new(lease: Lease, len: usize) -> Self {
        let (sender, parts) = mpsc::channel(AHEAD);
        tokio::spawn(pass_on(lease, sender));
        Self { parts, len }
    }

    /// The next part; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        self.parts.recv().await.transpose()
    }
}

/// Passes a body on, and keeps its connection for the next. Ends when the client has gone.
async fn pass_on(mut lease: Lease, parts: mpsc::Sender<Result<Bytes, Broken>>) {
    loop {
        let part = tokio::select! {
            part = lease.connection().body_part() => part,
            () = parts.closed() => return,
        };
        let part = match part {
            Ok(None) => return lease.release(),
            Ok(Some(part)) => Ok(part),
            Err(error) => Err(error.into()),
        };
        let is_last = part.is_err();
        let place = loop {
            match timeout(LOOK_EVERY, parts.reserve()).await {
                Ok(Ok(place)) => break place,
                Ok(Err(_)) => return,
                Err(_) if lease.gives_way() => {
                    metrics::counter!("tenantry_pool_slow_readers_total").increment(1);
                    // The connection first: others wait for it, and for the client nobody does.
                    drop(lease);
                    let _ = parts.send(Err(Broken::TooSlow)).await;
                    return;
                }
                Err(_) => {}
            }
        };
        place.send(part);
        if is_last {
            return;
        }
    }
}
