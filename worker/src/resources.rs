//! What operations and reconcilers work with.

use std::sync::Arc;

use tenantry_domain::{
    Clock,
    app::{AppName, AppVersion},
    envelope::Key,
    ids::{ServerId, TenantId},
};
use tenantry_registry::Registry;

use crate::{Settings, apps::Apps, dns::TxtResolver, recent_failures::RecentFailures, servers::Servers};

/// What operations and reconcilers work with.
pub struct Resources {
    /// The registry.
    pub registry: Registry,
    /// Opens and seals what the registry keeps secret.
    pub kek: Key,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Settings.
    pub settings: Settings,
    /// Admin connections to tenant servers.
    pub servers: Servers,
    /// Looks up the records that prove domains.
    pub resolver: Arc<dyn TxtResolver>,
    /// Templates that could not be made lately.
    pub failed_templates: RecentFailures<(ServerId, AppName, Option<AppVersion>)>,
    /// Apps, kept while they do not change.
    pub apps: Apps,
}

impl Resources {
    pub(crate) fn new(
        registry: Registry,
        kek: Key,
        clock: Arc<dyn Clock>,
        resolver: Arc<dyn TxtResolver>,
        settings: Settings,
    ) -> Self {
        Self {
            servers: Servers::new(registry.clone(), kek.clone(), settings.admin),
            apps: Apps::new(registry.clone()),
            failed_templates: RecentFailures::default(),
            resolver,
            registry,
            kek,
            clock,
            settings,
        }
    }

    /// The mark on a tenant's objects, by which Tenantry knows its own.
    pub(crate) fn owner_mark(tenant: TenantId) -> String {
        format!("tenantry:{tenant}")
    }
}
