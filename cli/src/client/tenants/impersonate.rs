//! `tenantry tenants impersonate`: a short token for a tenant's data.

use clap::Args;
use serde_json::{Map, Value};

use super::TenantArg;
use crate::client::{
    Client, member,
    output::{Column, Shown},
};

/// In whose data, and why.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  TOKEN=$(tenantry tenants impersonate acme-inc --reason 'ticket 4711' --role admin --quiet)")]
pub(in crate::client) struct ImpersonateArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// What for; it is kept.
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// A role to act with; may be given several times. [default: member]
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,

    /// Print the token alone.
    #[arg(long, short)]
    quiet: bool,
}

const LINES: &[Column] = &[
    ("token", Shown::Text("/accessToken")),
    ("ends", Shown::Time("/expiresAt")),
    ("session", Shown::Text("/session")),
];

pub(super) async fn run(client: &Client, args: &ImpersonateArgs) -> anyhow::Result<()> {
    let mut body = Map::from_iter([("reason".to_owned(), args.reason.clone().into())]);
    if !args.roles.is_empty() {
        body.insert("roles".into(), args.roles.clone().into());
    }
    let path = ["tenants", &args.tenant.tenant, "impersonate"];
    let answer = client.api.post(&path, Some(&Value::Object(body))).await?;
    if args.quiet && !client.output.is_json() {
        return client.output.done_in_words(member(&answer, "/accessToken")?);
    }
    client.output.one(&answer, LINES)
}
