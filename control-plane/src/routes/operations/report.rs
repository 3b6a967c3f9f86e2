//! What an operation found out and did, for those whose result is more than that they succeeded.

use serde::Serialize;
use tenantry_domain::operation::{DrainServerState, MoveState, Operation, OperationKind};
use utoipa::ToSchema;
use uuid::Uuid;

/// Of a move, or of a drained server.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ReportView {
    Move(MoveReportView),
    Drain(DrainReportView),
}

/// What was moved.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MoveReportView {
    /// It was copied while it was written to.
    live: bool,
    /// Bytes that its tables took before.
    bytes: u64,
    /// For how long its writes waited, in milliseconds, but for the record of the change; null before.
    #[schema(example = 31.5)]
    pause_ms: Option<f64>,
    /// Why undoing it copies everything back, where it was to have an undo window; null where it has one or had one for its
    /// time, and where it was to have none.
    #[schema(example = "all replication slots of its new server but 3 are used")]
    no_undo_window: Option<String>,
    /// What each table held when it was compared, the same at both ends.
    tables: Vec<MovedTableView>,
}

/// A table that was compared.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MovedTableView {
    /// Its name.
    #[schema(example = "contacts")]
    table: String,
    /// Rows.
    rows: i64,
    /// The sum of its rows' hashes.
    hash: String,
}

/// Tenants that left a server.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DrainReportView {
    /// How many were moved.
    moved: u32,
    /// Moves that are on their way.
    moving: Vec<Uuid>,
    /// Those that cannot be moved.
    failed: Vec<FailedMoveView>,
}

/// A tenant that cannot be moved.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailedMoveView {
    /// Its slug.
    #[schema(example = "acme")]
    tenant: String,
    /// Why.
    error: String,
}

impl ReportView {
    /// Of an operation that has one. What an earlier release wrote down and this one cannot read is left out.
    pub(super) fn of(operation: &Operation) -> Option<Self> {
        match operation.kind() {
            OperationKind::Move => {
                let state: MoveState = serde_json::from_value(operation.durable_state.clone()).ok()?;
                // Before its first step has ended nothing is known.
                state.from?;
                Some(Self::Move(state.into()))
            }
            OperationKind::DrainServer => {
                let state: DrainServerState = serde_json::from_value(operation.durable_state.clone()).ok()?;
                Some(Self::Drain(state.into()))
            }
            _ => None,
        }
    }
}

impl From<MoveState> for MoveReportView {
    fn from(state: MoveState) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a pause")]
        let pause_ms = state.pause_us.map(|micros| micros as f64 / 1e3);
        let tables =
            state.verified.into_iter().map(|(table, rows, hash)| MovedTableView { table, rows, hash });
        Self {
            live: state.live,
            bytes: state.bytes,
            pause_ms,
            no_undo_window: state.no_undo_window,
            tables: tables.collect(),
        }
    }
}

impl From<DrainServerState> for DrainReportView {
    fn from(state: DrainServerState) -> Self {
        let failed = state
            .failed
            .into_iter()
            .map(|failed| FailedMoveView { tenant: failed.slug, error: failed.error });
        Self {
            moved: state.moved,
            moving: state.moving.iter().map(|id| id.as_uuid()).collect(),
            failed: failed.collect(),
        }
    }
}
