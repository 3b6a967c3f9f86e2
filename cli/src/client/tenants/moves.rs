//! `tenantry tenants upgrade` and `move`: another plan, tier or server, while the tenant is served.

use clap::Args;
use serde_json::{Map, Value, json};

use super::TenantArg;
use crate::client::{
    Client,
    human::text,
    member,
    output::{Column, Shown},
    progress::{WaitArgs, finish},
};

/// Which plan.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry tenants upgrade acme-inc --plan premium
  tenantry tenants upgrade acme-inc --plan premium --downtime")]
pub(in crate::client) struct UpgradeArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// The plan that it is to have.
    #[arg(long, value_name = "PLAN")]
    plan: String,

    /// Its writes may wait for as long as its rows are copied.
    #[arg(long)]
    downtime: bool,

    #[command(flatten)]
    wait: WaitArgs,
}

/// Where to.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry tenants move acme-inc --server eu-2
  tenantry tenants move acme-inc --tier database --dry-run
  tenantry tenants move acme-inc --undo")]
pub(in crate::client) struct MoveArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// schema, database or instance. [default: as it is]
    #[arg(long, value_name = "TIER", required_unless_present_any = ["server", "undo"])]
    tier: Option<String>,

    /// The server's name or id. [default: the one with most room]
    #[arg(long, value_name = "SERVER")]
    server: Option<String>,

    /// Its writes wait for as long as its rows are copied, however many there are.
    #[arg(long)]
    offline: bool,

    /// Only say what it would meet, and how long it would take; with --undo, where to, and until when it can be undone.
    #[arg(long)]
    dry_run: bool,

    /// Take it back to where it was before its last move, with what was written since.
    #[arg(long, conflicts_with_all = ["tier", "server", "offline"])]
    undo: bool,

    #[command(flatten)]
    wait: WaitArgs,
}

const PREFLIGHT: &[Column] = &[
    ("possible", Shown::Text("/possible")),
    ("tier", Shown::Text("/tier")),
    ("server", Shown::Text("/server")),
    ("while it is written to", Shown::Text("/live")),
    ("tables", Shown::Text("/tables")),
    ("size", Shown::Size("/bytes")),
    ("expected seconds", Shown::Text("/expectedSeconds")),
];

const WAY_BACK: &[Column] = &[
    ("tier", Shown::Text("/tier")),
    ("server", Shown::Text("/server")),
    ("plan", Shown::Text("/plan")),
    ("until", Shown::Time("/until")),
    ("kept up to date", Shown::Text("/kept")),
];

pub(super) async fn upgrade(client: &Client, args: UpgradeArgs) -> anyhow::Result<()> {
    let body = json!({ "targetPlan": args.plan, "migrationOptions": { "downtime": args.downtime } });
    let begun = client.api.post(&["tenants", &args.tenant.tenant, "migrate"], Some(&body)).await?;
    moved(client, begun, &args.wait).await
}

pub(super) async fn move_tenant(client: &Client, args: MoveArgs) -> anyhow::Result<()> {
    let path = ["tenants", &args.tenant.tenant, "move"];
    if args.undo {
        let undo = [path[0], path[1], path[2], "undo"];
        if args.dry_run {
            return client.output.one(&client.api.get(&undo, &[]).await?, WAY_BACK);
        }
        let begun = client.api.post(&undo, None).await?;
        return moved(client, begun, &args.wait).await;
    }
    let mut body = Map::new();
    for (name, value) in [("tier", args.tier), ("server", args.server)] {
        if let Some(value) = value {
            body.insert(name.to_owned(), value.into());
        }
    }
    if args.offline {
        body.insert("offline".to_owned(), true.into());
    }
    let body = Value::Object(body);
    if args.dry_run {
        let found = client.api.post_with(&path, &[("dryRun", "true".to_owned())], Some(&body)).await?;
        client.output.one(&found, PREFLIGHT)?;
        let obstacles: Vec<String> = found["obstacles"].as_array().into_iter().flatten().map(text).collect();
        anyhow::ensure!(obstacles.is_empty(), "it cannot be moved:\n  - {}", obstacles.join("\n  - "));
        return Ok(());
    }
    let begun = client.api.post(&path, Some(&body)).await?;
    moved(client, begun, &args.wait).await
}

/// Waits for a move and says where the tenant is then, and for how long its writes waited.
async fn moved(client: &Client, begun: Value, wait: &WaitArgs) -> anyhow::Result<()> {
    let Some(ended) = finish(client, begun, wait).await? else { return Ok(()) };
    let (slug, tier) = (member(&ended, "/tenant/slug")?, text(&ended["tenant"]["placement"]["tier"]));
    let server = text(&ended["tenant"]["placement"]["server"]);
    let pause = ended.pointer("/operation/report/pauseMs").and_then(Value::as_f64);
    let pause = pause.map_or_else(String::new, |ms| format!("; its writes waited {ms:.0} ms"));
    client.output.done(&ended, &format!("{slug} is in tier {tier} of server {server}{pause}"))
}
