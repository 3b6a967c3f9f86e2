//! The worker with a probe that stops it at a chosen point, so that a test can kill it just there.
//! Everything else is the binary as it ships.

use std::{process::ExitCode, sync::Arc};

use tenantry_tests::{probe::StopAt, process::STOP_AT};

fn main() -> ExitCode {
    match std::env::var_os(STOP_AT) {
        Some(point) => tenantry_cli::main_observed(Arc::new(StopAt(point.to_string_lossy().into_owned()))),
        None => tenantry_cli::main(),
    }
}
