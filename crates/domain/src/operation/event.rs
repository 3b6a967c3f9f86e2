//! The lines of an operation's story.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::OperationId;

/// What an [`OperationEvent`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationEventKind {
    /// It was asked for.
    Queued,
    /// A worker took it.
    Started,
    /// A step began.
    StepStarted,
    /// A step ended and is recorded.
    StepFinished,
    /// A step failed and will be tried again.
    Retrying,
    /// A step waits for something outside.
    Waiting,
    /// A step was undone.
    StepUndone,
    /// It can go on only with a person's help.
    Stuck,
    /// Done.
    Succeeded,
    /// Failed, and undone or abandoned.
    Failed,
    /// Cancelled, and undone.
    Cancelled,
}

crate::names_of! { OperationEventKind {
    Queued = "queued", Started = "started", StepStarted = "step_started", StepFinished = "step_finished",
    Retrying = "retrying", Waiting = "waiting", StepUndone = "step_undone", Stuck = "stuck",
    Succeeded = "succeeded", Failed = "failed", Cancelled = "cancelled",
} }

impl OperationEventKind {
    /// Whether nothing more happens by itself after it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Stuck)
    }
}

/// One line of an operation's story: the source of the event stream and of progress bars.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationEvent {
    /// Grows within the registry; a stream resumes after it.
    pub id: i64,
    /// The operation.
    pub operation_id: OperationId,
    /// What happened.
    pub kind: OperationEventKind,
    /// The step it is about.
    pub step: Option<String>,
    /// Share of the operation that is done, 0 to 1.
    pub progress: f32,
    /// For a person.
    pub message: String,
    /// When.
    pub at: DateTime<Utc>,
}
