//! Branding of tenants: too large for routes and seldom asked for, so it is read when it is, and
//! kept as long as the route that it was read with.

use std::time::Duration;

use quick_cache::sync::Cache;
use serde_json::Value;
use tenantry_domain::ids::TenantId;

use crate::routes::{CachedRoute, RouteCache};

/// Branding in memory.
pub(crate) struct Brandings {
    routes: RouteCache,
    known: Cache<TenantId, (CachedRoute, Value)>,
}

/// Tenants whose branding is kept.
const CAPACITY: usize = 1024;
/// Branding is not worth waiting for.
const TIMEOUT: Duration = Duration::from_millis(500);

impl Brandings {
    pub(crate) fn new(routes: RouteCache) -> Self {
        Self { routes, known: Cache::new(CAPACITY) }
    }

    /// A tenant's branding; null if it has none, or it was never read and the registry is down.
    pub(crate) async fn get(&self, route: &CachedRoute) -> Value {
        let known = self.known.get(&route.tenant_id);
        if let Some((_, branding)) = known.as_ref().filter(|(read_with, _)| read_with.is_same_load(route)) {
            return branding.clone();
        }
        let last = || known.map(|(_, branding)| branding).unwrap_or_default();
        if self.routes.is_in_outage() {
            return last();
        }
        match tokio::time::timeout(TIMEOUT, self.routes.reader().branding_get(route.tenant_id)).await {
            Ok(Ok(branding)) => {
                let branding = branding.unwrap_or_default();
                self.known.insert(route.tenant_id, (route.clone(), branding.clone()));
                branding
            }
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "branding cannot be read: {error}");
                last()
            }
            Err(_) => last(),
        }
    }
}
