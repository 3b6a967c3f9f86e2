//! Periodic tasks without input: each looks at what is and does what is missing, so that a restart
//! and the happy path are one code path. One file each. Any of them may run in several workers at once.

pub mod compact_usage;
pub mod fill_warm_pools;
pub mod forget_domains;
pub mod forget_idempotency;
pub mod forget_jobs;
pub mod purge_due;
pub mod requeue_stranded;
pub mod sample_usage;
pub mod verify_domains;

use std::{str::FromStr, sync::Arc, time::Duration};

use apalis::prelude::{BoxDynError, Data, WorkerBuilder};
use apalis_cron::{CronScheduler, Tick};
use cron::Schedule;
use futures::future::BoxFuture;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Resources, engine::StepError};

/// What a reconciler did: how many things it changed.
pub type Reconciled = Result<u64, StepError>;

type Run = for<'a> fn(&'a Resources) -> BoxFuture<'a, Reconciled>;

/// A reconciler and when it runs.
#[derive(Clone, Copy)]
struct Reconciler {
    name: &'static str,
    /// Seconds, minutes, hours, day, month, weekday.
    schedule: &'static str,
    run: Run,
}

const ALL: &[Reconciler] = &[
    Reconciler {
        name: "requeue_stranded",
        schedule: "* * * * * *",
        run: |r| Box::pin(requeue_stranded::run(r)),
    },
    Reconciler { name: "purge_due", schedule: "*/10 * * * * *", run: |r| Box::pin(purge_due::run(r)) },
    Reconciler {
        name: "verify_domains",
        schedule: "*/5 * * * * *",
        run: |r| Box::pin(verify_domains::run(r)),
    },
    Reconciler {
        name: "fill_warm_pools",
        schedule: "*/5 * * * * *",
        run: |r| Box::pin(fill_warm_pools::run(r)),
    },
    Reconciler { name: "sample_usage", schedule: "15 * * * * *", run: |r| Box::pin(sample_usage::run(r)) },
    Reconciler { name: "compact_usage", schedule: "45 * * * * *", run: |r| Box::pin(compact_usage::run(r)) },
    Reconciler {
        name: "forget_domains",
        schedule: "20 * * * * *",
        run: |r| Box::pin(forget_domains::run(r)),
    },
    Reconciler { name: "forget_jobs", schedule: "30 * * * * *", run: |r| Box::pin(forget_jobs::run(r)) },
    Reconciler {
        name: "forget_idempotency",
        schedule: "0 * * * * *",
        run: |r| Box::pin(forget_idempotency::run(r)),
    },
];

/// Begins to run all reconcilers on their schedules, until `stop`.
pub(crate) fn spawn_all(tasks: &mut JoinSet<()>, resources: &Arc<Resources>, stop: &CancellationToken) {
    for reconciler in ALL {
        tasks.spawn(run_one(*reconciler, Arc::clone(resources), stop.clone()));
    }
}

async fn run_one(reconciler: Reconciler, resources: Arc<Resources>, stop: CancellationToken) {
    let schedule = Schedule::from_str(reconciler.schedule).expect("the schedules above are valid");
    while !stop.is_cancelled() {
        let worker = WorkerBuilder::new(format!("{}-{}", resources.settings.name, reconciler.name))
            .backend(CronScheduler::new(schedule.clone()))
            .data((reconciler, Arc::clone(&resources)))
            .build(tick);
        let signal = stop.clone();
        let ended = worker
            .run_until(async move {
                signal.cancelled().await;
                Ok::<(), std::io::Error>(())
            })
            .await;
        if let Err(error) = ended
            && !stop.is_cancelled()
        {
            tracing::warn!(reconciler = reconciler.name, %error, "reconciler {} ended; beginning again", reconciler.name);
            stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await;
        }
    }
}

async fn tick(_: Tick, data: Data<(Reconciler, Arc<Resources>)>) -> Result<(), BoxDynError> {
    let (reconciler, resources) = &*data;
    match (reconciler.run)(resources).await {
        Ok(0) => {}
        Ok(count) => {
            tracing::info!(reconciler = reconciler.name, count, "{} changed {count}", reconciler.name);
        }
        Err(error) => {
            tracing::warn!(reconciler = reconciler.name, %error, "{} failed: {error}", reconciler.name);
        }
    }
    Ok(())
}
