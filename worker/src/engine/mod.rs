//! The engine: runs any operation. Lease, steps, retries, undo, end.
//!
//! The `operations` row is the truth: each finished step is recorded there under the fence of the
//! attempt number, so that a crash anywhere resumes at the recorded step, and a worker that lost
//! its lease writes nothing more.

mod error;
mod probe;
mod run;
mod step;

use std::sync::Arc;

use futures::future::BoxFuture;
use tenantry_domain::ids::OperationId;
use tokio_util::sync::CancellationToken;

pub use error::StepError;
pub use probe::{Moment, Point, Probe, Unobserved};
pub use step::{Definition, Step, Work};

use crate::Resources;

/// Runs operations. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    resources: Arc<Resources>,
    probe: Arc<dyn Probe>,
    /// Told to stop: no further step begins.
    stop: CancellationToken,
}

/// What became of a look at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// It is over, not due, or another worker has it.
    NothingToDo,
    /// It ended, well or badly.
    Ended,
    /// It was given back, to be taken up later.
    GivenBack,
    /// Another worker took it, or the registry is gone; it will be taken up again.
    Lost,
}

impl Engine {
    pub(crate) fn new(resources: Arc<Resources>, probe: Arc<dyn Probe>) -> Self {
        Self { resources, probe, stop: CancellationToken::new() }
    }

    /// Begins no further step; operations at work are given back.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Takes an operation, if it is due and free, and runs it as far as it goes now.
    pub fn look_at(&self, id: OperationId) -> BoxFuture<'_, Looked> {
        Box::pin(run::look_at(self, id))
    }
}
