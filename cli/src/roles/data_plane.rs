//! `tenantry data-plane`.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use tenantry_data_plane::Settings;
use tenantry_domain::{Slug, SystemClock};
use tokio_util::sync::CancellationToken;

use crate::{
    compose::{self, Patience, Process, data_plane::DataPlaneConfig},
    settings::{AdminArgs, DomainArgs, EdgeArgs, KekArgs, ListenerArgs, RegistryArgs},
    shutdown,
};

/// Settings of `tenantry data-plane`.
#[derive(Debug, Args)]
pub struct DataPlaneArgs {
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    kek: KekArgs,
    #[command(flatten)]
    admin: AdminArgs,
    #[command(flatten)]
    domain: DomainArgs,
    #[command(flatten)]
    serving: ServingArgs,
    #[command(flatten)]
    edge: EdgeArgs,

    /// Where tenants' data is served; port 0 picks a free one.
    #[arg(long, env = "TENANTRY_DATA_PLANE_ADDR", default_value = "127.0.0.1:8081", value_name = "ADDR")]
    data_plane_addr: SocketAddr,
}

/// How tenants are served.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServingArgs {
    /// Serve this tenant only, whatever the request says.
    #[arg(long, env = "TENANTRY_SINGLE_TENANT", value_name = "SLUG")]
    single_tenant: Option<Slug>,

    /// Seconds that a request which writes waits while its tenant is being moved. Longer than workers' leases, after
    /// which another takes over what a worker that died has left.
    #[arg(long, env = "TENANTRY_HOLD", default_value_t = 30.0, value_name = "SECONDS")]
    hold: f64,
}

impl ServingArgs {
    pub(crate) fn settings(&self, base_domain: &str, listener: &ListenerArgs) -> Settings {
        Settings {
            base_domain: base_domain.to_owned(),
            single_tenant: self.single_tenant.clone(),
            access_log: listener.access_log,
            connections: listener.connections(),
            hold: Duration::try_from_secs_f64(self.hold).unwrap_or(Duration::MAX),
            ..Settings::default()
        }
    }
}

pub(crate) async fn run(args: DataPlaneArgs) -> anyhow::Result<()> {
    let told = shutdown::on_signal()?;
    let config = DataPlaneConfig {
        registry: args.registry.config()?,
        kek: args.kek.required().await?,
        addr: args.data_plane_addr,
        settings: args.serving.settings(&args.domain.base_domain, &args.edge.listener),
    };
    let process = Process::new(SystemClock::shared(), Patience::UntilReady)?;
    let stop = process.stop_after(told, args.edge.drain()?);
    let ended = CancellationToken::new();
    let _admin = ended.clone().drop_guard();
    process.serve_admin(args.admin.admin_addr, ended).await?;
    let starting = Box::pin(compose::data_plane::start(&process, config, stop.clone()));
    let Some(started) = stop.run_until_cancelled(starting).await else { return Ok(()) };
    let started = started?;
    tracing::info!("the data plane listens on http://{}", started.address);
    started.task.await?
}
