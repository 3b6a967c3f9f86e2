//! What is measured at each size.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use tenantry_domain::SystemClock;
use tenantry_tests::{raw_sign_up, report::percentile_ms};
use tenantry_worker::{Settings, reconcilers};

use crate::{
    fleet::{APP, Fleet, RAW, WARM},
    statements::{Counter, Statements},
};

/// The figures at one size.
pub(crate) struct Measured {
    pub(crate) tenants: usize,
    /// From the warm pool, p50 and p99 in milliseconds.
    pub(crate) warm: (f64, f64),
    /// Made at the time.
    pub(crate) made: (f64, f64),
    /// The raw work of the latter, beside it: what the machine was worth just then.
    pub(crate) raw: (f64, f64),
    /// Resident memory of a data plane with all routes, in megabytes.
    pub(crate) data_plane_mb: f64,
    /// A tick of each reconciler that finds nothing to do.
    pub(crate) ticks: BTreeMap<&'static str, Tick>,
    /// The statements of sign-ups from the warm pool.
    pub(crate) statements: Statements,
}

/// What a tick costs.
pub(crate) struct Tick {
    /// The first, which may find something to do.
    pub(crate) first: Duration,
    /// The shortest of the next ones.
    pub(crate) idle: Duration,
    pub(crate) registry: u64,
    pub(crate) server: u64,
}

/// `sample`: sign-ups of each kind.
pub(crate) async fn all(fleet: &mut Fleet, sample: usize) -> anyhow::Result<Measured> {
    fleet.pool = fleet.app.warm_pool_in_hand(sample).await;
    let tenants = fleet.tenants();
    fleet.pool.fill().await?;
    let mut counter = Counter::begin(&fleet.postgres, fleet.app.registry_url()).await?;
    let mut warm = Vec::with_capacity(sample);
    for _ in 0..sample {
        warm.push(fleet.sign_up().await);
    }
    let statements = counter.read().await?;
    let mut bare = raw_sign_up::connect(&fleet.postgres, RAW).await?;
    let (mut made, mut raw) = (Vec::with_capacity(sample), Vec::with_capacity(sample));
    for n in 0..sample {
        made.push(fleet.sign_up().await);
        let started = Instant::now();
        raw_sign_up::run(&mut bare, raw_sign_up::sign_up_sql(APP, &format!("raw_{tenants}_{n}"))).await?;
        raw.push(started.elapsed());
    }
    fleet.route_all().await;
    let data_plane_mb = resident_mb(fleet.data_plane.pid())?;
    let ticks = ticks(fleet, &mut counter).await?;
    fleet.app.give_back_warm_pool().await;
    let both = |times: &mut [Duration]| (percentile_ms(times, 0.5), percentile_ms(times, 0.99));
    Ok(Measured {
        tenants,
        warm: both(&mut warm),
        made: both(&mut made),
        raw: both(&mut raw),
        data_plane_mb,
        ticks,
        statements,
    })
}

/// Runs each reconciler several times, with the fleet's worker at rest.
async fn ticks(fleet: &mut Fleet, counter: &mut Counter) -> anyhow::Result<BTreeMap<&'static str, Tick>> {
    fleet.app.stop_worker().await;
    let settings = Settings { warm_tenants: WARM, ..fleet.app.worker_settings() };
    let worker = fleet.app.idle_worker_with(SystemClock::shared(), settings);
    let mut ticks = BTreeMap::new();
    for name in reconcilers::names() {
        let run = async || -> anyhow::Result<Duration> {
            let started = Instant::now();
            if let Some(ran) = reconcilers::run_once(worker.resources(), name).await {
                ran?;
            }
            Ok(started.elapsed())
        };
        let first = run().await?;
        let mut idle = Duration::MAX;
        for _ in 0..4 {
            counter.again().await?;
            idle = idle.min(run().await?);
        }
        let statements = counter.read().await?;
        let (registry, server) = (statements.worker_in_registry, statements.on_server);
        ticks.insert(name, Tick { first, idle, registry, server });
    }
    fleet.app.restart_worker().await;
    Ok(ticks)
}

/// Resident memory of a process.
fn resident_mb(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    Ok(kilobytes.ok_or_else(|| anyhow::anyhow!("the size of process {pid} is not known"))? / 1e3)
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenants, warm, made, raw, data_plane_mb, ticks, .. } = self;
        writeln!(f, "\n== {tenants} tenants")?;
        writeln!(f, "sign-up from the warm pool  p50 {:6.1} ms  p99 {:6.1} ms", warm.0, warm.1)?;
        writeln!(f, "sign-up, pool empty         p50 {:6.1} ms  p99 {:6.1} ms", made.0, made.1)?;
        writeln!(f, "the raw work of that        p50 {:6.1} ms  p99 {:6.1} ms", raw.0, raw.1)?;
        writeln!(f, "data plane, all routes      {data_plane_mb:.1} MB")?;
        writeln!(
            f,
            "{:<22}{:>12}{:>12}{:>12}{:>10}",
            "a tick of", "first ms", "idle ms", "in registry", "on server"
        )?;
        for (name, tick) in ticks {
            writeln!(
                f,
                "{name:<22}{:>12.2}{:>12.2}{:>12}{:>10}",
                tick.first.as_secs_f64() * 1e3,
                tick.idle.as_secs_f64() * 1e3,
                tick.registry,
                tick.server
            )?;
        }
        Ok(())
    }
}
