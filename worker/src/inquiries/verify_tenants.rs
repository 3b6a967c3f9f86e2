//! Are tenants' schemas as their versions say? What differs was changed by hand.
//!
//! A version's own schema is made once per server and question, on the server that the tenants are on: another release of
//! PostgreSQL prints definitions otherwise.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use tenantry_domain::{
    app::{App, AppName, AppVersion},
    drift::{Difference, NotCompared, TenantDrift, TenantToVerify, TenantsVerified},
    ids::{ServerId, TenantId},
    names::ObjectName,
    server::ServerState,
};
use tenantry_postgres::admin::VersionCatalog;

use super::try_version::FILE_LIMIT;
use crate::{Resources, servers::Server, step_error::StepError};

/// Servers at a time.
const SERVERS: usize = 4;

/// Databases of a server at a time.
const DATABASES: usize = 4;

/// No further database is begun after this long, so that what was found is answered in time.
const LONG_ENOUGH: Duration = Duration::from_secs(11);

/// A question that is being answered.
struct Verification<'a> {
    resources: &'a Resources,
    app: &'a App,
    until: Instant,
}

pub(super) async fn run(
    resources: &Resources,
    app: &AppName,
    tenants: Vec<TenantToVerify>,
) -> Result<TenantsVerified, StepError> {
    let app = resources
        .registry
        .app_get(app)
        .await?
        .ok_or_else(|| StepError::permanent("the app is not there any more"))?;
    let verification = Verification { resources, app: &app, until: Instant::now() + LONG_ENOUGH };
    let mut servers: BTreeMap<ServerId, Vec<&TenantToVerify>> = BTreeMap::new();
    for tenant in &tenants {
        servers.entry(tenant.server).or_default().push(tenant);
    }
    let parts = servers
        .into_iter()
        .map(|(server, tenants)| verification.on_server(server, tenants).boxed())
        .collect();
    let all = at_once(parts, SERVERS).await?;
    verification.settle(&tenants, all).await
}

/// What all parts found, so many at a time.
async fn at_once(
    parts: Vec<BoxFuture<'_, Result<TenantsVerified, StepError>>>,
    count: usize,
) -> Result<TenantsVerified, StepError> {
    let found: Vec<_> = stream::iter(parts).buffer_unordered(count).try_collect().await?;
    Ok(found.into_iter().reduce(together).unwrap_or_default())
}

fn together(mut all: TenantsVerified, more: TenantsVerified) -> TenantsVerified {
    all.compared += more.compared;
    all.drifted.extend(more.drifted);
    all.not_compared.extend(more.not_compared);
    all
}

fn none_compared<'a>(
    tenants: impl IntoIterator<Item = &'a &'a TenantToVerify>,
    reason: &str,
) -> TenantsVerified {
    let not_compared =
        tenants.into_iter().map(|tenant| NotCompared { tenant: tenant.id, reason: reason.to_owned() });
    TenantsVerified { not_compared: not_compared.collect(), ..TenantsVerified::default() }
}

/// The reason why tenants could not be compared, unless the question as a whole is to be asked again.
fn reason(error: StepError) -> Result<String, StepError> {
    match error {
        StepError::RegistryAway { .. } | StepError::Stopping => Err(error),
        other => Ok(other.to_string()),
    }
}

impl Verification<'_> {
    async fn on_server(
        &self,
        id: ServerId,
        tenants: Vec<&TenantToVerify>,
    ) -> Result<TenantsVerified, StepError> {
        let Some(known) = self.resources.registry.server_get(id).await? else {
            return Ok(none_compared(&tenants, "its server is not registered any more"));
        };
        let known = known.server;
        if known.health.unreachable.is_some() || known.state == ServerState::Lost {
            return Ok(none_compared(&tenants, &format!("its server {} is away", known.name)));
        }
        if known.state == ServerState::Hibernated {
            return Ok(none_compared(&tenants, &format!("its server {} is hibernated", known.name)));
        }
        let server = match self.resources.servers.get(id, known.revision).await {
            Ok(server) => server,
            Err(error) => return Ok(none_compared(&tenants, &reason(error)?)),
        };
        let mut versions = BTreeMap::new();
        for version in tenants.iter().map(|tenant| tenant.version).collect::<BTreeSet<_>>() {
            versions.insert(version, self.version(&server, version).await?);
        }
        let mut databases: BTreeMap<&ObjectName, Vec<&TenantToVerify>> = BTreeMap::new();
        for tenant in tenants {
            databases.entry(&tenant.database).or_default().push(tenant);
        }
        let parts = databases
            .into_iter()
            .map(|(database, tenants)| self.in_database(&server, database, tenants, &versions).boxed())
            .collect();
        at_once(parts, DATABASES).await
    }

    /// What a tenant of a version has, or why that is not known.
    async fn version(
        &self,
        server: &Server,
        version: AppVersion,
    ) -> Result<Result<VersionCatalog, String>, StepError> {
        let mut app = self.app.clone();
        app.migrations.retain(|migration| migration.version <= version);
        app.seed = None;
        if app.version() != Some(version) {
            return Ok(Err(format!("the app has no version {version} any more")));
        }
        Ok(match server.call(server.admin.version_catalog(&app, FILE_LIMIT)).await {
            Ok(Ok(catalog)) => Ok(catalog),
            Ok(Err(fault)) => Err(format!("its version cannot be made for comparison: {fault}")),
            Err(error) => Err(reason(error)?),
        })
    }

    async fn in_database(
        &self,
        server: &Server,
        database: &ObjectName,
        tenants: Vec<&TenantToVerify>,
        versions: &BTreeMap<AppVersion, Result<VersionCatalog, String>>,
    ) -> Result<TenantsVerified, StepError> {
        if Instant::now() >= self.until {
            return Ok(none_compared(&tenants, "there was no time left for it; ask for fewer at a time"));
        }
        let schemas: Vec<_> = tenants.iter().map(|tenant| tenant.schema.clone()).collect();
        let catalogs = match server.call(server.admin.tenant_catalogs(database, &schemas)).await {
            Ok(catalogs) => catalogs,
            Err(error) => return Ok(none_compared(&tenants, &reason(error)?)),
        };
        let mut found = TenantsVerified::default();
        for tenant in tenants {
            let version = match &versions[&tenant.version] {
                Ok(version) => version,
                Err(reason) => {
                    found.not_compared.push(NotCompared { tenant: tenant.id, reason: reason.clone() });
                    continue;
                }
            };
            found.compared += 1;
            match catalogs.get(&tenant.schema).map(|catalog| version.drift(catalog, &tenant.schema)) {
                Some(None) => {}
                Some(Some(drift)) => found.drifted.push(TenantDrift {
                    tenant: tenant.id,
                    differences: drift.differences,
                    mend: Some(drift.mend),
                }),
                None => found.drifted.push(TenantDrift {
                    tenant: tenant.id,
                    differences: vec![Difference {
                        object: format!("schema {}", tenant.schema),
                        difference: format!("is missing in database {database}"),
                    }],
                    mend: None,
                }),
            }
        }
        Ok(found)
    }

    /// Takes out those that were perhaps being moved or migrated while they were compared.
    async fn settle(
        &self,
        asked: &[TenantToVerify],
        mut found: TenantsVerified,
    ) -> Result<TenantsVerified, StepError> {
        let registry = &self.resources.registry;
        let ids: Vec<TenantId> = found.drifted.iter().map(|drift| drift.tenant).collect();
        // Who was migrated is at work until its version is written down: in this order nobody is missed.
        let at_work = registry.tenants_at_work(&ids).await?;
        for tenant in asked.iter().filter(|tenant| ids.contains(&tenant.id)) {
            let placement = registry.tenant_get(tenant.id).await?.and_then(|details| details.placement);
            let as_before = placement.is_some_and(|now| {
                now.state.serves()
                    && now.server_id == tenant.server
                    && (&now.database, &now.schema) == (&tenant.database, &tenant.schema)
                    && now.schema_version == Some(tenant.version)
            });
            let reason = if at_work.contains(&tenant.id) {
                "it is being moved, migrated or otherwise worked on; ask again afterwards"
            } else if as_before {
                continue;
            } else {
                "it was moved or migrated meanwhile; ask again"
            };
            found.drifted.retain(|drift| drift.tenant != tenant.id);
            found.compared -= 1;
            found.not_compared.push(NotCompared { tenant: tenant.id, reason: reason.to_owned() });
        }
        Ok(found)
    }
}
