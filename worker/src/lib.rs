//! The worker: takes operations from the queue, runs their steps on tenant servers, and runs periodic
//! tasks.
//!
//! - [`engine`] runs any operation: lease, steps, retries, undo, end.
//! - [`operations`] holds one file per kind of operation.
//! - [`reconcilers`] holds one file per periodic task without input.
//! - `inquiries` holds one file per question of the control plane that needs a tenant server.
//! - `rollouts` migrates the tenants of apps whose version is carried to all of them.
//! - [`webhooks`] tells others what has happened.
//!
//! Several workers may run at once; any of them may die at any instant.

mod apps;
mod data_audit;
pub mod engine;
mod inquiries;
mod lane_metrics;
pub mod operations;
mod password;
pub mod providers;
mod queue;
mod recent_failures;
pub mod reconcilers;
mod resources;
mod rollouts;
mod seen;
mod servers;
mod settings;
mod slots;
mod step_error;
mod warm_kind;
pub mod webhooks;

use std::{collections::BTreeSet, sync::Arc};

use dns::{SystemResolver, TxtResolver};
use engine::{Definitions, Engine, Probe, Unobserved};
use operations::Operations;
use tenantry_domain::{
    Clock,
    envelope::Key,
    operation::{Lane, OperationKind},
};
use tenantry_registry::Registry;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

pub use resources::Resources;
pub use tenantry_dns as dns;

pub use settings::{Concurrency, Retention, Settings};
pub use step_error::StepError;

/// A worker process.
#[derive(Clone)]
pub struct Worker {
    engine: Engine,
    resources: Arc<Resources>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("name", &self.resources.settings.name).finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker on a registry, opening sealed values with `kek`.
    pub fn new(registry: Registry, kek: Key, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        let resolver = Arc::new(SystemResolver::default());
        Self::with(registry, kek, clock, resolver, Arc::new(Unobserved), settings)
    }

    /// As [`Worker::new`], with a resolver and a probe of the caller's: for tests.
    pub fn with(
        registry: Registry,
        kek: Key,
        clock: Arc<dyn Clock>,
        resolver: Arc<dyn TxtResolver>,
        probe: Arc<dyn Probe>,
        settings: Settings,
    ) -> Self {
        let resources = Arc::new(Resources::new(registry, kek, clock, resolver, settings));
        let engine = Engine::new(Arc::clone(&resources), Arc::new(Operations), probe);
        Self { engine, resources }
    }

    /// The same worker with other steps: for tests of the engine.
    #[must_use]
    pub fn with_definitions(self, definitions: Arc<dyn Definitions>) -> Self {
        Self { engine: self.engine.with_definitions(definitions), ..self }
    }

    /// What operations and reconcilers work with.
    pub fn resources(&self) -> &Arc<Resources> {
        &self.resources
    }

    /// The engine, to run single operations by hand.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Works until `stop` is cancelled; then finishes or hands over what it has begun.
    pub async fn run(self, stop: CancellationToken) {
        tracing::info!(worker.name = %self.resources.settings.name, "worker {} begins", self.resources.settings.name);
        // Each in a task of its own: whatever woke one would have the queue's consumer ask for jobs.
        let mut tasks = JoinSet::new();
        let lanes: BTreeSet<Lane> = OperationKind::ALL.iter().map(|kind| kind.lane()).collect();
        for lane in lanes {
            tasks.spawn(queue::consume(self.engine.clone(), Arc::clone(&self.resources), lane, stop.clone()));
        }
        tasks.spawn(lane_metrics::measure(Arc::clone(&self.resources), stop.clone()));
        tasks.spawn(rollouts::run(Arc::clone(&self.resources), stop.clone()));
        tasks.spawn(webhooks::run(Arc::clone(&self.resources), stop.clone()));
        tasks.spawn(inquiries::run(Arc::clone(&self.resources), stop.clone()));
        tasks.spawn(reconcilers::run_all(Arc::clone(&self.resources), stop.clone()));
        // They outlast what works on their servers.
        let (resources, worked) = (Arc::clone(&self.resources), CancellationToken::new());
        let supervised = worked.clone();
        let mut providers = tokio::spawn(async move {
            resources.settings.providers.supervise(&resources.registry, &supervised).await;
            supervised.cancelled().await;
        });
        // A worker without one of its tasks would look alive and do nothing.
        let alive = |ended: Result<(), JoinError>| {
            if let Err(panic) = ended.map_err(JoinError::into_panic) {
                std::panic::resume_unwind(panic);
            }
        };
        loop {
            tokio::select! {
                ended = tasks.join_next() => match ended {
                    Some(ended) => alive(ended),
                    None => break,
                },
                ended = &mut providers => alive(ended),
            }
        }
        self.resources.servers.close().await;
        worked.cancel();
        alive(providers.await);
        tracing::info!(worker.name = %self.resources.settings.name, "worker {} ended", self.resources.settings.name);
    }
}
