//! What the tables of an app's version look like. Introspected once, through the connection of the
//! first tenant that needs it, and shared by all tenants of the version.
//!
//! Tables of features that a tenant does not have are not in its catalog, so that no part of a
//! request can reach them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tenantry_domain::{
    app::{AppName, AppVersion},
    route::Route,
};
use tenantry_postgres::tenant::{Access, TenantConnection, TenantQueryError};
use tenantry_query::{Catalog, CatalogError, Introspection};

/// Catalogs in memory. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Catalogs(Arc<Inner>);

#[derive(Default)]
struct Inner {
    apps: ArcSwap<Apps>,
    /// One introspection per version at a time.
    reading: Mutex<HashMap<(AppName, AppVersion), Turn>>,
}

/// Whose turn it is to read.
type Turn = Arc<tokio::sync::Mutex<()>>;
type Apps = HashMap<AppName, BTreeMap<AppVersion, Version>>;

#[derive(Clone)]
struct Version {
    introspection: Arc<Introspection>,
    views: Vec<View>,
}

/// The catalog without some tables.
#[derive(Clone)]
struct View {
    withheld: Vec<String>,
    catalog: Arc<Catalog>,
}

/// A catalog cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogsError {
    /// The introspection failed.
    #[error("the introspection failed")]
    Query(#[from] TenantQueryError),
    /// Its answer cannot be understood.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The schema holds nothing: the tenant is not there.
    #[error("the schema holds no tables")]
    Empty,
}

/// How long somebody waits for what another one reads.
const TURN: Duration = Duration::from_secs(1);
/// Versions of one app that are kept; a fleet in the middle of a rollout has two.
const MAX_VERSIONS: usize = 16;
/// Combinations of features per version that are kept.
const MAX_VIEWS: usize = 64;

/// The tables that a tenant must not see, for want of their features.
pub(crate) fn withheld(route: &Route) -> impl Iterator<Item = &str> {
    route
        .app
        .manifest
        .features
        .iter()
        .filter(|(feature, _)| !route.has_feature(feature))
        .flat_map(|(_, tables)| tables.iter().map(String::as_str))
}

impl Catalogs {
    /// The tenant's catalog, if it is in memory. Allocates nothing.
    pub(crate) fn get(&self, route: &Route, version: AppVersion) -> Option<Arc<Catalog>> {
        let apps = self.0.apps.load();
        let version = apps.get(&route.app.name)?.get(&version)?;
        let view =
            version.views.iter().find(|view| view.withheld.iter().map(String::as_str).eq(withheld(route)))?;
        Some(Arc::clone(&view.catalog))
    }

    /// The tenant's catalog, introspected on this connection where need be. `is_of_version` says afterwards whether the tenant had
    /// that version meanwhile; a catalog of which that is not known is not kept.
    pub(crate) async fn read(
        &self,
        route: &Route,
        version: AppVersion,
        connection: &mut TenantConnection,
        is_of_version: impl AsyncFnOnce() -> Result<bool, CatalogsError>,
    ) -> Result<Arc<Catalog>, CatalogsError> {
        let turn = {
            let mut reading = self.0.reading.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(reading.entry((route.app.name.clone(), version)).or_default())
        };
        // Whoever reads it may be at a server that hangs: then everybody asks his own.
        let _turn = tokio::time::timeout(TURN, turn.lock()).await;
        if let Some(catalog) = self.get(route, version) {
            return Ok(catalog);
        }
        let known = self
            .0
            .apps
            .load()
            .get(&route.app.name)
            .and_then(|app| app.get(&version))
            .map(|version| Arc::clone(&version.introspection));
        let is_known = known.is_some();
        let introspection = match known {
            Some(introspection) => introspection,
            None => Arc::new(introspect(route, connection).await?),
        };
        let withheld: Vec<String> = withheld(route).map(str::to_owned).collect();
        let catalog = Arc::new(introspection.catalog(&withheld)?);
        let is_empty = catalog.tables().next().is_none() && catalog.functions().next().is_none();
        if is_empty && withheld.is_empty() {
            return Err(CatalogsError::Empty);
        }
        if is_known || is_of_version().await? {
            let view = View { withheld, catalog: Arc::clone(&catalog) };
            self.keep(&route.app.name, version, &introspection, &view);
        }
        Ok(catalog)
    }

    fn keep(&self, app: &AppName, number: AppVersion, introspection: &Arc<Introspection>, view: &View) {
        self.0.apps.rcu(|apps| {
            let mut apps = Apps::clone(apps);
            let versions = apps.entry(app.clone()).or_default();
            if versions.len() >= MAX_VERSIONS {
                versions.pop_first();
            }
            let version = versions
                .entry(number)
                .or_insert_with(|| Version { introspection: Arc::clone(introspection), views: Vec::new() });
            if version.views.len() >= MAX_VIEWS {
                version.views.clear();
            }
            version.views.push(view.clone());
            apps
        });
    }

    /// Forgets an app: its manifest changed.
    pub(crate) fn forget(&self, app: &AppName) {
        self.0.apps.rcu(|apps| {
            let mut apps = Apps::clone(apps);
            apps.remove(app);
            apps
        });
        self.0.reading.lock().unwrap_or_else(PoisonError::into_inner).retain(|(name, _), _| name != app);
    }

    /// Forgets all.
    pub(crate) fn forget_all(&self) {
        self.0.apps.store(Arc::default());
        self.0.reading.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

async fn introspect(
    route: &Route,
    connection: &mut TenantConnection,
) -> Result<Introspection, CatalogsError> {
    let Some(placement) = &route.placement else { return Err(CatalogsError::Empty) };
    let schema = Some(placement.schema.as_str().to_owned());
    // It becomes that of all tenants of the app: no setting of this one's may change how it reads.
    connection.reset_next();
    let row = connection
        .query_one_text(&placement.schema, Access::ReadOnly, Catalog::INTROSPECTION_SQL, &[schema])
        .await?;
    let body = row.body.unwrap_or_default();
    tracing::debug!(app = %route.app.name, version = %placement.schema_version, "read the catalog of an app's version");
    Ok(Introspection::read(&String::from_utf8_lossy(&body))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn withheld_tables_are_not_in_the_catalog() {
        let json = r#"{"tables":[
            {"name":"a","kind":"r","writable":28,"columns":[],"primary_key":[],"uniques":[],"foreign_keys":[]},
            {"name":"b","kind":"r","writable":28,"columns":[],"primary_key":[],"uniques":[],
             "foreign_keys":[{"constraint":"b_a","table":"a","columns":[]}]}]}"#;
        let introspection = Introspection::read(json).unwrap();
        let catalog = introspection.catalog(&["a".to_owned()]).unwrap();
        assert!(catalog.table("a").is_none());
        assert!(catalog.table("b").unwrap().relationships().is_empty());
        assert!(introspection.catalog(&[]).unwrap().table("a").is_some());
    }
}
