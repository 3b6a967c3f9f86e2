//! Why a step failed, and whether trying again makes sense.

use std::time::Duration;

use tenantry_postgres::admin::AdminError;
use tenantry_registry::{FencedError, LeaseLost, PlaceError, RegistryError};

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
    /// Trying again will not help: undo.
    #[error("{message}")]
    Permanent {
        /// For a person, with what to do next.
        message: String,
    },
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

    pub(super) fn timed_out(after: Duration) -> Self {
        Self::transient(format!("the step did not finish within {} s", after.as_secs()))
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

impl From<PlaceError> for StepError {
    fn from(error: PlaceError) -> Self {
        match error {
            PlaceError::LeaseLost(lost) => lost.into(),
            PlaceError::Registry(error) => error.into(),
            error @ PlaceError::NoRoom(_) => Self::permanent(error.to_string()),
            error @ PlaceError::NoLogin(_) => Self::transient(error.to_string()),
        }
    }
}

impl From<AdminError> for StepError {
    fn from(error: AdminError) -> Self {
        let message = with_causes(&error);
        // The admin login was refused: its password may just have been changed, and the next try reads it anew.
        let refused_login = error.code().is_some_and(|code| code.starts_with("28"));
        if error.is_transient() || refused_login {
            Self::Transient { message }
        } else {
            Self::Permanent { message }
        }
    }
}
