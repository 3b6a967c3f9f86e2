//! An operation as clients see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tenantry_domain::operation::Operation;
use utoipa::ToSchema;
use uuid::Uuid;

/// One durable piece of work on a tenant.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationView {
    /// Its id.
    id: Uuid,
    /// The tenant.
    tenant_id: Uuid,
    /// What it does: provision, suspend, resume, deactivate, restore or purge.
    #[schema(example = "provision")]
    kind: &'static str,
    /// queued, running, undoing, succeeded, failed or cancelled.
    #[schema(example = "running")]
    state: &'static str,
    /// The step that is running or ran last.
    step: Option<String>,
    /// Share of the work that is done, 0 to 1.
    #[schema(example = 0.5)]
    progress: f64,
    /// What went wrong last.
    error: Option<String>,
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
            id: operation.id.as_uuid(),
            tenant_id: operation.tenant_id.as_uuid(),
            kind: operation.kind.as_str(),
            state: operation.state.as_str(),
            step: operation.step,
            progress: share(operation.progress),
            error: operation.error,
            attempts: operation.attempts,
            cancel_requested: operation.cancel_requested,
            created_at: operation.created_at,
            started_at: operation.started_at,
            finished_at: operation.finished_at,
        }
    }
}
