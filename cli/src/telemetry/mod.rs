//! Logs and metrics of the process.

mod descriptions;
mod metrics;

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

pub(crate) use metrics::Metrics;

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
