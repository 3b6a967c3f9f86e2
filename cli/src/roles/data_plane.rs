//! `tenantry data-plane`.

use std::net::SocketAddr;

use clap::Args;
use secrecy::ExposeSecret;
use tenantry_data_plane::{DataPlane, Settings};
use tenantry_domain::{Slug, SystemClock};
use tenantry_registry::{Part, Registry};

use super::serve_admin;
use crate::{
    platform::bind,
    settings::{AdminArgs, DomainArgs, KekArgs, RegistryArgs},
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
}

impl ServingArgs {
    pub(crate) fn settings(&self, base_domain: &str) -> Settings {
        Settings {
            base_domain: base_domain.to_owned(),
            single_tenant: self.single_tenant.clone(),
            ..Settings::default()
        }
    }
}

pub(crate) async fn run(args: DataPlaneArgs) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let url = args.registry.database_url.expose_secret();
    let registry = Registry::connect_lazy(url, Part::DataPlane, args.registry.registry_connections)?;
    let settings = args.serving.settings(&args.domain.base_domain);
    // First: metrics that are made before the recorder go nowhere. It is ready without the registry:
    // it serves the tenants that it knows while the registry is down.
    serve_admin(args.admin.admin_addr, Vec::new(), stop.clone()).await?;
    let plane = DataPlane::new(registry, args.kek.required()?, SystemClock::shared(), settings);
    let (listener, addr) = bind(args.data_plane_addr, "data plane").await?;
    tracing::info!("the data plane listens on http://{addr}");
    Ok(plane.serve(listener, stop).await?)
}
