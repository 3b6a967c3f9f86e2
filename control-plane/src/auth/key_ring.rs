//! Keys by their hash, kept for seconds: an authenticated request costs no round trip.

use std::{sync::Arc, time::Duration};

use tenantry_domain::{
    Clock,
    api_key::{ApiKey, KeyHash},
    ids::ApiKeyId,
};
use tenantry_registry::{Registry, RegistryError};

use crate::short_lived::ShortLived;

/// How long a key that another process revoked may still work.
const LIFETIME: Duration = Duration::from_secs(5);

/// Looks keys up. Unknown keys are not remembered: a new key works at once.
#[derive(Clone)]
pub(crate) struct KeyRing {
    registry: Registry,
    clock: Arc<dyn Clock>,
    known: Arc<ShortLived<KeyHash, Arc<ApiKey>>>,
}

impl KeyRing {
    pub(crate) fn new(registry: Registry, clock: Arc<dyn Clock>) -> Self {
        Self { registry, clock, known: Arc::new(ShortLived::new(10_000, LIFETIME)) }
    }

    /// The live key that was presented.
    pub(super) async fn find(&self, presented: &str) -> Result<Option<Arc<ApiKey>>, RegistryError> {
        let hash = KeyHash::of(presented);
        let load = async { Ok::<_, RegistryError>(self.registry.api_key_find(&hash).await?.map(Arc::new)) };
        let key = self.known.get(&hash, load).await?;
        Ok(key.filter(|key| key.is_live(self.clock.now())))
    }

    /// Forgets a key that this process revoked.
    pub(crate) fn forget(&self, id: ApiKeyId) {
        self.known.retain(|key| key.id != id);
    }

    /// Knows a key without asking the registry.
    #[cfg(test)]
    pub(crate) async fn remember(&self, presented: &str, key: ApiKey) {
        let load = async { Ok::<_, std::convert::Infallible>(Some(Arc::new(key))) };
        let _ = self.known.get(&KeyHash::of(presented), load).await;
    }
}
