//! What an operation is made of: a list of steps, each beside its undo, with the point of no return in it.
//!
//! ```ignore
//! Sequence::new("the tenant is served")
//!     .step(step!(place, "choosing a server").undo(undo!(forget_placement)))
//!     .step(step!(create_schema, "making the tenant's schema").undo(undo!(drop_schema)))
//!     .when_done(|work| served(work))
//! ```

use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use tenantry_domain::{ids::ServerId, operation::OperationKind};
use tenantry_registry::{Changes, Lease};

use super::{Signals, Work};
use crate::step_error::StepError;

/// A kind of operation: what it works on, what it is given, what its steps write down for later ones.
pub trait Definition: Send + Sync + Sized + 'static {
    /// The kind.
    const KIND: OperationKind;
    /// What it works on: a tenant or a server, with what steps need of it.
    type Subject: Send + Sync;
    /// What it is given.
    type Input: Send + Sync;
    /// What its steps write down for later ones.
    type State: Serialize + DeserializeOwned + Default + Clone + Send + Sync;
}

/// How a step ended that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It is done.
    Now,
    /// It waits for something outside; run it again after a time. No worker has the operation meanwhile.
    Pending {
        /// When to look again.
        again_after: Duration,
        /// What it waits for, for a person.
        message: String,
    },
}

/// What a step answers.
pub type StepResult = Result<Done, StepError>;

/// A step's function.
pub type RunFn<D> = for<'a> fn(&'a Work<D>) -> BoxFuture<'a, StepResult>;

/// The function that takes a step back.
pub type UndoFn<D> = for<'a> fn(&'a Work<D>) -> BoxFuture<'a, Result<(), StepError>>;

/// One idempotent piece of work: run twice in a row, it leaves the same state as once. See [`crate::step!`].
pub struct Step<D: Definition> {
    name: &'static str,
    doing: &'static str,
    run: RunFn<D>,
    undo: Option<UndoFn<D>>,
    timeout: Option<Duration>,
}

impl<D: Definition> Step<D> {
    /// A step with its stable name, e.g. `create_role`, and what it does, for a person.
    pub fn new(name: &'static str, doing: &'static str, run: RunFn<D>) -> Self {
        Self { name, doing, run, undo: None, timeout: None }
    }

    /// Takes it back, also when it ran half or not at all. Not called past the point of no return.
    #[must_use]
    pub fn undo(mut self, undo: UndoFn<D>) -> Self {
        self.undo = Some(undo);
        self
    }

    /// How long one try may take, where that differs from the worker's setting.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// A step from an `async fn` of the same name, which takes `&Work<_>`.
#[macro_export]
macro_rules! step {
    ($run:ident, $doing:literal) => {
        $crate::engine::Step::new(stringify!($run), $doing, |work| Box::pin($run(work)))
    };
}

/// The undo of a step from an `async fn` that takes `&Work<_>`.
#[macro_export]
macro_rules! undo {
    ($undo:ident) => {
        |work| Box::pin($undo(work))
    };
}

/// An operation as a sequence of steps.
pub struct Sequence<D: Definition> {
    steps: Vec<Step<D>>,
    no_return: Option<usize>,
    when_done: fn(&Work<D>) -> Changes,
    when_undone: fn(&Work<D>) -> Changes,
    done: &'static str,
}

impl<D: Definition> Sequence<D> {
    /// No step yet. `done` is the last line of the operation's story when it went well.
    pub fn new(done: &'static str) -> Self {
        Self {
            steps: Vec::new(),
            no_return: None,
            when_done: |_| Changes::default(),
            when_undone: |_| Changes::default(),
            done,
        }
    }

    /// The next step.
    #[must_use]
    pub fn step(mut self, step: Step<D>) -> Self {
        self.steps.push(step);
        self
    }

    /// From the next step on it only goes forward. Without this call, from its end on.
    #[must_use]
    pub fn point_of_no_return(mut self) -> Self {
        self.no_return = Some(self.steps.len());
        self
    }

    /// What changes with its end when it went well.
    #[must_use]
    pub fn when_done(mut self, changes: fn(&Work<D>) -> Changes) -> Self {
        self.when_done = changes;
        self
    }

    /// What changes with its end when it failed or was cancelled, and is undone.
    #[must_use]
    pub fn when_undone(mut self, changes: fn(&Work<D>) -> Changes) -> Self {
        self.when_undone = changes;
        self
    }

    /// The names of its steps, and the index of the first that is not undone.
    pub fn outline(&self) -> Outline {
        Outline {
            kind: D::KIND,
            steps: self.steps.iter().map(|step| step.name).collect(),
            no_return: self.no_return.unwrap_or(self.steps.len()),
        }
    }

    /// Ready for the engine.
    pub fn on(self, work: Work<D>) -> Box<dyn Steps> {
        Box::new(Bound { sequence: self, work })
    }
}

/// What an operation is made of, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The kind.
    pub kind: OperationKind,
    /// Its steps, in order.
    pub steps: Vec<&'static str>,
    /// The first step that is not undone; the number of steps: undone up to its end.
    pub no_return: usize,
}

/// A sequence with what its steps work with.
struct Bound<D: Definition> {
    sequence: Sequence<D>,
    work: Work<D>,
}

/// A [`Sequence`] on what it works with, as the engine sees it, whatever its kind.
#[async_trait]
pub trait Steps: Send + Sync {
    /// The kind.
    fn kind(&self) -> OperationKind;
    /// The steps' names, in order.
    fn names(&self) -> Vec<&'static str>;
    /// What a step does, for a person.
    fn doing(&self, index: usize) -> &'static str;
    /// How long one try of a step may take, if it says so itself.
    fn timeout(&self, index: usize) -> Option<Duration>;
    /// The first step that is not undone; the number of steps: undone up to its end.
    fn no_return(&self) -> usize;
    /// The last line of its story.
    fn done(&self) -> &'static str;
    /// Runs a step.
    async fn run(&self, index: usize) -> StepResult;
    /// Takes a step back.
    async fn undo(&self, index: usize) -> Result<(), StepError>;
    /// Whether steps have changed something that is not taken yet.
    fn has_changes(&self) -> bool;
    /// What steps have changed since the last call; written with the next record.
    fn take_changes(&self) -> Changes;
    /// Forgets what a step has changed that did not come to its end, but for what it wrote down.
    fn forget_changes(&self);
    /// What changes with the end.
    fn last_changes(&self, succeeded: bool) -> Changes;
    /// The right to work on it.
    fn lease(&self) -> &Lease;
    /// What goes between a running step and the outside.
    fn signals(&self) -> &Signals;
    /// The server that it works on now.
    fn server(&self) -> Option<ServerId>;
}

#[async_trait]
impl<D: Definition> Steps for Bound<D> {
    fn kind(&self) -> OperationKind {
        D::KIND
    }

    fn names(&self) -> Vec<&'static str> {
        self.sequence.steps.iter().map(|step| step.name).collect()
    }

    fn doing(&self, index: usize) -> &'static str {
        self.sequence.steps[index].doing
    }

    fn timeout(&self, index: usize) -> Option<Duration> {
        self.sequence.steps[index].timeout
    }

    fn no_return(&self) -> usize {
        self.sequence.no_return.unwrap_or(self.sequence.steps.len())
    }

    fn done(&self) -> &'static str {
        self.sequence.done
    }

    async fn run(&self, index: usize) -> StepResult {
        (self.sequence.steps[index].run)(&self.work).await
    }

    async fn undo(&self, index: usize) -> Result<(), StepError> {
        match self.sequence.steps[index].undo {
            Some(undo) => undo(&self.work).await,
            None => Ok(()),
        }
    }

    fn has_changes(&self) -> bool {
        self.work.has_changes()
    }

    fn take_changes(&self) -> Changes {
        self.work.take_changes()
    }

    fn forget_changes(&self) {
        self.work.forget_changes();
    }

    fn last_changes(&self, succeeded: bool) -> Changes {
        if succeeded {
            (self.sequence.when_done)(&self.work)
        } else {
            (self.sequence.when_undone)(&self.work)
        }
    }

    fn lease(&self) -> &Lease {
        &self.work.lease
    }

    fn signals(&self) -> &Signals {
        &self.work.signals
    }

    fn server(&self) -> Option<ServerId> {
        self.work.server_id()
    }
}
