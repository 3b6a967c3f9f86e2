//! The worker with a probe that stops it at a chosen point, so that a test can kill it just there; or a worker
//! for one operation, whose end says that it has nothing more to send. Everything else is the binary as it
//! ships.

use std::{env::var_os, process::ExitCode, sync::Arc};

use tenantry_tests::{one_operation, probe::StopAt, process::STOP_AT};

fn main() -> ExitCode {
    if var_os(one_operation::OPERATION).is_some() {
        return one_operation::main();
    }
    match var_os(STOP_AT) {
        Some(point) => tenantry_cli::main_observed(Arc::new(StopAt(point.to_string_lossy().into_owned()))),
        None => tenantry_cli::main(),
    }
}
