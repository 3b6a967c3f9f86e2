//! Apps, read once and kept while the registry says that they have not changed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use tenantry_domain::app::{App, AppName};
use tenantry_registry::{Registry, RegistryError};

type Stamp = (DateTime<Utc>, i64);

/// See the module.
pub struct Apps {
    registry: Registry,
    known: Mutex<HashMap<AppName, (Stamp, Arc<App>)>>,
}

impl Apps {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry, known: Mutex::default() }
    }

    /// An app as new tenants get it now: nothing after its promoted version.
    pub(crate) async fn get(&self, name: &AppName) -> Result<Option<Arc<App>>, RegistryError> {
        // The stamp is read before the app: a change between the two is seen at the next look.
        let Some(stamp) = self.registry.app_stamp(name).await? else { return Ok(None) };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some((known, app)) = known
            && known == stamp
        {
            return Ok(Some(app));
        }
        let Some(app) = self.registry.app_get(name).await?.map(|app| Arc::new(app.as_promoted())) else {
            return Ok(None);
        };
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.clone(), (stamp, Arc::clone(&app)));
        Ok(Some(app))
    }
}
