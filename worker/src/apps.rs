//! Apps, read once and kept while the registry says that they have not changed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tenantry_domain::app::{App, AppName};
use tenantry_registry::{AppStamp, Registry, RegistryError};

/// See the module.
pub struct Apps {
    registry: Registry,
    known: Mutex<HashMap<AppName, (AppStamp, Arc<App>)>>,
}

impl Apps {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry, known: Mutex::default() }
    }

    /// An app as new tenants got it when its stamp was read, or later: nothing after its promoted version. The
    /// stamp is read before the app: a change between the two is seen at the next look.
    pub(crate) async fn get(
        &self,
        name: &AppName,
        stamp: AppStamp,
    ) -> Result<Option<Arc<App>>, RegistryError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some((known, app)) = known
            && known == stamp
        {
            return Ok(Some(app));
        }
        let Some(app) = self.registry.app_get(name).await?.map(|app| Arc::new(app.into_promoted())) else {
            return Ok(None);
        };
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.clone(), (stamp, Arc::clone(&app)));
        Ok(Some(app))
    }
}
