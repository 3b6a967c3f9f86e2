//! Points between and inside steps at which a test may stop, fail or repeat an operation.

use async_trait::async_trait;
use tenantry_domain::operation::OperationKind;

use crate::step_error::StepError;

/// When, relative to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// Before it runs.
    Before,
    /// When it has run and is not recorded yet.
    Ran,
    /// When it is recorded.
    Recorded,
    /// When it was undone and that is not recorded yet.
    Undone,
}

/// A point in the course of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Point {
    /// The kind of operation.
    pub kind: OperationKind,
    /// The step's name.
    pub step: &'static str,
    /// Before or after it.
    pub moment: Moment,
}

/// Told of every point that an operation reaches.
#[async_trait]
pub trait Probe: Send + Sync {
    /// May wait for ever (a worker that is killed there), or fail the step with an error.
    async fn reached(&self, point: Point) -> Result<(), StepError>;

    /// Whether every step is recorded by itself, also where several could be recorded together.
    fn records_each_step(&self) -> bool {
        false
    }

    /// How often each step runs in a row.
    fn repetitions(&self) -> u32 {
        1
    }
}

/// The probe of production: none.
#[derive(Debug, Clone, Copy)]
pub struct Unobserved;

#[async_trait]
impl Probe for Unobserved {
    async fn reached(&self, _: Point) -> Result<(), StepError> {
        Ok(())
    }
}
