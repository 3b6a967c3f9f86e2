//! `tenantry`, the one binary: every role, `dev`, `demo`, and the operator's commands.
//!
//! The only place that reads arguments, environment and configuration files; everything below
//! takes what it needs as values.

pub mod app_folder;
mod client;
mod command;
mod completions;
pub mod compose;
mod demo;
mod dev;
pub mod embedded;
mod kek;
pub mod platform;
mod roles;
mod settings;
mod shutdown;
mod telemetry;

use std::{process::ExitCode, sync::Arc};

use tenantry_worker::engine::{Probe, Unobserved};

pub use command::{Cli, Command};

/// Runs the command line; success only when the work succeeded.
pub fn main() -> ExitCode {
    main_observed(Arc::new(Unobserved))
}

/// As [`main`], with a probe in `tenantry worker`: for tests that stop it at a chosen point.
pub fn main_observed(probe: Arc<dyn Probe>) -> ExitCode {
    choose_cryptography();
    let args: Vec<_> = std::env::args_os().collect();
    let cli = match settings::parse(args.iter().cloned()) {
        Ok(cli) => cli,
        Err(error) => match client::of_usage(&error, &args, std::env::var_os("TENANTRY_OUTPUT")) {
            Some(document) => {
                failed(&document.into());
                return ExitCode::from(2);
            }
            None => error.exit(),
        },
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let ran = runtime.block_on(cli.run(probe));
    // What is still at work then (an idle connection's task, say) must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// The runtime that a process works on.
///
/// # Errors
/// As the threads', which the system may refuse.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    // A thread that always has something to do looks for news of sockets after so many tasks, 61 by default: with others' long
    // bodies among them that is milliseconds.
    const TASKS_BETWEEN_LOOKS: u32 = 8;
    tokio::runtime::Builder::new_multi_thread().enable_all().event_interval(TASKS_BETWEEN_LOOKS).build()
}

/// Makes *ring* the provider of TLS in this process: two are compiled in nowhere, so that rustls
/// does not choose by itself. To be called before the first HTTP client is made.
pub fn choose_cryptography() {
    // Somebody was faster: it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
fn failed(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<client::ErrorDocument>() {
        Some(document) => eprintln!("{document}"),
        None => eprintln!("error: {error:#}"),
    }
    ExitCode::FAILURE
}

/// The reference of all settings, as Markdown.
pub fn configuration_reference() -> String {
    settings::markdown()
}
