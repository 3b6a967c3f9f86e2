//! `tenantry tenants`: customer organisations.

mod config;
mod connection;
mod create;
mod domains;
mod health;
mod impersonate;
mod keys;
mod moves;
mod shell;
mod update;
mod usage;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Client,
    confirm::confirm,
    connection::ConnectionArgs,
    human::text,
    list::{self, ListArgs},
    member,
    output::{Column, Shown, lines_of},
    progress::{WaitArgs, finish},
    watch::{self, WatchArgs},
};

const EXAMPLES: &str = "Examples:
  tenantry tenants create \"Acme Inc\" --plan basic --app crm
  tenantry tenants list --status active --plan premium
  tenantry tenants show acme-inc
  tenantry tenants keys create acme-inc backend
  tenantry tenants shell acme-inc
  tenantry tenants upgrade acme-inc --plan premium
  tenantry tenants suspend acme-inc
  tenantry tenants delete acme-inc";

/// `tenantry tenants`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TenantsArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: TenantsCommand,
}

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub(super) enum TenantsCommand {
    /// Sign a tenant up and wait until it is served.
    Create(create::CreateArgs),
    /// List tenants, newest first.
    List(TenantListArgs),
    /// Show a tenant.
    Show(ShowArgs),
    /// Change a tenant's name, features, settings or limits.
    Update(update::UpdateArgs),
    /// Give a tenant another plan; where its tier is another, the tenant is moved while it is served.
    Upgrade(moves::UpgradeArgs),
    /// Move a tenant to another tier or server while it is served.
    Move(moves::MoveArgs),
    /// Stop serving a tenant; its data is kept.
    Suspend(TransitionArgs),
    /// Serve a suspended tenant again.
    Resume(TransitionArgs),
    /// Delete a tenant; it can be restored until the plan's retention is over.
    Delete(DeleteArgs),
    /// Take a deletion back.
    Restore(TransitionArgs),
    /// Show where a tenant's data is, for a PostgreSQL client.
    Connection(connection::ConnectionOfArgs),
    /// Show how a tenant does.
    Health(health::HealthArgs),
    /// Show what a tenant used, and how near its limits it is.
    Usage(usage::UsageArgs),
    /// Open psql on a tenant's data; needs a key with the scope `tenants:secrets`.
    Shell(shell::ShellArgs),
    /// Get a short token for a tenant's data, for support; needs a key with the scope `tenants:impersonate`.
    Impersonate(impersonate::ImpersonateArgs),
    /// A tenant's keys, which open its data on the data plane.
    #[command(subcommand)]
    Keys(keys::TenantKeysCommand),
    /// A tenant's configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// A tenant's custom domains.
    #[command(subcommand)]
    Domains(domains::DomainsCommand),
}

/// One tenant.
#[derive(Debug, Args)]
pub(super) struct TenantArg {
    /// The tenant's slug or id.
    #[arg(value_name = "TENANT")]
    tenant: String,
}

/// What to show.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    tenant: TenantArg,
    #[command(flatten)]
    watch: WatchArgs,
}

/// Which tenants.
#[derive(Debug, Args)]
pub(super) struct TenantListArgs {
    /// In this status: provisioning, active, suspended, deactivated, purging, purged or failed.
    /// [default: all but purged]
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,

    /// With this plan.
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,

    /// With this app.
    #[arg(long, value_name = "APP")]
    app: Option<String>,

    /// Placed in this tier: schema, database or instance.
    #[arg(long, value_name = "TIER")]
    tier: Option<String>,

    /// Placed on this server.
    #[arg(long, value_name = "SERVER")]
    server: Option<String>,

    /// Doing so: healthy, degraded or unhealthy.
    #[arg(long, value_name = "HEALTH")]
    health: Option<String>,

    /// Whose slug or name holds this text, in any case.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,

    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    watch: WatchArgs,
}

/// A change of status.
#[derive(Debug, Args)]
pub(super) struct TransitionArgs {
    #[command(flatten)]
    tenant: TenantArg,
    #[command(flatten)]
    wait: WaitArgs,
}

/// What to delete.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry tenants delete acme-inc
  tenantry tenants delete acme-inc --purge-now --yes")]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// Drop the data at once, for good.
    #[arg(long)]
    purge_now: bool,

    /// Do not ask.
    #[arg(long, short)]
    yes: bool,

    #[command(flatten)]
    wait: WaitArgs,
}

const COLUMNS: &[Column] = &[
    ("slug", Shown::Text("/slug")),
    ("name", Shown::Text("/name")),
    ("status", Shown::Text("/status")),
    ("plan", Shown::Text("/plan")),
    ("app", Shown::Text("/app")),
    ("tier", Shown::Text("/placement/tier")),
    ("server", Shown::Text("/placement/server")),
    ("created", Shown::Time("/createdAt")),
    ("id", Shown::Text("/id")),
];

const LINES: &[Column] = &[
    ("id", Shown::Text("/id")),
    ("slug", Shown::Text("/slug")),
    ("subdomain", Shown::Text("/subdomain")),
    ("name", Shown::Text("/name")),
    ("status", Shown::Text("/status")),
    ("data is dropped", Shown::Time("/purgeAt")),
    ("plan", Shown::Text("/plan")),
    ("app", Shown::Text("/app")),
    ("app version", Shown::Text("/placement/schemaVersion")),
    ("tier", Shown::Text("/placement/tier")),
    ("server", Shown::Text("/placement/server")),
    ("database", Shown::Text("/placement/database")),
    ("schema", Shown::Text("/placement/schema")),
    ("own features", Shown::Switches("/features")),
    ("own max. users", Shown::Text("/maxUsers")),
    ("own max. storage", Shown::OwnSize("/maxStorage")),
    ("settings", Shown::Text("/settings")),
    ("created", Shown::Time("/createdAt")),
    ("updated", Shown::Time("/updatedAt")),
];

pub(super) async fn run(client: &Client, command: TenantsCommand) -> anyhow::Result<()> {
    match command {
        TenantsCommand::Create(args) => create::run(client, args).await,
        TenantsCommand::List(args) => list_tenants(client, args).await,
        TenantsCommand::Show(args) => show(client, &args).await,
        TenantsCommand::Update(args) => update::run(client, args).await,
        TenantsCommand::Upgrade(args) => moves::upgrade(client, args).await,
        TenantsCommand::Move(args) => moves::move_tenant(client, args).await,
        TenantsCommand::Suspend(args) => transition(client, &args, "suspend").await,
        TenantsCommand::Resume(args) => transition(client, &args, "resume").await,
        TenantsCommand::Delete(args) => delete(client, args).await,
        TenantsCommand::Restore(args) => transition(client, &args, "restore").await,
        TenantsCommand::Connection(args) => connection::run(client, &args).await,
        TenantsCommand::Health(args) => health::run(client, &args).await,
        TenantsCommand::Usage(args) => usage::run(client, &args).await,
        TenantsCommand::Shell(args) => shell::run(client, args).await,
        TenantsCommand::Impersonate(args) => impersonate::run(client, &args).await,
        TenantsCommand::Keys(command) => keys::run(client, command).await,
        TenantsCommand::Config(command) => config::run(client, command).await,
        TenantsCommand::Domains(command) => domains::run(client, command).await,
    }
}

async fn list_tenants(client: &Client, args: TenantListArgs) -> anyhow::Result<()> {
    let filters = vec![
        ("status", args.status),
        ("plan", args.plan),
        ("app", args.app),
        ("tier", args.tier),
        ("server", args.server),
        ("health", args.health),
        ("q", args.search),
    ];
    list::print_or_watch(client, &["tenants"], filters, &args.list, args.watch, COLUMNS).await
}

async fn show(client: &Client, args: &ShowArgs) -> anyhow::Result<()> {
    let path = ["tenants", &args.tenant.tenant];
    let Some(interval) = args.watch.interval() else {
        return print_one(client, &client.api.get(&path, &[]).await?);
    };
    let read = async || Ok(json!({ "items": [client.api.get(&path, &[]).await?] }));
    let draw = |answer: &Value, now| lines_of(&answer["items"][0], &told(&answer["items"][0]), now);
    watch::run(client.output, interval, COLUMNS, draw, read).await
}

fn print_one(client: &Client, tenant: &Value) -> anyhow::Result<()> {
    client.output.one(tenant, &told(tenant))
}

/// The lines of a tenant, without those that hold nothing for most.
fn told(tenant: &Value) -> Vec<Column> {
    let told = |(_, shown): &&Column| {
        !matches!(shown.pointer(), "/purgeAt" | "/subdomain")
            || tenant.pointer(shown.pointer()).is_some_and(|v| !v.is_null())
    };
    LINES.iter().filter(told).copied().collect()
}

async fn transition(client: &Client, args: &TransitionArgs, verb: &str) -> anyhow::Result<()> {
    let begun = client.api.post(&["tenants", &args.tenant.tenant, verb], None).await?;
    conclude(client, begun, &args.wait).await
}

async fn delete(client: &Client, args: DeleteArgs) -> anyhow::Result<()> {
    // By id from here on: what was confirmed is what is deleted.
    let tenant = client.api.get(&["tenants", &args.tenant.tenant], &[]).await?;
    let (id, slug, name) = (member(&tenant, "/id")?, member(&tenant, "/slug")?, text(&tenant["name"]));
    let consequence = if args.purge_now {
        "All its data is dropped at once, for good."
    } else {
        "It is no longer served; its data is dropped when the plan's retention is over."
    };
    confirm(format!("Delete the tenant {slug} ({name})? {consequence}"), args.yes).await?;
    let query: &[_] = if args.purge_now { &[("purge", "now".to_owned())] } else { &[] };
    let begun = client.api.delete(&["tenants", id], query).await?;
    conclude(client, begun, &args.wait).await
}

/// Waits for a change of status and says how the tenant is then.
async fn conclude(client: &Client, begun: Value, wait: &WaitArgs) -> anyhow::Result<()> {
    let Some(ended) = finish(client, begun, wait).await? else { return Ok(()) };
    let (slug, status) = (member(&ended, "/tenant/slug")?, member(&ended, "/tenant/status")?);
    let more = match status {
        "deactivated" => format!(
            "; its data is dropped after {}\n  -> take it back: tenantry tenants restore {slug}",
            text(&ended["tenant"]["purgeAt"])
        ),
        _ => String::new(),
    };
    client.output.done(&ended, &format!("{slug} is {status}{more}"))
}
