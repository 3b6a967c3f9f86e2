//! The engine: executes any operation. Lease, steps, retries, waits, undo, end.
//!
//! The `operations` row is the truth: each finished step is recorded there under the fencing token of the
//! lease, so that a crash anywhere resumes at the recorded step, and a worker that lost its lease writes
//! nothing more.

mod execution;
mod heartbeat;
mod place;
mod probe;
mod record;
mod sequence;
mod undo;
mod work;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tenantry_domain::{ids::OperationId, operation::OperationKind};
use tenantry_registry::{Lease, TenantWithPlan};
use tokio_util::sync::CancellationToken;

pub use probe::{Moment, Point, Probe, Unobserved};
pub use sequence::{Definition, Done, Outline, RunFn, Sequence, Step, StepResult, Steps, UndoFn};
pub(crate) use work::PlacedAt;
pub use work::{ServerSubject, Signals, TenantSubject, Work};

use crate::{Resources, step_error::StepError};

/// Knows the steps of each kind of operation.
pub trait Definitions: Send + Sync {
    /// The kinds that it knows.
    fn kinds(&self) -> &[OperationKind];

    /// The steps of a leased operation, with what they work with.
    ///
    /// # Errors
    /// The operation's subject is gone, or its state cannot be read.
    fn begin(
        &self,
        lease: Lease,
        tenant: Option<TenantWithPlan>,
        resources: Arc<Resources>,
    ) -> Result<Box<dyn Steps>, StepError>;
}

/// Executes operations. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    resources: Arc<Resources>,
    definitions: Arc<dyn Definitions>,
    probe: Arc<dyn Probe>,
    /// Told to stop: no further step begins.
    stop: CancellationToken,
}

/// How the execution of an operation ended on this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executed {
    /// It is over, not due, or another worker has it.
    NothingToDo,
    /// It ended, well or badly, or is stuck.
    Ended,
    /// It was released, to be taken up later.
    Released,
    /// It was released, and is due again after this time.
    Waiting(Duration),
    /// Another worker took it, or the registry is away; it will be taken up again.
    Lost,
}

impl Executed {
    /// For metrics.
    const fn as_str(self) -> &'static str {
        match self {
            Self::NothingToDo => "NothingToDo",
            Self::Ended => "Ended",
            Self::Released | Self::Waiting(_) => "Released",
            Self::Lost => "Lost",
        }
    }
}

impl Engine {
    pub(crate) fn new(
        resources: Arc<Resources>,
        definitions: Arc<dyn Definitions>,
        probe: Arc<dyn Probe>,
    ) -> Self {
        Self { resources, definitions, probe, stop: CancellationToken::new() }
    }

    /// The same with other steps.
    #[must_use]
    pub(crate) fn with_definitions(self, definitions: Arc<dyn Definitions>) -> Self {
        Self { definitions, ..self }
    }

    /// Begins no further step; operations at work are released.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Returns when the worker was told to stop, and what was at work has had its time.
    async fn no_time_left(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(self.resources.settings.stop_grace).await;
    }

    /// Takes an operation, if it is due and free, and runs it as far as it goes now.
    pub fn execute(&self, id: OperationId) -> BoxFuture<'_, Executed> {
        Box::pin(execution::execute(self, id))
    }

    /// Queues an operation again that waits for so long, unless this worker stops before: then `requeue_stranded` does.
    pub(crate) async fn requeue(&self, id: OperationId, after: Duration) {
        if self.stop.run_until_cancelled(tokio::time::sleep(after)).await.is_none() {
            return;
        }
        if let Err(error) = self.resources.registry.operation_requeue(id).await {
            tracing::debug!(%error, "operation {id} cannot be queued again");
        }
    }
}
