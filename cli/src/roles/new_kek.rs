//! `tenantry new-kek`.

use std::io::Write;

use anyhow::Context;
use clap::Args;

use crate::kek::KmsKey;

/// Settings of `tenantry new-kek`.
#[derive(Debug, Args)]
#[command(
    after_help = "What it prints is the key-encryption key as AWS KMS has encrypted it: keep it in a file, and give all processes
that as TENANTRY_KEK_FILE, with the same TENANTRY_KEK_KMS_KEY. It is nothing without the KMS key, and without it the registry's
secrets are lost: keep a copy. To take it in place of another key: `tenantry rewrap --help`."
)]
pub struct NewKekArgs {
    /// The key of AWS KMS that encrypts it, by its ARN.
    #[arg(long, env = "TENANTRY_KEK_KMS_KEY", value_name = "ARN")]
    kek_kms_key: KmsKey,
}

pub(crate) async fn run(args: NewKekArgs) -> anyhow::Result<()> {
    let encrypted = args.kek_kms_key.generate().await?;
    writeln!(std::io::stdout(), "{encrypted}").context("standard output cannot be written")
}
