//! `tenantry tenants keys`: keys that open one tenant's data on the data plane.

use clap::{Args, Subcommand};

use super::TenantArg;
use crate::client::{
    Client,
    keys::{self, NewKeyArgs, SuccessorArgs},
    list::ListArgs,
};

/// What to do with a tenant's keys.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  tenantry tenants keys create acme-inc backend
  tenantry tenants keys create acme-inc reports --scope data:read --expires 90d
  KEY=$(tenantry tenants keys create acme-inc backend --quiet)
  tenantry tenants keys revoke acme-inc 0199b0de-0000-7000-8000-000000000000")]
pub(in crate::client) enum TenantKeysCommand {
    /// List a tenant's keys; never the keys themselves.
    List(KeyListArgs),
    /// Make a key for a tenant's data. It is shown this once.
    Create(CreateArgs),
    /// Put a new key in a key's place; both count for a while. The new one is shown this once.
    Rotate(RotateArgs),
    /// Make a key useless, at once.
    Revoke(RevokeArgs),
}

/// Whose keys.
#[derive(Debug, Args)]
pub(in crate::client) struct KeyListArgs {
    #[command(flatten)]
    tenant: TenantArg,
    #[command(flatten)]
    list: ListArgs,
}

/// A key to make.
#[derive(Debug, Args)]
pub(in crate::client) struct CreateArgs {
    #[command(flatten)]
    tenant: TenantArg,
    #[command(flatten)]
    key: NewKeyArgs,
}

/// A key to replace.
#[derive(Debug, Args)]
pub(in crate::client) struct RotateArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// The key's id, as in the list.
    #[arg(value_name = "KEY-ID")]
    id: String,

    #[command(flatten)]
    to: SuccessorArgs,
}

/// A key to revoke.
#[derive(Debug, Args)]
pub(in crate::client) struct RevokeArgs {
    #[command(flatten)]
    tenant: TenantArg,

    /// The key's id, as in the list.
    #[arg(value_name = "KEY-ID")]
    id: String,
}

pub(super) async fn run(client: &Client, command: TenantKeysCommand) -> anyhow::Result<()> {
    match command {
        TenantKeysCommand::List(args) => {
            keys::list_at(client, &["tenants", &args.tenant.tenant, "keys"], &args.list).await
        }
        TenantKeysCommand::Create(args) => {
            keys::create_at(client, &["tenants", &args.tenant.tenant, "keys"], &args.key).await
        }
        TenantKeysCommand::Rotate(args) => {
            keys::rotate_at(client, &["tenants", &args.tenant.tenant, "keys", &args.id, "rotate"], &args.to)
                .await
        }
        TenantKeysCommand::Revoke(args) => {
            keys::revoke_at(client, &["tenants", &args.tenant.tenant, "keys", &args.id], &args.id).await
        }
    }
}
