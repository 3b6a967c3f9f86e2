//! A row of table `operations` as the domain's [`Operation`].

use chrono::{DateTime, Utc};
use serde_json::Value;
use tenantry_domain::{
    ids::OperationId,
    operation::{Operation, OperationInput, OperationKind, Subject},
};
use uuid::Uuid;

use crate::{RegistryError, error::Stored};

pub(crate) struct OperationRow {
    pub(crate) id: Uuid,
    pub(crate) subject_kind: String,
    pub(crate) subject_id: Uuid,
    pub(crate) subject_name: String,
    pub(crate) kind: String,
    pub(crate) input: Value,
    pub(crate) state: String,
    pub(crate) undoing: bool,
    pub(crate) step: Option<String>,
    pub(crate) steps: Vec<String>,
    pub(crate) steps_done: i16,
    pub(crate) durable_state: Value,
    pub(crate) progress: f32,
    pub(crate) message: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) attempts: i32,
    pub(crate) fence: i64,
    pub(crate) retries: i32,
    pub(crate) cancel_requested: bool,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<OperationRow> for Operation {
    type Error = RegistryError;

    fn try_from(row: OperationRow) -> Result<Self, RegistryError> {
        // A kind of a newer release: told apart from a row that nobody can read.
        let kind: OperationKind = row.kind.parse().stored("operations.kind")?;
        Ok(Self {
            id: OperationId::from_uuid(row.id),
            subject: Subject::from_stored(
                row.subject_kind.parse().stored("operations.subject_kind")?,
                row.subject_id,
            ),
            subject_name: row.subject_name,
            // Shown all the same, so that it can be abandoned.
            input: serde_json::from_value(row.input).unwrap_or(OperationInput::Unreadable(kind)),
            state: row.state.parse().stored("operations.state")?,
            undoing: row.undoing,
            step: row.step,
            steps: row.steps,
            steps_done: u16::try_from(row.steps_done).stored("operations.steps_done")?,
            durable_state: row.durable_state,
            progress: row.progress,
            message: row.message,
            error: row.error,
            attempts: u32::try_from(row.attempts).stored("operations.attempts")?,
            fence: row.fence,
            retries: u32::try_from(row.retries).stored("operations.retries")?,
            cancel_requested: row.cancel_requested,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

/// The operation, if a worker can tell what it is to do.
pub(crate) fn readable(operation: Operation) -> Result<Operation, RegistryError> {
    match operation.input {
        OperationInput::Unreadable(kind) => Err(RegistryError::Corrupt {
            what: "operations.input",
            reason: format!("it is not what a {kind} is given"),
        }),
        _ => Ok(operation),
    }
}
