//! The metrics of the process, as the admin port shows them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::Context;
use metrics::gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use tenantry_registry::{Part, Registry};

use super::descriptions::describe;

/// Seconds; from a cached read to a long copy.
const BUCKETS: &[f64] =
    &[0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// The metrics of a process's roles. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    recorder: &'static Recorder,
    registries: Arc<Mutex<Vec<(&'static str, Registry)>>>,
}

#[derive(Debug)]
struct Recorder {
    handle: PrometheusHandle,
    /// Of this process: CPU, memory, files, threads.
    process: Collector,
}

impl Metrics {
    /// Installs the recorder. May be called again: a process has one.
    pub(crate) fn install() -> anyhow::Result<Self> {
        static RECORDER: OnceLock<Recorder> = OnceLock::new();
        static INSTALLING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        let recorder = if let Some(recorder) = RECORDER.get() {
            recorder
        } else {
            let handle = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), BUCKETS)?
                .install_recorder()
                .context("the metrics recorder cannot be installed")?;
            let process = Collector::default();
            process.describe();
            describe();
            gauge!("tenantry_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            RECORDER.get_or_init(|| Recorder { handle, process })
        };
        Ok(Self { recorder, registries: Arc::default() })
    }

    /// Shows the pools of a registry from now on.
    pub(crate) fn watch(&self, part: Part, registry: Registry) {
        self.registries.lock().unwrap_or_else(PoisonError::into_inner).push((part.as_str(), registry));
    }

    /// All metrics now, in Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        self.recorder.process.collect();
        for (part, registry) in &*self.registries.lock().unwrap_or_else(PoisonError::into_inner) {
            for pool in registry.pool_use() {
                let set = |state: &'static str, count: u32| {
                    gauge!("tenantry_registry_connections", "part" => *part, "pool" => pool.pool, "state" => state)
                        .set(f64::from(count));
                };
                set("idle", pool.idle);
                set("in_use", pool.open - pool.idle);
                gauge!("tenantry_registry_connections_max", "part" => *part, "pool" => pool.pool)
                    .set(f64::from(pool.max));
            }
        }
        let text = self.recorder.handle.render();
        // The recorder forgets no gauge by itself. One that was set to be no number, because what it is about is gone, is left out.
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.ends_with(" NaN")).collect();
        lines.push("");
        lines.join("\n")
    }
}
