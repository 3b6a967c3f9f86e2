//! `tenantry servers`: the PostgreSQL servers that hold tenants.

mod add;
mod audit;
mod change;
mod check;
mod drain;
mod list;
mod remove;

use anyhow::ensure;
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Client,
    connection::ConnectionArgs,
    human::text,
    output::{Column, Shown},
    progress::{WaitArgs, finish},
};
use change::ServerChangeArgs;

const EXAMPLES: &str = "Examples:
  TENANTRY_SERVER_PASSWORD=... tenantry servers add eu-1 --host 10.0.0.5 --admin-user postgres --capacity 5000
  tenantry servers update eu-1 --ssl-mode verify-full --ssl-root-cert ca.pem
  tenantry servers update eu-1 --capacity 8000 --max-connections 80
  tenantry servers check eu-1
  tenantry servers cordon eu-1
  tenantry servers drain eu-1
  tenantry servers resize eu-1
  tenantry servers hibernate acme-1f3a
  tenantry servers rebalance --dry-run
  tenantry servers list --watch";

/// `tenantry servers`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServersArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: ServersCommand,
}

/// What to do with servers.
#[derive(Debug, Subcommand)]
pub(super) enum ServersCommand {
    /// List servers, and those that are being made.
    List(list::ServerListArgs),
    /// Show a server.
    Show(ServerArg),
    /// Register a PostgreSQL server that exists.
    Add(add::AddArgs),
    /// Change a server: what is not named stays.
    Update(UpdateArgs),
    /// Try whether a server can hold tenants: connection, TLS, rights, version, settings.
    Check(ServerArg),
    /// Compare what a server holds with what the registry knows. Changes nothing.
    Audit(ServerArg),
    /// Keep a server's tenants, give it no new ones.
    Cordon(ServerArg),
    /// Let a server take new tenants again.
    Uncordon(ServerArg),
    /// Move all tenants off a server, while they are served; it takes no new ones.
    Drain(drain::DrainArgs),
    /// Have a server's provider change it into what its server class is now: its size, its settings. It may be away for some
    /// minutes.
    Resize(AndWaitArgs),
    /// Have the server of a suspended tenant stopped by its provider until it is woken. It keeps what it holds.
    Hibernate(AndWaitArgs),
    /// Have a hibernated server started again. Its tenant stays suspended until it is resumed.
    Wake(AndWaitArgs),
    /// Spread tenants over the servers, by capacity.
    Rebalance(drain::RebalanceArgs),
    /// Forget a server that holds no tenants. Nothing on it is touched, unless it was made from a server class: then its
    /// provider deletes it.
    Remove(remove::RemoveArgs),
}

/// A server, and whether to wait.
#[derive(Debug, Args)]
pub(super) struct AndWaitArgs {
    #[command(flatten)]
    server: ServerArg,

    #[command(flatten)]
    wait: WaitArgs,
}

/// One server.
#[derive(Debug, Args)]
pub(super) struct ServerArg {
    /// The server's name or id.
    #[arg(value_name = "SERVER")]
    server: String,
}

/// What to change of a server.
#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    server: ServerArg,
    #[command(flatten)]
    change: ServerChangeArgs,
}

const COLUMNS: &[Column] = &[
    ("name", Shown::Text("/name")),
    ("state", Shown::Text("/state")),
    ("reachable", Shown::Text("/health/reachable")),
    ("region", Shown::Text("/region")),
    ("host", Shown::Text("/host")),
    ("port", Shown::Text("/port")),
    ("tiers", Shown::Text("/tiers")),
    ("tenants", Shown::Text("/tenants")),
    ("capacity", Shown::Text("/capacity")),
    ("connections", Shown::Text("/maxConnections")),
];

const LINES: &[Column] = &[
    ("id", Shown::Text("/id")),
    ("name", Shown::Text("/name")),
    ("state", Shown::Text("/state")),
    ("provider", Shown::Text("/provider")),
    ("class", Shown::Text("/class")),
    ("region", Shown::Text("/region")),
    ("host", Shown::Text("/host")),
    ("port", Shown::Text("/port")),
    ("TLS", Shown::Text("/sslMode")),
    ("tiers", Shown::Text("/tiers")),
    ("tenants", Shown::Text("/tenants")),
    ("capacity", Shown::Text("/capacity")),
    ("max. connections", Shown::Text("/maxConnections")),
    ("reachable", Shown::Text("/health/reachable")),
    ("unreachable since", Shown::Time("/health/unreachableSince")),
    ("because", Shown::Text("/health/error")),
    ("registered", Shown::Time("/createdAt")),
];

pub(super) async fn run(client: &Client, command: ServersCommand) -> anyhow::Result<()> {
    match command {
        ServersCommand::List(args) => list::run(client, args).await,
        ServersCommand::Show(args) => {
            let server = client.api.get(&["servers", &args.server], &[]).await?;
            client.output.one(&server, LINES)
        }
        ServersCommand::Add(args) => add::run(client, &args).await,
        ServersCommand::Update(args) => update(client, &args).await,
        ServersCommand::Check(args) => check::run(client, &args.server).await,
        ServersCommand::Audit(args) => audit::run(client, &args.server).await,
        ServersCommand::Cordon(args) => set_state(client, &args.server, "cordoned").await,
        ServersCommand::Uncordon(args) => set_state(client, &args.server, "active").await,
        ServersCommand::Drain(args) => drain::drain(client, args).await,
        ServersCommand::Resize(args) => work(client, args, "resize", "is what its class is now").await,
        ServersCommand::Hibernate(args) => work(client, args, "hibernate", "is hibernated").await,
        ServersCommand::Wake(args) => work(client, args, "wake", "can be used again").await,
        ServersCommand::Rebalance(args) => drain::rebalance(client, args).await,
        ServersCommand::Remove(args) => remove::run(client, args).await,
    }
}

/// Has something done to a server, and says what it is then.
async fn work(client: &Client, args: AndWaitArgs, what: &str, then: &str) -> anyhow::Result<()> {
    let answer = client.api.post(&["servers", &args.server.server, what], None).await?;
    let Some(ended) = finish(client, answer, &args.wait).await? else { return Ok(()) };
    let name = text(&ended["operation"]["subject"]["name"]);
    client.output.done(&ended, &format!("the server {name} {then}"))
}

async fn update(client: &Client, args: &UpdateArgs) -> anyhow::Result<()> {
    let change = args.change.body()?;
    ensure!(!change.is_empty(), "nothing to change was given; see --help");
    let path = ["servers", &args.server.server];
    let server = client.api.patch_with(&path, &args.change.query(), &change.into()).await?;
    client.output.one(&server, LINES)
}

async fn set_state(client: &Client, server: &str, state: &str) -> anyhow::Result<()> {
    let answer = client.api.patch(&["servers", server], &json!({ "state": state })).await?;
    client.output.done(&answer, &format!("the server {server} is {state}"))
}
