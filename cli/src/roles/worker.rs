//! `tenantry worker`.

use std::{
    net::IpAddr,
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use ipnet::IpNet;
use tenantry_domain::SystemClock;
use tenantry_postgres::admin::AdminLimits;
use tenantry_worker::{Concurrency, Retention, Settings, engine::Probe, webhooks::WebhookSettings};
use tokio_util::sync::CancellationToken;

use crate::{
    compose::{
        self, Patience, Process,
        worker::{WorkerConfig, unique_name},
    },
    settings::{AdminArgs, KekArgs, ProviderArgs, RegistryArgs},
    shutdown,
};

/// Settings of `tenantry worker`.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    kek: KekArgs,
    #[command(flatten)]
    admin: AdminArgs,

    /// Its name among workers; by default one that no other has.
    #[arg(long, env = "TENANTRY_WORKER_NAME", value_name = "NAME")]
    worker_name: Option<String>,

    /// Sign-ups, suspensions and the like that it runs at once.
    #[arg(long, env = "TENANTRY_WORKER_CONCURRENCY", default_value_t = 8, value_name = "COUNT")]
    worker_concurrency: usize,

    /// Purges and other long operations that it runs at once, beside those.
    #[arg(long, env = "TENANTRY_WORKER_LONG_CONCURRENCY", default_value_t = 4, value_name = "COUNT")]
    worker_long_concurrency: usize,

    /// Seconds that an operation stays taken without a sign of life from its worker.
    #[arg(long, env = "TENANTRY_WORKER_LEASE", default_value_t = 15.0, value_name = "SECONDS")]
    worker_lease: f64,

    /// Databases to keep ready for tenants of tier database, of each app on each server. A sign-up takes
    /// one instead of waiting for a copy.
    #[arg(long, env = "TENANTRY_WARM_DATABASES", default_value_t = 1, value_name = "COUNT")]
    warm_databases: usize,

    /// Tenants to keep ready in each shared database, of each app. A sign-up names one instead of making it;
    /// 0 turns that off.
    #[arg(long, env = "TENANTRY_WARM_TENANTS", default_value_t = 8, value_name = "COUNT")]
    warm_tenants: usize,

    /// Megabytes that a tenant's rows may take, with their indexes, to be copied while its writes wait, when it is moved: some
    /// 30 ms for each. Larger ones are copied before, while they are written to.
    #[arg(long, env = "TENANTRY_MOVE_AT_ONCE", default_value_t = 1, value_name = "MEGABYTES")]
    move_at_once: u64,

    /// Megabytes per second that a tenant is copied with while it is written to, and compared with afterwards, so that others on its
    /// servers are not slowed down. [default: as fast as it goes]
    #[arg(long, env = "TENANTRY_MOVE_RATE", value_name = "MEGABYTES")]
    move_rate: Option<NonZeroU32>,

    /// Megabytes of WAL that a server may keep for a tenant that is copied while it is written to. At more the move is given
    /// up, so that the server's disk does not become full.
    #[arg(long, env = "TENANTRY_MOVE_WAL_KEEP_SIZE", default_value_t = 16 << 10, value_name = "MEGABYTES")]
    move_wal_keep_size: u64,

    #[command(flatten)]
    providers: ProviderArgs,

    /// Connections of its own that a tenant may have at a time where its plan does not say (`plans update
    /// --max-connections`). Those of data planes do not count.
    #[arg(long, env = "TENANTRY_TENANT_CONNECTIONS", default_value_t = 20, value_name = "COUNT")]
    tenant_connections: u32,

    /// Connections that it may open to one server: this many to the shared database, and half as many
    /// sessions in others, at least three.
    #[arg(long, env = "TENANTRY_WORKER_SERVER_CONNECTIONS", default_value_t = 8, value_name = "COUNT")]
    worker_server_connections: u32,

    /// Days that ended operations and their events are kept.
    #[arg(long, env = "TENANTRY_KEEP_OPERATIONS", default_value_t = 90, value_name = "DAYS")]
    keep_operations: u16,

    /// Days that the records of purged tenants are kept.
    #[arg(long, env = "TENANTRY_KEEP_PURGED_TENANTS", default_value_t = 365, value_name = "DAYS")]
    keep_purged_tenants: u16,

    /// Days that usage and storage samples are kept.
    #[arg(long, env = "TENANTRY_KEEP_USAGE", default_value_t = 90, value_name = "DAYS")]
    keep_usage: u16,

    /// Days that events are kept, with what became of them at webhooks.
    #[arg(long, env = "TENANTRY_KEEP_EVENTS", default_value_t = 30, value_name = "DAYS")]
    keep_events: u16,

    /// Networks that requests to webhooks, and for keys of issuers, may go to though they are not public, over http too: addresses or
    /// CIDRs.
    #[arg(long, env = "TENANTRY_WEBHOOKS_ALLOW_NETWORKS", value_name = "NETWORKS", value_delimiter = ',', value_parser = network)]
    webhooks_allow_networks: Vec<IpNet>,

    /// What distinguishes this registry's logins and templates on servers that several registries share.
    #[arg(long, env = "TENANTRY_LABEL", default_value = "main", value_name = "NAME")]
    label: String,
}

/// Reads an address or a network.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| "must be an address or a network such as 10.0.0.0/8".to_owned())
}

const MEGABYTE: NonZeroU64 = NonZeroU64::new(1 << 20).expect("not zero");

pub(crate) async fn run(args: WorkerArgs, probe: Arc<dyn Probe>) -> anyhow::Result<()> {
    let told = shutdown::on_signal()?;
    let (clock, kek) = (SystemClock::shared(), args.kek.required().await?);
    let settings = Settings {
        name: args.worker_name.unwrap_or_else(unique_name),
        concurrency: Concurrency {
            interactive: args.worker_concurrency,
            long: args.worker_long_concurrency,
            ..Concurrency::default()
        },
        lease: Duration::try_from_secs_f64(args.worker_lease)?,
        warm_databases: args.warm_databases,
        warm_tenants: args.warm_tenants,
        move_at_once: args.move_at_once << 20,
        move_rate: args.move_rate.map(|rate| NonZeroU64::from(rate).saturating_mul(MEGABYTE)),
        move_wal_keep_size: args.move_wal_keep_size << 20,
        tenant_connections: args.tenant_connections,
        providers: args.providers.providers(&args.label, &kek, clock.clone()).await?,
        retention: Retention {
            operations: args.keep_operations,
            purged_tenants: args.keep_purged_tenants,
            samples: args.keep_usage,
            events: args.keep_events,
        },
        webhooks: WebhookSettings {
            allow_networks: args.webhooks_allow_networks,
            ..WebhookSettings::default()
        },
        admin: AdminLimits {
            shared_connections: args.worker_server_connections.max(2),
            // Three: a template and a version on trial each hold a lock in one while they need another.
            sessions: (args.worker_server_connections as usize / 2).max(3),
            ..AdminLimits::default()
        },
        label: args.label,
        ..Settings::default()
    };
    let config = WorkerConfig::new(args.registry.config()?, kek, settings);
    let process = Process::new(clock, Patience::UntilReady)?;
    // Nobody sends a worker requests: it need not wait for anybody to look away.
    let stop = process.stop_after(told, Duration::ZERO);
    let ended = CancellationToken::new();
    let _admin = ended.clone().drop_guard();
    process.serve_admin(args.admin.admin_addr, ended).await?;
    let starting = Box::pin(compose::worker::start(&process, WorkerConfig { probe, ..config }, stop.clone()));
    let Some(started) = stop.run_until_cancelled(starting).await else { return Ok(()) };
    started?.task.await?
}
