//! Why a step failed, and whether trying again makes sense.

use std::time::Duration;

use tenantry_domain::ids::ServerId;
use tenantry_postgres::admin::AdminError;
use tenantry_registry::{FencedError, LeaseLost, RegistryError};

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// It may pass: try again later.
    #[error("{message}")]
    Transient {
        /// For a person.
        message: String,
    },
    /// The registry cannot be reached. That says nothing about the step, so it does not count as one of
    /// its tries: it goes on when the registry is back, under this lease or the next.
    #[error("{message}")]
    RegistryAway {
        /// For a person.
        message: String,
    },
    /// A tenant server cannot be reached. No try of the step either: the operation waits for the server,
    /// without a worker.
    #[error("{message}")]
    ServerAway {
        /// Which; none: any of several would do.
        server: Option<ServerId>,
        /// For a person.
        message: String,
        /// Nothing was done on the server.
        unsent: bool,
        /// The registry knew of it; nobody tried.
        known: bool,
    },
    /// Enough operations of this worker are at work on a server that hangs, perhaps. No try of the step: the
    /// operation waits, without a worker.
    #[error("waits for a slot: enough operations of this worker are at work on server {0}")]
    ServerBusy(ServerId),
    /// A tenant server has no connection left, or no replication slot. No try of the step: whoever has them gives them
    /// back at some time, so the operation waits, without a worker.
    #[error("{message}")]
    ServerFull {
        /// For a person.
        message: String,
    },
    /// A provider of servers cannot be asked, or not now. No try of the step: it is asked again for as long as it takes.
    #[error("{message}")]
    ProviderAway {
        /// For a person.
        message: String,
    },
    /// A tenant server's disk is full. What may be undone is; what must come to an end waits for room, without a worker.
    #[error("{message}")]
    DiskFull {
        /// Which.
        server: ServerId,
        /// For a person.
        message: String,
    },
    /// Something is missing on a server that was prepared there once. The next try prepares it anew; a second
    /// failure of the kind is permanent.
    #[error("{message}")]
    Unprepared {
        /// For a person.
        message: String,
    },
    /// Trying again will not help: undo.
    #[error("{message}")]
    Permanent {
        /// For a person, with what to do next.
        message: String,
    },
    /// The worker was told to stop, and the step takes long. No try of the step: the next worker runs it again.
    #[error("the worker was told to stop")]
    Stopping,
    /// Another worker has the operation: write nothing more.
    #[error("the lease on the operation is lost")]
    LeaseLost,
}

impl StepError {
    /// A failure that may pass.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::Transient { message: message.into() }
    }

    /// A failure that will not pass by itself.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::Permanent { message: message.into() }
    }

    pub(crate) fn timed_out(after: Duration) -> Self {
        Self::transient(format!("it did not finish within {} s", after.as_secs()))
    }

    /// What a call on a server met.
    pub(crate) fn on_server(server: ServerId, error: &AdminError) -> Self {
        if matches!(error, AdminError::Fenced { .. }) {
            return Self::LeaseLost;
        }
        let message = with_causes(error);
        if error.is_unreachable() {
            return Self::ServerAway {
                server: Some(server),
                message,
                unsent: error.is_unsent(),
                known: false,
            };
        }
        if error.is_full() {
            return Self::ServerFull { message };
        }
        if error.is_out_of_space() {
            return Self::DiskFull { server, message };
        }
        if error.is_unprepared() {
            return Self::Unprepared { message };
        }
        // The admin login was refused: its password may just have been changed, and the next try reads it anew.
        let refused_login = error.code().is_some_and(|code| code.starts_with("28"));
        if error.is_transient() || refused_login {
            Self::Transient { message }
        } else {
            Self::Permanent { message }
        }
    }
}

/// An error with its causes, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let own = error.to_string();
        if !text.contains(&own) {
            text.push_str(": ");
            text.push_str(&own);
        }
        cause = error.source();
    }
    text
}

impl From<RegistryError> for StepError {
    fn from(error: RegistryError) -> Self {
        let message = with_causes(&error);
        if error.is_unavailable() { Self::RegistryAway { message } } else { Self::Permanent { message } }
    }
}

impl From<LeaseLost> for StepError {
    fn from(_: LeaseLost) -> Self {
        Self::LeaseLost
    }
}

impl From<FencedError> for StepError {
    fn from(error: FencedError) -> Self {
        match error {
            FencedError::LeaseLost(lost) => lost.into(),
            FencedError::Registry(error) => error.into(),
        }
    }
}
