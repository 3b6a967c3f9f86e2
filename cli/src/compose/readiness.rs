//! What every role makes sure of before it does anything: that it reaches the registry, that the
//! registry's tables are those that it was made for, and that its key is the registry's.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tenantry_domain::{envelope::Key, key_check::KeyCheck};
use tenantry_http::Check;
use tenantry_registry::{Part, Registry, SchemaVersion};

use super::{Patience, Process};

/// The pause between two tries.
const RETRY: Duration = Duration::from_millis(500);

/// The checks of one role.
pub(super) struct Checks<'a> {
    process: &'a Process,
    part: Part,
    registry: Check,
    schema: Check,
    key: Check,
    /// Passed once the role serves.
    started: Check,
}

impl<'a> Checks<'a> {
    /// Announces the checks of a role: from now on the process is not ready.
    pub(super) fn announce(process: &'a Process, part: Part) -> Self {
        let expect = |name: &str| process.readiness.expect(&format!("{}.{name}", part.as_str()));
        Self {
            part,
            registry: expect("registry"),
            schema: expect("schema"),
            key: expect("key"),
            started: expect("started"),
            process,
        }
    }

    /// Waits until the registry is one that the role can work with. Writes nothing to it but the key's
    /// check value, where there is none.
    pub(super) async fn pass(&self, registry: &Registry, kek: &Key) -> anyhow::Result<()> {
        let mut told = String::new();
        loop {
            let Err(error) = Box::pin(self.try_pass(registry, kek)).await else { return Ok(()) };
            if self.process.patience == Patience::Once {
                return Err(error);
            }
            let reason = format!("{error:#}");
            if reason != told {
                tracing::warn!("not ready: {reason}");
                told = reason;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// The role serves.
    pub(super) fn started(&self) {
        self.started.pass();
    }

    async fn try_pass(&self, registry: &Registry, kek: &Key) -> anyhow::Result<()> {
        step(&self.registry, async { Ok(registry.reach().await?) }).await?;
        step(&self.schema, schema(registry)).await?;
        step(&self.key, self.key(registry, kek)).await
    }

    async fn key(&self, registry: &Registry, kek: &Key) -> anyhow::Result<()> {
        if let Some(check) = registry.key_check_get().await? {
            return Ok(check.verify(kek)?);
        }
        if self.part == Part::DataPlane {
            bail!("the registry has no key yet; start a control plane or a worker, which give it theirs");
        }
        // A registry from before the check value: its secrets say which key is theirs.
        if let Some(sample) = registry.sealed_sample().await? {
            kek.open(&sample.purpose.to_string(), &sample.sealed).map_err(|_| {
                anyhow!(
                    "the key-encryption key (fingerprint {}) does not open what the registry holds; set \
                     TENANTRY_KEK or TENANTRY_KEK_FILE to the one that it was sealed with",
                    kek.fingerprint()
                )
            })?;
        }
        let check = KeyCheck::of(kek, &mut rand::rng());
        registry.key_check_create(&check, self.process.clock.now()).await?;
        // Another process may have been faster, with another key.
        let kept = registry.key_check_get().await?.context("the key's check value was removed")?;
        Ok(kept.verify(kek)?)
    }
}

async fn step(check: &Check, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    match work.await {
        Ok(()) => {
            check.pass();
            Ok(())
        }
        Err(error) => {
            check.wait(format!("{error:#}"));
            Err(error)
        }
    }
}

async fn schema(registry: &Registry) -> anyhow::Result<()> {
    match registry.schema_version().await? {
        SchemaVersion::Current(_) => Ok(()),
        SchemaVersion::Older { found: None, wanted } => {
            bail!("the registry is empty, this binary works with version {wanted}: run `tenantry migrate`")
        }
        SchemaVersion::Older { found: Some(found), wanted } => bail!(
            "the registry has version {found}, this binary works with version {wanted}: run `tenantry migrate`"
        ),
        SchemaVersion::Newer { found, wanted } => bail!(
            "the registry has version {found}, made by a newer tenantry; this binary works with version \
             {wanted}: run that newer one"
        ),
    }
}
