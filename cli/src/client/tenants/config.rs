//! `tenantry tenants config`: a tenant's configuration, over its plan's defaults.

use clap::{Args, Subcommand};
use serde_json::json;

use super::TenantArg;
use crate::client::{
    Client,
    output::{Column, Shown},
    values::json_or_text,
};

/// What to do with a tenant's configuration.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  tenantry tenants config list acme-inc
  tenantry tenants config set acme-inc session.timeout 7200
  tenantry tenants config set acme-inc auth.roles '{\"reader\": {\"*\": [\"select\"]}}'
  tenantry tenants config set acme-inc smtp.password hunter2 --encrypted
  tenantry tenants config unset acme-inc session.timeout")]
pub(in crate::client) enum ConfigCommand {
    /// List what holds, by key.
    List(ListConfigArgs),
    /// Show one value.
    Get(GetConfigArgs),
    /// Set a value.
    Set(SetConfigArgs),
    /// Take a value back: the plan's default holds again.
    Unset(UnsetConfigArgs),
}

/// Whose configuration.
#[derive(Debug, Args)]
pub(in crate::client) struct ListConfigArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// Show encrypted values too; needs a key with the scope `tenants:secrets`.
    #[arg(long)]
    reveal: bool,
}

/// Which value.
#[derive(Debug, Args)]
pub(in crate::client) struct GetConfigArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// The key, e.g. session.timeout.
    #[arg(value_name = "KEY")]
    key: String,

    /// Show it if it is encrypted; needs a key with the scope `tenants:secrets`.
    #[arg(long)]
    reveal: bool,
}

/// A value to set.
#[derive(Debug, Args)]
pub(in crate::client) struct SetConfigArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// The key, e.g. session.timeout.
    #[arg(value_name = "KEY")]
    key: String,

    /// The value: JSON, or else a text.
    #[arg(value_name = "VALUE")]
    value: String,

    /// Keep it encrypted.
    #[arg(long)]
    encrypted: bool,
}

/// A value to take back.
#[derive(Debug, Args)]
pub(in crate::client) struct UnsetConfigArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// The key, e.g. session.timeout.
    #[arg(value_name = "KEY")]
    key: String,
}

const COLUMNS: &[Column] = &[
    ("key", Shown::Text("/configKey")),
    ("value", Shown::Text("/configValue")),
    ("encrypted", Shown::Text("/isEncrypted")),
    ("set by", Shown::Text("/source")),
    ("set", Shown::Time("/updatedAt")),
];

pub(super) async fn run(client: &Client, command: ConfigCommand) -> anyhow::Result<()> {
    match command {
        ConfigCommand::List(args) => {
            let path = ["tenants", &args.tenant.tenant, "config"];
            client.output.list(&client.api.get(&path, &revealed(args.reveal)).await?, COLUMNS)
        }
        ConfigCommand::Get(args) => {
            let path = ["tenants", &args.tenant.tenant, "config", &args.key];
            client.output.one(&client.api.get(&path, &revealed(args.reveal)).await?, COLUMNS)
        }
        ConfigCommand::Set(args) => {
            let path = ["tenants", &args.tenant.tenant, "config"];
            let body = json!({
                "configKey": args.key, "configValue": json_or_text(&args.value), "isEncrypted": args.encrypted,
            });
            let set = client.api.post(&path, Some(&body)).await?;
            client.output.done(&set, &format!("{} is set", args.key))
        }
        ConfigCommand::Unset(args) => {
            let path = ["tenants", &args.tenant.tenant, "config", &args.key];
            let answer = client.api.delete(&path, &[]).await?;
            client.output.done(&answer, &format!("{} is as the plan says", args.key))
        }
    }
}

fn revealed(reveal: bool) -> Vec<(&'static str, String)> {
    reveal.then(|| ("reveal", "true".to_owned())).into_iter().collect()
}
