//! `tenantry tenants usage`: what a tenant used.

use clap::Args;
use serde_json::json;

use super::TenantArg;
use crate::client::{
    Client,
    output::{Column, Shown},
};

/// Whose usage, of which time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry tenants usage acme-inc
  tenantry tenants usage acme-inc --time-range 24h --bucket hour --output json")]
pub(in crate::client) struct UsageArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// How far back: hours or days, up to 366 days. [default: 30d]
    #[arg(long, value_name = "RANGE")]
    time_range: Option<String>,

    /// How long the parts are: hour or day. [default: hour up to three days back, else day]
    #[arg(long, value_name = "BUCKET")]
    bucket: Option<String>,
}

const LINES: &[Column] = &[
    ("storage", Shown::OwnSize("/current/storageBytes/used")),
    ("of", Shown::Size("/current/storageBytes/limit")),
    ("users", Shown::Text("/current/users/used")),
    ("of", Shown::Limit("/current/users/limit")),
    ("requests today", Shown::Text("/current/requestsToday/used")),
    ("of", Shown::Limit("/current/requestsToday/limit")),
    ("requests in all", Shown::Text("/totals/requests")),
    ("of these failed", Shown::Text("/totals/errors")),
    ("received", Shown::OwnSize("/totals/bytesIn")),
    ("sent", Shown::OwnSize("/totals/bytesOut")),
    ("database worked (s)", Shown::Text("/totals/databaseSeconds")),
];

const COLUMNS: &[Column] = &[
    ("from", Shown::Time("/at")),
    ("requests", Shown::Text("/requests")),
    ("failed", Shown::Text("/errors")),
    ("received", Shown::OwnSize("/bytesIn")),
    ("sent", Shown::OwnSize("/bytesOut")),
    ("database (s)", Shown::Text("/databaseSeconds")),
    ("storage", Shown::OwnSize("/storageBytes")),
];

pub(super) async fn run(client: &Client, args: &UsageArgs) -> anyhow::Result<()> {
    let given = [("timeRange", &args.time_range), ("bucket", &args.bucket)];
    let query: Vec<_> = given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    let usage = client.api.get(&["tenants", &args.tenant.tenant, "usage"], &query).await?;
    client.output.one(&usage, LINES)?;
    if client.output.is_json() {
        return Ok(());
    }
    client.output.list(&json!({ "items": usage["buckets"] }), COLUMNS)
}
