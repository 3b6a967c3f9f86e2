//! The commands.

use std::sync::Arc;

use clap::{Parser, Subcommand};
use tenantry_worker::engine::Probe;

use crate::{client, completions, demo, dev, roles, settings::LogArgs, telemetry};

/// Gives every customer of a SaaS its own PostgreSQL: a schema, a database or a server, by plan.
#[derive(Debug, Parser)]
#[command(name = "tenantry", version, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    log: LogArgs,

    /// A TOML file with settings; its keys are the flags' names with `_` for `-`.
    #[arg(long, env = "TENANTRY_CONFIG", global = true, value_name = "FILE", help_heading = "Every command")]
    pub(crate) config: Option<std::path::PathBuf>,

    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything on this machine, with an embedded PostgreSQL: for development.
    Dev(Box<dev::DevArgs>),
    /// Play the main job from sign-up to suspension on a throw-away server, and check every answer.
    Demo(Box<demo::DemoArgs>),
    /// Run the control plane: the API that keeps the registry and queues operations.
    ControlPlane(Box<roles::control_plane::ControlPlaneArgs>),
    /// Run a worker: it carries operations out on tenant servers.
    Worker(Box<roles::worker::WorkerArgs>),
    /// Run a data plane: it serves tenants' data.
    DataPlane(Box<roles::data_plane::DataPlaneArgs>),
    /// Bring the registry's database to this version.
    Migrate(Box<roles::migrate::MigrateArgs>),
    /// Have AWS KMS make a key-encryption key, and print it encrypted.
    NewKek(Box<roles::new_kek::NewKekArgs>),
    /// Seal the registry's secrets anew, with a new key-encryption key.
    Rewrap(Box<roles::rewrap::RewrapArgs>),

    /// Talk to a control plane.
    #[command(flatten)]
    Client(client::ClientCommand),

    /// Print a script that completes commands and flags in a shell.
    Completions(completions::CompletionsArgs),
}

/// What roles log. apalis reports as an error each tick of a schedule that comes a fraction of a
/// millisecond late; that its workers ended is logged where they are begun again.
const ROLE_LOG: &str = "info,apalis_core=off";

impl Cli {
    /// Does it.
    pub(crate) async fn run(self, probe: Arc<dyn Probe>) -> anyhow::Result<()> {
        match self.command {
            Command::Dev(args) => {
                telemetry::log(&self.log, "warn,apalis_core=off,tenantry::access=info")?;
                dev::run(*args).await
            }
            Command::Demo(args) => {
                telemetry::log(&self.log, "error")?;
                Box::pin(demo::run(*args)).await
            }
            Command::ControlPlane(args) => {
                telemetry::log(&self.log, ROLE_LOG)?;
                roles::control_plane::run(*args).await
            }
            Command::Worker(args) => {
                telemetry::log(&self.log, ROLE_LOG)?;
                roles::worker::run(*args, probe).await
            }
            Command::DataPlane(args) => {
                telemetry::log(&self.log, ROLE_LOG)?;
                roles::data_plane::run(*args).await
            }
            Command::Migrate(args) => {
                telemetry::log(&self.log, ROLE_LOG)?;
                roles::migrate::run(*args).await
            }
            Command::NewKek(args) => {
                telemetry::log(&self.log, "warn")?;
                roles::new_kek::run(*args).await
            }
            Command::Rewrap(args) => {
                telemetry::log(&self.log, ROLE_LOG)?;
                roles::rewrap::run(*args).await
            }
            Command::Client(command) => {
                telemetry::log(&self.log, "warn")?;
                client::run(command).await
            }
            Command::Completions(args) => completions::run(&args),
        }
    }
}
