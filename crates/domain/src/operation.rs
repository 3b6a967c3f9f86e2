//! Operations: durable pieces of work on a tenant, made of steps.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{OperationId, TenantId};

/// What an operation does. One file each under `worker/src/operations/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Makes a tenant's role, schema or database, tables and default data, and begins to serve it.
    Provision,
    /// Stops serving a tenant, keeps its data.
    Suspend,
    /// Serves a suspended tenant again.
    Resume,
    /// Deletes a tenant so that it can still be restored.
    Deactivate,
    /// Takes a deletion back.
    Restore,
    /// Drops a tenant's data for good.
    Purge,
}

crate::names_of! { OperationKind {
    Provision = "provision", Suspend = "suspend", Resume = "resume", Deactivate = "deactivate",
    Restore = "restore", Purge = "purge",
} }

/// Where an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Waits for a worker, or for the time of its next try.
    Queued,
    /// A worker runs its steps.
    Running,
    /// A worker takes its finished steps back.
    Undoing,
    /// Done.
    Succeeded,
    /// Undone; `error` says why.
    Failed,
    /// Undone because somebody asked.
    Cancelled,
}

crate::names_of! { OperationState {
    Queued = "queued", Running = "running", Undoing = "undoing",
    Succeeded = "succeeded", Failed = "failed", Cancelled = "cancelled",
} }

impl OperationState {
    /// Whether nothing more will happen by itself.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// One durable piece of work on a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// What it does.
    pub kind: OperationKind,
    /// Where it is.
    pub state: OperationState,
    /// The step that is running or ran last.
    pub step: Option<String>,
    /// How many steps, from the first, are finished and recorded.
    pub steps_done: u16,
    /// Share of the work that is done, 0 to 1.
    pub progress: f32,
    /// What went wrong last, for a person.
    pub error: Option<String>,
    /// How often a worker has begun or resumed it; also the fence against a worker that lost its lease.
    pub attempts: u32,
    /// How many times a step has failed with an error worth another try.
    pub retries: u32,
    /// Somebody asked to stop it before its point of no return.
    pub cancel_requested: bool,
    /// What the caller gave.
    pub input: Value,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What an [`OperationEvent`] tells.
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
    /// A step was taken back.
    StepUndone,
    /// Done.
    Succeeded,
    /// Failed, and undone.
    Failed,
    /// Cancelled, and undone.
    Cancelled,
}

crate::names_of! { OperationEventKind {
    Queued = "queued", Started = "started", StepStarted = "step_started", StepFinished = "step_finished",
    Retrying = "retrying", StepUndone = "step_undone",
    Succeeded = "succeeded", Failed = "failed", Cancelled = "cancelled",
} }

impl OperationEventKind {
    /// Whether the operation is over with it.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
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
