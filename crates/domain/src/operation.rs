//! Operations: durable pieces of work on a subject, made of steps.

mod event;
mod input;
mod kind;
mod state;
mod subject;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::ids::OperationId;

pub use event::{OperationEvent, OperationEventKind};
pub use input::{OperationInput, PurgeReason};
pub use kind::{Lane, OperationKind};
pub use state::{
    DrainServerState, FailedMove, LeftPlacement, MoveState, NoState, OrderServerState, OwnServerOrder,
    ProvisionState, RemoveLostServerState, ResizeServerState,
};
pub use subject::{Subject, SubjectKind};

/// Where an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Waits for a worker, or for the time of its next try.
    Queued,
    /// A worker runs its steps.
    Running,
    /// A step waits for something outside (a copy, a provider, a server that is away); no worker has it.
    Waiting,
    /// A worker undoes its finished steps.
    Undoing,
    /// It can go neither forward nor back by itself; a person retries or abandons it.
    Stuck,
    /// Done.
    Succeeded,
    /// Undone or abandoned; `error` says why.
    Failed,
    /// Undone because somebody asked.
    Cancelled,
}

crate::names_of! { OperationState {
    Queued = "queued", Running = "running", Waiting = "waiting", Undoing = "undoing", Stuck = "stuck",
    Succeeded = "succeeded", Failed = "failed", Cancelled = "cancelled",
} }

impl OperationState {
    /// Whether it has ended.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Whether nothing more happens by itself.
    pub const fn is_at_rest(self) -> bool {
        self.is_finished() || matches!(self, Self::Stuck)
    }
}

/// One durable piece of work on a subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// What it works on.
    pub subject: Subject,
    /// The subject's name when it was asked for: a slug or a server's name.
    pub subject_name: String,
    /// What it was asked to do.
    pub input: OperationInput,
    /// Where it is.
    pub state: OperationState,
    /// Whether it undoes its steps; also while it waits or is stuck.
    pub undoing: bool,
    /// The step that is running or ran last.
    pub step: Option<String>,
    /// The names of its steps in order; empty before its first lease.
    pub steps: Vec<String>,
    /// How many of them, from the first, are finished and recorded.
    pub steps_done: u16,
    /// What its steps have written down for later ones, by kind of operation.
    pub durable_state: Value,
    /// Share of the work that is done, 0 to 1.
    pub progress: f32,
    /// What it does now, or waits for; for a person.
    pub message: Option<String>,
    /// What went wrong last, for a person.
    pub error: Option<String>,
    /// How often a worker has begun or resumed it.
    pub attempts: u32,
    /// The fencing token of the last lease: grows with every lease on the subject, whatever the operation.
    pub fence: i64,
    /// How many times its current step has failed with an error worth another try.
    pub retries: u32,
    /// Somebody asked to stop it before its point of no return.
    pub cancel_requested: bool,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When a worker first took it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Operation {
    /// What it does.
    pub fn kind(&self) -> OperationKind {
        self.input.kind()
    }
}
