//! `tenantry rewrap`.

use clap::Args;
use secrecy::ExposeSecret;
use tenantry_domain::{Clock, SystemClock};
use tenantry_registry::{Part, Registry};

use crate::settings::{KekArgs, RegistryArgs};

/// Settings of `tenantry rewrap`.
#[derive(Debug, Args)]
#[command(after_help = "To replace the key-encryption key, without a pause:
  1. give all processes the new key as TENANTRY_KEK_ALSO, one after the other
  2. give all the new one as TENANTRY_KEK and the old one as TENANTRY_KEK_ALSO
  3. tenantry rewrap, with both keys as in 2; killed, it goes on where it was when it is run again
  4. take TENANTRY_KEK_ALSO away")]
pub struct RewrapArgs {
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    kek: KekArgs,
}

pub(crate) async fn run(args: RewrapArgs) -> anyhow::Result<()> {
    let kek = args.kek.required().await?;
    let registry = Registry::connect_lazy(args.registry.database_url.expose_secret(), Part::Owner, 2)?;
    registry.reach().await?;
    if let Some(check) = registry.key_check_get().await? {
        check.verify(&kek)?;
    }
    let mut sealed_anew = 0;
    // Until nothing is left: a process may have sealed something with the old key meanwhile.
    loop {
        let round =
            registry.rewrap(&kek, |table, count| tracing::info!("{table}: {count} sealed anew")).await?;
        sealed_anew += round;
        if round == 0 {
            break;
        }
    }
    registry.key_check_replace(&kek, SystemClock.now()).await?;
    tracing::info!(
        "{sealed_anew} secrets were sealed anew; all of the registry opens with the key {} alone",
        kek.fingerprint()
    );
    Ok(())
}
