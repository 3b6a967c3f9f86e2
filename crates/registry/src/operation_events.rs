//! Table `operation_events`: the story of each operation.

use chrono::{DateTime, Utc};
use tenantry_domain::{
    ids::OperationId,
    operation::{OperationEvent, OperationEventKind},
};

use crate::{Registry, RegistryError, error::Stored};

/// An event to append; its time is the registry's.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// What happened.
    pub kind: OperationEventKind,
    /// The step it is about.
    pub step: Option<&'static str>,
    /// Share of the operation that is done, 0 to 1.
    pub progress: f32,
    /// For a person.
    pub message: String,
}

/// New events as columns, for `unnest`.
pub(crate) struct Columns {
    pub(crate) kinds: Vec<String>,
    pub(crate) steps: Vec<Option<String>>,
    pub(crate) progress: Vec<f32>,
    pub(crate) messages: Vec<String>,
}

impl Columns {
    pub(crate) fn of(events: &[NewEvent]) -> Self {
        Self {
            kinds: events.iter().map(|event| event.kind.to_string()).collect(),
            steps: events.iter().map(|event| event.step.map(str::to_owned)).collect(),
            progress: events.iter().map(|event| event.progress).collect(),
            messages: events.iter().map(|event| event.message.clone()).collect(),
        }
    }
}

struct EventRow {
    id: i64,
    kind: String,
    step: Option<String>,
    progress: f32,
    message: String,
    at: DateTime<Utc>,
}

impl Registry {
    /// An operation's events after the one with id `after` (0: all), oldest first, at most `limit`.
    pub async fn operation_event_list(
        &self,
        operation_id: OperationId,
        after: i64,
        limit: i64,
    ) -> Result<Vec<OperationEvent>, RegistryError> {
        let rows = sqlx::query_as!(
            EventRow,
            "SELECT id, kind, step, progress, message, at FROM operation_events
             WHERE operation_id = $1 AND id > $2 ORDER BY id LIMIT $3",
            operation_id.as_uuid(),
            after,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(OperationEvent {
                    id: row.id,
                    operation_id,
                    kind: row.kind.parse::<OperationEventKind>().stored("operation_events.kind")?,
                    step: row.step,
                    progress: row.progress,
                    message: row.message,
                    at: row.at,
                })
            })
            .collect()
    }
}
