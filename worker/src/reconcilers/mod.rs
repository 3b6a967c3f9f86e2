//! Periodic tasks without input: each looks at what is and does what is missing, so that a restart
//! and the happy path are one code path. One file each.
//!
//! Each runs in one worker of the fleet at a time, on the registry's clock (table `reconcilers`). Should two run
//! it all the same, because one lost its lease, no harm is done.

pub mod add_users;
pub mod audit_data;
pub mod check_servers;
pub mod compact_usage;
pub mod drop_trials;
pub mod fetch_issuer_keys;
pub mod fill_warm_databases;
pub mod fill_warm_tenants;
pub mod follow_undo_windows;
pub mod forget_domains;
pub mod forget_events;
pub mod forget_fences;
pub mod forget_idempotency;
pub mod forget_jobs;
pub mod forget_operations;
pub mod forget_revoked_sessions;
pub mod forget_signing_keys;
pub mod limit_roles;
pub mod order_servers;
pub mod purge_due;
pub mod requeue_stranded;
pub mod sample_usage;
pub mod seal_audit;
pub mod sweep_own_servers;
pub mod verify_domains;
pub mod watch_slots;
pub mod watch_storage;

use std::{
    collections::BTreeSet,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use tenantry_domain::{app::App, server::Server};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{Resources, resources::FailedPool, step_error::StepError};

/// What a reconciler did: how many things it changed.
pub type Reconciled = Result<u64, StepError>;

type Run = for<'a> fn(&'a Resources) -> BoxFuture<'a, Reconciled>;

/// A reconciler and how often it runs.
#[derive(Clone, Copy)]
struct Reconciler {
    name: &'static str,
    every: Duration,
    run: Run,
}

macro_rules! reconcilers {
    ($($name:ident every $seconds:literal s),* $(,)?) => {
        &[$(Reconciler {
            name: stringify!($name),
            every: Duration::from_secs($seconds),
            run: |resources| Box::pin($name::run(resources)),
        }),*]
    };
}

const ALL: &[Reconciler] = reconcilers![
    requeue_stranded every 1 s,
    check_servers every 1 s,
    order_servers every 1 s,
    fill_warm_tenants every 1 s,
    seal_audit every 2 s,
    audit_data every 2 s,
    fetch_issuer_keys every 2 s,
    fill_warm_databases every 5 s,
    follow_undo_windows every 5 s,
    verify_domains every 5 s,
    add_users every 10 s,
    purge_due every 10 s,
    watch_slots every 10 s,
    limit_roles every 10 s,
    forget_jobs every 30 s,
    sample_usage every 60 s,
    watch_storage every 60 s,
    compact_usage every 60 s,
    forget_domains every 300 s,
    forget_events every 60 s,
    sweep_own_servers every 300 s,
    drop_trials every 300 s,
    forget_idempotency every 300 s,
    forget_operations every 300 s,
    forget_revoked_sessions every 300 s,
    forget_signing_keys every 60 s,
    forget_fences every 3600 s,
];

/// The names of all reconcilers.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|reconciler| reconciler.name)
}

/// Runs a reconciler once, whether it is due or not; none: there is none of that name.
pub async fn run_once(resources: &Resources, name: &str) -> Option<Reconciled> {
    let reconciler = ALL.iter().find(|reconciler| reconciler.name == name)?;
    Some((reconciler.run)(resources).await)
}

/// How long a reconciler stays taken without a sign of life from its worker.
const LEASE: Duration = Duration::from_secs(15);

/// A round that takes longer is ended, and the next one goes on: what a round did stays done.
const LONGEST_ROUND: Duration = Duration::from_mins(10);

/// How often this worker asks what is due.
const TICK: Duration = Duration::from_millis(500);

/// How often this worker's metrics show what is known of the servers.
const SHOW_EVERY: Duration = Duration::from_secs(2);

/// The servers that can be reached.
async fn reachable_servers(resources: &Resources) -> Result<Vec<Server>, StepError> {
    let mut servers = resources.registry.server_list().await?;
    servers.retain(|server| server.health.unreachable.is_none());
    Ok(servers)
}

/// Works on each of these servers. What fails on one does not keep the others from it. `failed` is said of that one,
/// e.g. "storage is not known".
async fn on_each<'a, F>(
    resources: &Resources,
    servers: &'a [Server],
    failed: &str,
    work: impl Fn(&'a Server) -> F,
) -> Reconciled
where
    F: Future<Output = Reconciled>,
{
    let mut changed = 0;
    for server in servers {
        match work(server).await {
            Ok(count) => changed += count,
            Err(error) => note_failure(resources, server, failed, &error).await,
        }
    }
    Ok(changed)
}

/// Something failed on a server: the others are seen to all the same. Logged, and noted where it is away.
async fn note_failure(resources: &Resources, server: &Server, what: &str, error: &StepError) {
    if let StepError::ServerAway { server: Some(id), message, .. } = error {
        resources.servers.forget(*id);
        resources.note_away(*id, message, false).await;
    } else {
        resources.servers.doubt(server.id);
    }
    tracing::warn!(server.name = %server.name, %error, "{what} on server {}: {error}", server.name);
}

/// An app's pool on a server could not be filled. What passes by itself is tried again in the next round.
fn note_failed_pool(
    resources: &Resources,
    server: &Server,
    app: &App,
    pool: FailedPool,
    what: &str,
    error: &StepError,
) {
    // What was made there once may be what is missing.
    resources.servers.doubt(server.id);
    tracing::warn!(
        app = %app.name, server.name = %server.name, %error,
        "{what} of app {} on server {}: {error}", app.name, server.name
    );
    if matches!(error, StepError::Permanent { .. }) {
        resources.failed_pools.note(pool, Instant::now());
    }
}

/// Runs what is due and nobody else runs, until `stop`.
pub(crate) async fn run_all(resources: Arc<Resources>, stop: CancellationToken) {
    let names: Vec<&str> = ALL.iter().map(|reconciler| reconciler.name).collect();
    let mut running = JoinSet::new();
    let mut added = false;
    let mut shown: Option<Instant> = None;
    let mut shown_servers = BTreeSet::new();
    loop {
        if stop.run_until_cancelled(tokio::time::sleep(TICK)).await.is_none() {
            break;
        }
        while let Some(ended) = running.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a reconciler died: {error}");
            }
        }
        if shown.is_none_or(|at| at.elapsed() >= SHOW_EVERY) {
            shown = Some(Instant::now());
            if let Err(error) = check_servers::show(&resources, &mut shown_servers).await {
                tracing::debug!(%error, "the health of the servers cannot be asked for");
            }
        }
        if !added {
            added = resources.registry.reconcilers_add(&names).await.is_ok();
        }
        let due = match resources.registry.reconcilers_take(&resources.settings.name, &names, LEASE).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(%error, "what is due cannot be asked for");
                continue;
            }
        };
        for reconciler in ALL.iter().filter(|reconciler| due.iter().any(|due| due == reconciler.name)) {
            running.spawn(run_one(*reconciler, Arc::clone(&resources), stop.clone()));
        }
    }
    while running.join_next().await.is_some() {}
}

async fn run_one(reconciler: Reconciler, resources: Arc<Resources>, stop: CancellationToken) {
    let Reconciler { name, every, run } = reconciler;
    let (registry, worker) = (&resources.registry, resources.settings.name.as_str());
    let renew = async {
        loop {
            tokio::time::sleep(LEASE / 3).await;
            if matches!(registry.reconciler_renew(worker, name, LEASE).await, Ok(false)) {
                return;
            }
        }
    };
    let started = Instant::now();
    let ran = tokio::select! {
        // One that panics is due again in its turn, and says so, like one that fails.
        ran = AssertUnwindSafe(run(&resources)).catch_unwind() => ran.unwrap_or_else(|_| {
            Err(StepError::permanent("it panicked; the log has the message"))
        }),
        () = renew => Err(StepError::LeaseLost),
        () = tokio::time::sleep(LONGEST_ROUND) => Err(StepError::timed_out(LONGEST_ROUND)),
        () = stop.cancelled() => Ok(0),
    };
    metrics::histogram!("tenantry_reconciler_duration_seconds", "reconciler" => name)
        .record(started.elapsed().as_secs_f64());
    let error = match &ran {
        Ok(0) => None,
        Ok(count) => {
            tracing::info!(reconciler = name, count, "{name} changed {count}");
            None
        }
        Err(error) => {
            tracing::warn!(reconciler = name, %error, "{name} failed: {error}");
            Some(error.to_string())
        }
    };
    // One that stops early is due at once, elsewhere.
    let again_after = if stop.is_cancelled() { Duration::ZERO } else { every };
    if let Err(error) = registry.reconciler_done(worker, name, again_after, error.as_deref()).await {
        tracing::debug!(%error, "{name} cannot be given back; its lease ends by itself");
    }
}
