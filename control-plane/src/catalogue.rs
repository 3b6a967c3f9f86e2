//! Plans and apps as the sign-up path needs them: kept for a second, so that a burst of sign-ups
//! asks the registry once.

use std::{sync::Arc, time::Duration};

use tenantry_domain::{
    app::AppName,
    plan::{Plan, PlanName},
};
use tenantry_registry::{Registry, RegistryError};

use crate::short_lived::ShortLived;

/// How long another process's change of a plan or app may go unseen.
const LIFETIME: Duration = Duration::from_secs(1);

/// Plans and apps, read through a short-lived cache.
#[derive(Clone)]
pub(crate) struct Catalogue(Arc<Cached>);

struct Cached {
    registry: Registry,
    plans: ShortLived<PlanName, Arc<Plan>>,
    /// Whether an app has a version yet.
    apps: ShortLived<AppName, bool>,
    only_app: ShortLived<(), Option<AppName>>,
}

impl Catalogue {
    pub(crate) fn new(registry: Registry) -> Self {
        Self(Arc::new(Cached {
            registry,
            plans: ShortLived::new(1024, LIFETIME),
            apps: ShortLived::new(1024, LIFETIME),
            only_app: ShortLived::new(1, LIFETIME),
        }))
    }

    /// A plan.
    pub(crate) async fn plan(&self, name: &PlanName) -> Result<Option<Arc<Plan>>, RegistryError> {
        let load = async { Ok(self.0.registry.plan_get(name).await?.map(Arc::new)) };
        self.0.plans.get(name, load).await
    }

    /// Whether an app has a version to give to a tenant; `None` if there is no such app.
    pub(crate) async fn app_is_usable(&self, name: &AppName) -> Result<Option<bool>, RegistryError> {
        let load = async { Ok(self.0.registry.app_stamp(name).await?.map(|(_, versions)| versions > 0)) };
        self.0.apps.get(name, load).await
    }

    /// The app, if there is exactly one.
    pub(crate) async fn only_app(&self) -> Result<Option<AppName>, RegistryError> {
        let load = async {
            let mut apps = self.0.registry.app_list().await?;
            Ok::<_, RegistryError>(Some(if apps.len() == 1 { apps.pop().map(|app| app.name) } else { None }))
        };
        Ok(self.0.only_app.get(&(), load).await?.flatten())
    }

    /// Forgets a plan that this process changed.
    pub(crate) fn forget_plan(&self, name: &PlanName) {
        self.0.plans.forget(name);
    }

    /// Forgets an app that this process changed.
    pub(crate) fn forget_app(&self, name: &AppName) {
        self.0.apps.forget(name);
        self.0.only_app.forget(&());
    }
}
