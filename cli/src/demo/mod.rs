//! `tenantry demo`: the main job from sign-up to suspension, played against real HTTP on a
//! throw-away server. It succeeds only if every check held.

mod cast;
mod http;
mod report;
mod story;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;
use rand::Rng;
use tenantry_domain::{SystemClock, api_key::NewKey, envelope::Key};
use tenantry_postgres::embedded::{Durability, EmbeddedConfig};
use tokio_util::sync::CancellationToken;

use crate::{
    app_folder,
    compose::worker::{local_servers, unique_name},
    embedded::Embedded,
    platform::{Platform, PlatformConfig},
    settings::EmbeddedArgs,
    shutdown,
};
use report::Report;

/// Settings of `tenantry demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Rows that each tenant loads into its main table.
    #[arg(long, default_value_t = 200, value_name = "COUNT")]
    rows: usize,

    /// The folder with the sample apps.
    #[arg(long, env = "TENANTRY_APPS_DIR", default_value = "migrations/tenant", value_name = "DIR")]
    apps_dir: std::path::PathBuf,

    #[command(flatten)]
    embedded: EmbeddedArgs,
}

pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let mut report = Report::begin();
    let apps = app_folder::read_all(&args.apps_dir).context("run it from a checkout, or give --apps-dir")?;
    let mut random = [0u8; 6];
    rand::rng().fill_bytes(&mut random);
    let name = random.iter().map(|byte| char::from(b'a' + byte % 26)).collect::<String>();
    let data_dir = std::env::temp_dir().join(format!("tenantry-demo-{name}"));
    let servers = std::env::temp_dir().join(format!("tenantry-demo-{name}-servers"));

    let embedded = report
        .phase("Start PostgreSQL", async {
            let config =
                EmbeddedConfig { ephemeral: true, ..EmbeddedConfig::new(data_dir, args.embedded.search()) };
            let embedded = Embedded::start(config).await?;
            let said = format!("a private server on port {}, removed afterwards", embedded.postgres.port());
            Ok((embedded, said))
        })
        .await?;
    let played = Box::pin(play(&args, apps, &embedded, servers.clone(), &mut report, stop)).await;
    // The servers go, however the play went.
    embedded.postgres.stop().await?;
    if servers.exists() {
        std::fs::remove_dir_all(&servers)?;
    }
    played?;
    report.end();
    Ok(())
}

async fn play(
    args: &DemoArgs,
    apps: Vec<tenantry_domain::app::App>,
    embedded: &Embedded,
    servers: PathBuf,
    report: &mut Report,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let api_key = NewKey::operator(&mut rand::rng()).key;
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let count = apps.len();
    let platform = report
        .phase("Start Tenantry", async {
            let config = PlatformConfig {
                registry_url: embedded.registry_url.clone(),
                kek: Key::generate(&mut rand::rng()),
                api_key: api_key.clone(),
                control_plane_addr: any_port,
                data_plane_addr: any_port,
                admin_addr: any_port,
                apps,
                tenant_server: Some(embedded.tenant_server()),
                control_plane: tenantry_control_plane::Settings::default(),
                data_plane: tenantry_data_plane::Settings::default(),
                worker: tenantry_worker::Settings {
                    name: unique_name(),
                    // Small as they are, they are moved as large ones are.
                    move_at_once: 0,
                    providers: local_servers(servers, args.embedded.search(), Durability::default()),
                    ..Default::default()
                },
            };
            let platform = Platform::start(config, SystemClock::shared()).await?;
            let (api, data) = (platform.control_plane, platform.data_plane);
            let said =
                format!("registry migrated, {count} apps loaded; API on http://{api}, data on http://{data}");
            Ok((platform, said))
        })
        .await?;
    let client = http::Client::new(platform.control_plane, platform.data_plane, api_key)?;
    let told = tokio::select! {
        told = story::tell(&client, report, args.rows) => told,
        () = stop.cancelled() => Err(anyhow::anyhow!("interrupted")),
    };
    platform.stop().await?;
    told
}
