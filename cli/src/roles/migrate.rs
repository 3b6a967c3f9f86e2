//! `tenantry migrate`.

use clap::Args;
use secrecy::ExposeSecret;
use tenantry_registry::Registry;

use crate::settings::RegistryArgs;

/// Settings of `tenantry migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    registry: RegistryArgs,
}

pub(crate) async fn run(args: MigrateArgs) -> anyhow::Result<()> {
    Registry::migrate(args.registry.database_url.expose_secret()).await?;
    tracing::info!("the registry is at this version");
    Ok(())
}
