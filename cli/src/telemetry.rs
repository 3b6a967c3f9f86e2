//! Logs and metrics of the process.

use std::io::IsTerminal;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::settings::{LogArgs, LogFormat};

/// Begins to log to standard error, by the given filter or else the command's default.
pub(crate) fn log(args: &LogArgs, default: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(args.log.as_deref().unwrap_or(default))
        .context("TENANTRY_LOG is not a log filter")?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        LogFormat::Pretty => registry
            .with(layer.compact().with_target(false).with_ansi(std::io::stderr().is_terminal()))
            .try_init(),
    }
    .context("logging has begun already")
}

/// Seconds; from a cached read to a long copy.
const BUCKETS: &[f64] =
    &[0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// The process's metrics, to be rendered on the admin port. May be called again: a process has one recorder.
pub(crate) fn metrics() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), BUCKETS)?
        .install_recorder()
        .context("the metrics recorder cannot be installed")?;
    Ok(HANDLE.get_or_init(|| handle).clone())
}
