//! Consuming the queues with apalis, one per lane. A job only says "run this operation".

use std::{sync::Arc, time::Duration};

use apalis::prelude::{BackendExt, BoxDynError, Data, WorkerBuilder, WorkerBuilderExt};
use apalis_postgres::{Config, PostgresStorage};
use tenantry_domain::operation::Lane;
use tenantry_registry::jobs::{OperationJob, queue_of};
use tokio_util::sync::CancellationToken;

use crate::{
    Resources,
    engine::{Engine, Executed},
};

/// How often apalis says that this worker lives, and how many silent beats make it dead: its jobs
/// are queued again after 6 s. Its own default is minutes.
const HEARTBEAT: Duration = Duration::from_secs(2);
const MISSED_HEARTBEATS: usize = 3;

/// A consumer whose heartbeat the registry has not seen for this long hangs: its connections may be cut
/// without its noticing. It is begun anew, on new ones.
const SILENT_FOR: f64 = 8.0;
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long a wait is kept here at most. Longer ones are left to the reconciler `requeue_stranded`, which looks every second.
const SHORT_WAIT: Duration = Duration::from_secs(2);

/// Takes jobs of a lane until `stop`, then lets the operations at work end or release themselves.
pub(crate) async fn consume(engine: Engine, resources: Arc<Resources>, lane: Lane, stop: CancellationToken) {
    let settings = &resources.settings;
    let concurrency = settings.concurrency.of(lane).max(1);
    let mut round = 0u32;
    while !stop.is_cancelled() {
        round += 1;
        let config = Config::default()
            .queue(queue_of(lane))
            .batch_size(concurrency)
            .heartbeat_interval(HEARTBEAT)
            .missed_heartbeats(MISSED_HEARTBEATS)
            // The operation's own lease is what counts; locking jobs too is a round trip for nothing.
            .lock_tasks(false);
        // Connections of this round: those of a round that hangs go with it.
        let pool = resources.registry.new_queue_pool();
        let backend = PostgresStorage::<OperationJob>::new(&pool)
            .with_config(config)
            .with_pubsub()
            .poll_with_interval(settings.poll_interval);
        // A fresh name each time: the row of the one before is locked until its connection is gone.
        let name = format!("{}-{lane}-{round}", settings.name);
        let worker = WorkerBuilder::new(name.as_str())
            .backend(backend)
            .data(engine.clone())
            .concurrency(concurrency)
            .build(handle);
        let (signal, engine_stop) = (stop.clone(), engine.clone());
        let consumer = worker.run_until(async move {
            signal.cancelled().await;
            engine_stop.stop();
            Ok::<(), std::io::Error>(())
        });
        tokio::select! {
            ended = consumer => {
                if stop.is_cancelled() {
                    break;
                }
                match ended {
                    Ok(()) => tracing::warn!("the consumer of lane {lane} ended; beginning again"),
                    Err(error) => {
                        tracing::warn!(%error, "the consumer of lane {lane} failed ({error}); beginning again");
                    }
                }
            }
            () = until_silent(&resources, &name) => {
                tracing::warn!("the consumer of lane {lane} hangs; beginning again");
            }
        }
        // Not waited for: what hangs would never close.
        tokio::spawn(async move { pool.close().await });
        stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(250))).await;
    }
}

/// Returns when the registry, asked on another connection, has not seen the consumer's heartbeat for a while.
async fn until_silent(resources: &Resources, consumer: &str) {
    let mut unseen = 0.0;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match resources.registry.consumer_silent_for(consumer).await {
            Ok(Some(silent)) if silent >= SILENT_FOR => return,
            Ok(Some(_)) => unseen = 0.0,
            // Not registered yet; a consumer that hangs before it is hangs too.
            Ok(None) => {
                unseen += LOOK_EVERY.as_secs_f64();
                if unseen >= 2.0 * SILENT_FOR {
                    return;
                }
            }
            // The registry is away for everybody.
            Err(error) => tracing::debug!(%error, "the consumer's heartbeat cannot be looked at"),
        }
    }
}

async fn handle(job: OperationJob, engine: Data<Engine>) -> Result<(), BoxDynError> {
    let waiter = (*engine).clone();
    // In a task of its own: in the worker's, all that wakes an operation (each answer of a server)
    // would wake apalis too, which then asks the queue for more, some twenty times in a sign-up.
    let executed = tokio::spawn(async move { engine.execute(job.operation_id).await }).await?;
    // Whatever became of it, the job is done: the operation's row says what is left to do, and the
    // reconciler `requeue_stranded` sees to it.
    if let Executed::Waiting(again_after) = executed
        && again_after <= SHORT_WAIT
    {
        tokio::spawn(async move { waiter.requeue(job.operation_id, again_after).await });
    }
    Ok(())
}
