//! Consuming the queue with apalis. A job only says "look at this operation".

use std::{sync::Arc, time::Duration};

use apalis::prelude::{BackendExt, BoxDynError, Data, WorkerBuilder, WorkerBuilderExt};
use apalis_postgres::{Config, PostgresStorage};
use tenantry_registry::jobs::{OPERATIONS_QUEUE, OperationJob};
use tokio_util::sync::CancellationToken;

use crate::{Resources, engine::Engine};

/// How often apalis says that this worker lives, and how many silent beats make it dead: its jobs
/// are queued again after 6 s. Its own default is minutes.
const HEARTBEAT: Duration = Duration::from_secs(2);
const MISSED_HEARTBEATS: usize = 3;

/// Takes jobs until `stop`, then lets the operations at work end or give themselves back.
pub(crate) async fn consume(engine: Engine, resources: Arc<Resources>, stop: CancellationToken) {
    let settings = &resources.settings;
    let mut round = 0u32;
    while !stop.is_cancelled() {
        round += 1;
        let config = Config::default()
            .queue(OPERATIONS_QUEUE)
            .batch_size(settings.concurrency)
            .heartbeat_interval(HEARTBEAT)
            .missed_heartbeats(MISSED_HEARTBEATS)
            // The operation's own lease is what counts; locking jobs too is a round trip for nothing.
            .lock_tasks(false);
        let backend = PostgresStorage::<OperationJob>::new(resources.registry.queue_pool())
            .with_config(config)
            .with_pubsub()
            .poll_with_interval(settings.poll_interval);
        // A fresh name each time: the row of the one before is locked until its connection is gone.
        let worker = WorkerBuilder::new(format!("{}-{round}", settings.name))
            .backend(backend)
            .data(engine.clone())
            .concurrency(settings.concurrency)
            .build(handle);
        let (signal, engine_stop) = (stop.clone(), engine.clone());
        let ended = worker
            .run_until(async move {
                signal.cancelled().await;
                engine_stop.stop();
                Ok::<(), std::io::Error>(())
            })
            .await;
        if stop.is_cancelled() {
            break;
        }
        match ended {
            Ok(()) => tracing::warn!("the queue's consumer ended; beginning again"),
            Err(error) => tracing::warn!(%error, "the queue's consumer failed ({error}); beginning again"),
        }
        stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(250))).await;
    }
}

async fn handle(job: OperationJob, engine: Data<Engine>) -> Result<(), BoxDynError> {
    // In a task of its own: in the worker's, all that wakes an operation (each answer of a server)
    // would wake apalis too, which then asks the queue for more, some twenty times in a sign-up.
    tokio::spawn(async move { engine.look_at(job.operation_id).await }).await?;
    // Whatever became of it, the job is done: the operation's row says what is left to do, and the
    // reconciler `requeue_stranded` sees to it.
    Ok(())
}
