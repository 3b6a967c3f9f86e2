//! `tenantry servers drain` and `tenantry servers rebalance`

use clap::Args;
use serde_json::{Value, json};

use super::ServerArg;
use crate::client::{
    Client,
    human::text,
    output::{Column, Shown},
    progress::{WaitArgs, finish},
};

/// What to empty.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry servers drain eu-1 --dry-run
  tenantry servers drain eu-1 --at-once 8")]
pub(in crate::client) struct DrainArgs {
    #[command(flatten)]
    server: ServerArg,

    #[command(flatten)]
    how: HowArgs,

    #[command(flatten)]
    wait: WaitArgs,
}

/// How to spread.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry servers rebalance --dry-run
  tenantry servers rebalance --at-once 8")]
pub(in crate::client) struct RebalanceArgs {
    #[command(flatten)]
    how: HowArgs,
}

/// How tenants are moved off servers.
#[derive(Debug, Args)]
struct HowArgs {
    /// Moves at a time, of each server.
    #[arg(long, default_value_t = 4, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=64))]
    at_once: u16,

    /// Only say what would be moved.
    #[arg(long)]
    dry_run: bool,
}

impl HowArgs {
    fn body(&self) -> Value {
        json!({ "atOnce": self.at_once })
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        if self.dry_run { vec![("dryRun", "true".to_owned())] } else { Vec::new() }
    }
}

const TIERS: &[Column] = &[
    ("tier", Shown::Text("/tier")),
    ("tenants", Shown::Text("/tenants")),
    ("room elsewhere", Shown::Text("/room")),
];

const SERVERS: &[Column] = &[
    ("server", Shown::Text("/server")),
    ("tenants", Shown::Text("/tenants")),
    ("would keep", Shown::Text("/keep")),
    ("operation", Shown::Text("/operation/id")),
];

pub(super) async fn drain(client: &Client, args: DrainArgs) -> anyhow::Result<()> {
    let path = ["servers", &args.server.server, "drain"];
    let answer = client.api.post_with(&path, &args.how.query(), Some(&args.how.body())).await?;
    if args.how.dry_run {
        return client.output.list(&answer, TIERS);
    }
    let Some(ended) = finish(client, answer, &args.wait).await? else { return Ok(()) };
    let name = text(&ended["operation"]["subject"]["name"]);
    client
        .output
        .done(&ended, &format!("the server {name} holds no tenant any more; tenantry servers remove {name}"))
}

pub(super) async fn rebalance(client: &Client, args: RebalanceArgs) -> anyhow::Result<()> {
    let path = ["servers", "rebalance"];
    let answer = client.api.post_with(&path, &args.how.query(), Some(&args.how.body())).await?;
    client.output.list(&answer, SERVERS)
}
