//! An operation as clients see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tenantry_domain::{ids::TenantId, operation::Operation};
use utoipa::ToSchema;
use uuid::Uuid;

use super::report::ReportView;
use crate::vocabulary;

/// What an operation works on.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubjectView {
    /// tenant, server or rollout.
    #[schema(value_type = vocabulary::SubjectKind)]
    kind: &'static str,
    /// Its id.
    id: Uuid,
    /// A tenant's slug, a server's name.
    #[schema(example = "my-org")]
    name: String,
}

/// One durable piece of work.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationView {
    /// Its id.
    id: Uuid,
    /// What it works on.
    subject: SubjectView,
    /// The tenant; null unless it works on one.
    tenant_id: Option<Uuid>,
    /// What it does: provision, suspend, resume, deactivate, restore, purge, move, `drain_server` or `remove_lost_server`.
    #[schema(value_type = vocabulary::OperationKind)]
    kind: &'static str,
    /// The queue that it waits in: interactive, long, fleet or idle.
    #[schema(value_type = vocabulary::Lane)]
    lane: &'static str,
    /// queued, running, waiting, undoing, stuck, succeeded, failed or cancelled.
    #[schema(value_type = vocabulary::OperationState)]
    state: &'static str,
    /// The step that is running or ran last.
    step: Option<String>,
    /// The names of its steps, in order; none before a worker first took it.
    #[schema(example = json!(["place", "create_schema"]))]
    steps: Vec<String>,
    /// Share of the work that is done, 0 to 1.
    #[schema(example = 0.5)]
    progress: f64,
    /// What it does now, or waits for.
    message: Option<String>,
    /// What went wrong last.
    error: Option<String>,
    /// What it found out and did; of a move and of a drained server, else null.
    report: Option<ReportView>,
    /// How often a worker has begun or resumed it.
    attempts: u32,
    /// Somebody asked to stop it.
    cancel_requested: bool,
    /// When it was asked for.
    created_at: DateTime<Utc>,
    /// When a worker first took it.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
}

/// A share as people write it: 0.3, not 0.30000001192092896.
pub(super) fn share(progress: f32) -> f64 {
    (f64::from(progress) * 1e4).round() / 1e4
}

impl From<Operation> for OperationView {
    fn from(operation: Operation) -> Self {
        Self {
            report: ReportView::of(&operation),
            id: operation.id.as_uuid(),
            tenant_id: operation.subject.tenant().map(TenantId::as_uuid),
            kind: operation.kind().as_str(),
            lane: operation.kind().lane().as_str(),
            subject: SubjectView {
                kind: operation.subject.kind().as_str(),
                id: operation.subject.as_uuid(),
                name: operation.subject_name,
            },
            state: operation.state.as_str(),
            step: operation.step,
            steps: operation.steps,
            progress: share(operation.progress),
            message: operation.message,
            error: operation.error,
            attempts: operation.attempts,
            cancel_requested: operation.cancel_requested,
            created_at: operation.created_at,
            started_at: operation.started_at,
            finished_at: operation.finished_at,
        }
    }
}
