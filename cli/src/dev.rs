//! `tenantry dev`: everything on this machine, with an embedded PostgreSQL.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context;
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tenantry_domain::SystemClock;
use tenantry_postgres::embedded::{Durability, EmbeddedConfig};

use crate::{
    app_folder,
    compose::worker::{local_servers, loopback_webhooks, unique_name},
    embedded::{Embedded, KeptSecrets},
    platform::{Platform, PlatformConfig},
    roles::{control_plane::ApiArgs, data_plane::ServingArgs},
    settings::{AdminArgs, DomainArgs, EmbeddedArgs, KekArgs, ListenerArgs, default_data_dir},
    shutdown,
};

/// Settings of `tenantry dev`.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// The registry's PostgreSQL; without it, an embedded server is started.
    #[arg(long, env = "TENANTRY_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<SecretString>,

    /// Where the embedded server's data and the kept secrets are. [default: $`XDG_DATA_HOME/tenantry`;
    /// as root /var/lib/tenantry]
    #[arg(long, env = "TENANTRY_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Where the API listens; port 0 picks a free one.
    #[arg(long, env = "TENANTRY_CONTROL_PLANE_ADDR", default_value = "127.0.0.1:8080", value_name = "ADDR")]
    control_plane_addr: SocketAddr,

    /// Where tenants' data is served; port 0 picks a free one.
    #[arg(long, env = "TENANTRY_DATA_PLANE_ADDR", default_value = "127.0.0.1:8081", value_name = "ADDR")]
    data_plane_addr: SocketAddr,

    /// The first API key, with all scopes; without it one is made and kept.
    #[arg(long, env = "TENANTRY_BOOTSTRAP_KEY", hide_env_values = true, value_name = "KEY")]
    bootstrap_key: Option<SecretString>,

    /// A folder of apps to load. [default: migrations/tenant, if it is there]
    #[arg(long, env = "TENANTRY_APPS_DIR", value_name = "DIR")]
    apps_dir: Option<PathBuf>,

    #[command(flatten)]
    listener: ListenerArgs,
    #[command(flatten)]
    admin: AdminArgs,
    #[command(flatten)]
    domain: DomainArgs,
    #[command(flatten)]
    kek: KekArgs,
    #[command(flatten)]
    api: ApiArgs,
    #[command(flatten)]
    serving: ServingArgs,
    #[command(flatten)]
    embedded: EmbeddedArgs,
}

/// The sample apps, when run from a checkout.
const SAMPLE_APPS: &str = "migrations/tenant";

pub(crate) async fn run(args: DevArgs) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let data_dir = args.data_dir.clone().unwrap_or_else(default_data_dir);
    let secrets = KeptSecrets::in_folder(&data_dir)?;
    let kek = args.kek.given().await?.map_or_else(|| secrets.kek(), Ok)?;
    let api_key = args.bootstrap_key.clone().map_or_else(|| secrets.api_key(), Ok)?;
    let apps_dir =
        args.apps_dir.clone().or_else(|| Some(PathBuf::from(SAMPLE_APPS)).filter(|dir| dir.is_dir()));

    let embedded = match &args.database_url {
        Some(_) => None,
        None => Some(
            Embedded::start(EmbeddedConfig::new(data_dir.join("postgres"), args.embedded.search())).await?,
        ),
    };
    let registry_url = args
        .database_url
        .clone()
        .or_else(|| embedded.as_ref().map(|embedded| embedded.registry_url.clone()))
        .context("there is neither a database URL nor an embedded server")?;
    let platform = Platform::start(
        PlatformConfig {
            registry_url,
            kek,
            api_key: api_key.clone(),
            control_plane_addr: args.control_plane_addr,
            data_plane_addr: args.data_plane_addr,
            admin_addr: args.admin.admin_addr,
            apps: app_folder::read_all_of(apps_dir.as_deref())?,
            tenant_server: embedded.as_ref().map(Embedded::tenant_server),
            control_plane: args.api.settings(&args.domain.base_domain, &args.listener)?,
            data_plane: args.serving.settings(&args.domain.base_domain, &args.listener),
            worker: tenantry_worker::Settings {
                name: unique_name(),
                providers: local_servers(
                    data_dir.join("servers"),
                    args.embedded.search(),
                    Durability::default(),
                ),
                webhooks: loopback_webhooks(),
                ..Default::default()
            },
        },
        SystemClock::shared(),
    )
    .await?;
    greet(&platform, &api_key, &args.domain.base_domain);
    platform.run_until(stop).await?;
    if let Some(embedded) = embedded {
        embedded.postgres.stop().await?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what the user waits for")]
fn greet(platform: &Platform, key: &SecretString, base_domain: &str) {
    let (api, data, admin, key) =
        (platform.control_plane, platform.data_plane, platform.admin, key.expose_secret());
    let port = data.port();
    println!(
        "Tenantry is up.

  control plane  http://{api}     (docs: http://{api}/docs)
  data plane     http://{data}     (docs: http://{data}/docs)
  admin          http://{admin}/metrics
  API key        {key}

Sign a tenant up, make a key for its data, and read a table through its subdomain:

  curl -sS http://{api}/api/v1/tenants -H 'Authorization: Bearer {key}' -H 'Prefer: wait=10' -H 'Content-Type: application/json' -d '{{\"name\": \"Acme\", \"plan\": \"basic\", \"app\": \"crm\"}}'

  DATA_KEY=$(curl -sS http://{api}/api/v1/tenants/acme/keys -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{{\"name\": \"first\"}}' | sed 's/.*\"key\":\"\\([^\"]*\\)\".*/\\1/')

  curl -sS http://{data}/api/contacts -H 'Host: acme.{base_domain}:{port}' -H \"Authorization: Bearer $DATA_KEY\"

Ctrl-C stops everything; the data stays."
    );
}
