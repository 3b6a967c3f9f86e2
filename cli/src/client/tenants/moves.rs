//! `tenantry tenants upgrade` and `move`: another plan, tier or server, while the tenant is served.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{TenantArg, conclude};
use crate::client::{Client, progress::WaitArgs};

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
  tenantry tenants move acme-inc --tier database")]
pub(in crate::client) struct MoveArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// schema or database. [default: as it is]
    #[arg(long, value_name = "TIER", required_unless_present = "server")]
    tier: Option<String>,

    /// The server's name or id. [default: the one with most room]
    #[arg(long, value_name = "SERVER")]
    server: Option<String>,

    /// Its writes wait for as long as its rows are copied, however many there are.
    #[arg(long)]
    offline: bool,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn upgrade(client: &Client, args: UpgradeArgs) -> anyhow::Result<()> {
    let body = json!({ "targetPlan": args.plan, "migrationOptions": { "downtime": args.downtime } });
    let begun = client.api.post(&["tenants", &args.tenant.tenant, "migrate"], Some(&body)).await?;
    conclude(client, begun, &args.wait).await
}

pub(super) async fn move_tenant(client: &Client, args: MoveArgs) -> anyhow::Result<()> {
    let mut body = Map::new();
    for (name, value) in [("tier", args.tier), ("server", args.server)] {
        if let Some(value) = value {
            body.insert(name.to_owned(), value.into());
        }
    }
    if args.offline {
        body.insert("offline".to_owned(), true.into());
    }
    let begun =
        client.api.post(&["tenants", &args.tenant.tenant, "move"], Some(&Value::Object(body))).await?;
    conclude(client, begun, &args.wait).await
}
