//! Probes: workers that fail, repeat or stop at chosen points.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tenantry_domain::operation::OperationKind;
use tenantry_worker::{
    StepError,
    engine::{Moment, Point, Probe},
};

use crate::within::in_time;

/// Fails one step of a kind of operation, each time it is reached.
#[derive(Debug, Clone, Copy)]
pub struct FailAt {
    /// Where.
    pub point: Point,
    /// As if the server were away, or as if trying again did not help.
    pub transient: bool,
}

#[async_trait]
impl Probe for FailAt {
    async fn reached(&self, point: Point) -> Result<(), StepError> {
        match point == self.point {
            true if self.transient => Err(StepError::transient("the test says so")),
            true => Err(StepError::permanent("the test says so")),
            false => Ok(()),
        }
    }
}

/// Fails each point once: the first time it is reached.
#[derive(Debug, Default)]
pub struct FailEverythingOnce(Mutex<HashSet<Point>>);

#[async_trait]
impl Probe for FailEverythingOnce {
    async fn reached(&self, point: Point) -> Result<(), StepError> {
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(point);
        // What is recorded is no longer part of a step: there is nothing to try again.
        if new && point.moment != Moment::Recorded {
            return Err(StepError::transient("the test says: once"));
        }
        Ok(())
    }
}

/// Runs every step, and every undo, twice in a row.
#[derive(Debug, Clone, Copy)]
pub struct Twice;

#[async_trait]
impl Probe for Twice {
    async fn reached(&self, _: Point) -> Result<(), StepError> {
        Ok(())
    }

    fn repetitions(&self) -> u32 {
        2
    }
}

/// Fails where a test says, one point after another, and runs every step once or twice.
#[derive(Debug, Default)]
pub struct Failing(Mutex<(Option<FailAt>, bool)>);

impl Failing {
    /// From now on it fails there, and runs steps so often.
    pub fn fail_at(&self, fail: FailAt, twice: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Some(fail), twice);
    }

    fn now(&self) -> (Option<FailAt>, bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Probe for Failing {
    async fn reached(&self, point: Point) -> Result<(), StepError> {
        match self.now().0 {
            Some(fail) => fail.reached(point).await,
            None => Ok(()),
        }
    }

    fn repetitions(&self) -> u32 {
        if self.now().1 { 2 } else { 1 }
    }
}

/// Notes the points that were reached.
#[derive(Debug, Default)]
pub struct Notebook(Mutex<Vec<Point>>);

impl Notebook {
    /// The points, in order.
    pub fn points(&self) -> Vec<Point> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Probe for Notebook {
    async fn reached(&self, point: Point) -> Result<(), StepError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(point);
        Ok(())
    }

    fn records_each_step(&self) -> bool {
        true
    }
}

/// A point as text, to hand it to another process: `provision/create_role/ran`.
pub fn point_to_text(point: Point) -> String {
    let moment = match point.moment {
        Moment::Before => "before",
        Moment::Ran => "ran",
        Moment::Recorded => "recorded",
        Moment::Undone => "undone",
    };
    format!("{}/{}/{moment}", point.kind, point.step)
}

/// Says that it has reached a point, and waits there for ever: to be killed.
#[derive(Debug, Clone)]
pub struct StopAt(pub String);

#[async_trait]
impl Probe for StopAt {
    #[expect(clippy::print_stdout, reason = "how the test hears of it")]
    async fn reached(&self, point: Point) -> Result<(), StepError> {
        if point_to_text(point) == self.0 {
            println!("stopped at {}", self.0);
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn records_each_step(&self) -> bool {
        self.0.ends_with("/recorded")
    }
}

/// All points of an operation's steps that a crash may hit.
pub fn crash_points(kind: OperationKind, steps: &[&'static str]) -> Vec<Point> {
    let moments = [Moment::Before, Moment::Ran, Moment::Recorded];
    steps.iter().flat_map(|step| moments.map(|moment| Point { kind, step, moment })).collect()
}

/// Holds the worker inside a step until it is opened.
#[derive(Debug)]
pub struct Gate {
    /// None: operations of any kind that have the step.
    kind: Option<OperationKind>,
    step: &'static str,
    moment: Moment,
    reached: tokio::sync::Semaphore,
    open: tokio::sync::Semaphore,
}

impl Gate {
    /// A closed gate before a step.
    pub fn at(step: &'static str) -> Self {
        Self::of(step, Moment::Before)
    }

    /// A closed gate after a step has run, before that is recorded.
    pub fn after(step: &'static str) -> Self {
        Self::of(step, Moment::Ran)
    }

    fn of(step: &'static str, moment: Moment) -> Self {
        let closed = || tokio::sync::Semaphore::new(0);
        Self { kind: None, step, moment, reached: closed(), open: closed() }
    }

    /// Only for operations of a kind.
    #[must_use]
    pub fn only(self, kind: OperationKind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Waits until a worker stands at the gate.
    pub async fn reached(&self) {
        let what = format!("a worker comes to {} ({:?})", self.step, self.moment);
        in_time(&what, self.reached.acquire()).await.expect("never closed").forget();
    }

    /// Lets workers pass from now on.
    pub fn open(&self) {
        self.open.close();
    }
}

#[async_trait]
impl Probe for Gate {
    async fn reached(&self, point: Point) -> Result<(), StepError> {
        let is_of_kind = self.kind.is_none_or(|kind| kind == point.kind);
        if is_of_kind && point.step == self.step && point.moment == self.moment && !self.open.is_closed() {
            self.reached.add_permits(1);
            // An error says that it was opened.
            let _ = self.open.acquire().await;
        }
        Ok(())
    }
}

/// One gate after another.
#[derive(Debug, Default)]
pub struct Gates(Mutex<Option<Arc<Gate>>>);

impl Gates {
    /// Stands there from now on, instead of the one before it.
    pub fn put(&self, gate: Gate) -> Arc<Gate> {
        let gate = Arc::new(gate);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&gate));
        gate
    }
}

#[async_trait]
impl Probe for Gates {
    async fn reached(&self, point: Point) -> Result<(), StepError> {
        let gate = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match gate {
            Some(gate) => Probe::reached(&*gate, point).await,
            None => Ok(()),
        }
    }
}
