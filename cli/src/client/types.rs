//! `tenantry types`: an app's tables and functions as types of a programming language.

use clap::Args;

use super::{Client, connection::ConnectionArgs, member};

const EXAMPLES: &str = "Examples:
  tenantry types crm > database.ts
  tenantry types --tenant acme-inc > database.ts";

/// `tenantry types`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TypesArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,

    /// The app's name: its promoted version, which new tenants get.
    #[arg(value_name = "APP", required_unless_present = "tenant", conflicts_with = "tenant")]
    app: Option<String>,

    /// Of this tenant's app, in the version that it has (slug or id).
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
}

pub(super) async fn run(client: &Client, args: &TypesArgs) -> anyhow::Result<()> {
    let (app, version) = match &args.tenant {
        Some(tenant) => {
            let tenant = client.api.get(&["tenants", tenant], &[]).await?;
            let version = tenant["placement"]["schemaVersion"].as_i64();
            (member(&tenant, "/app")?.to_owned(), version.map(|version| version.to_string()))
        }
        None => (args.app.clone().unwrap_or_default(), None),
    };
    let query: Vec<_> = version.map(|version| ("version", version)).into_iter().collect();
    let answer = client.api.get(&["apps", &app, "types"], &query).await?;
    client.output.done(&answer, member(&answer, "/typescript")?.trim_end())
}
