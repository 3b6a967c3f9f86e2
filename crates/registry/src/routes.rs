//! Routes: what data planes read. Uses only what the database role `tenantry_data_plane` may see.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use tenantry_domain::{
    Slug,
    api_key::{KeyHash, Scope},
    app::{AppName, AppVersion, Manifest},
    config::{self, FEATURES, ISSUERS, PASSWORD_POLICY, RATE_LIMIT, ROLES, SESSION_TIMEOUT},
    database_share::DatabaseShare,
    domain_name::DomainName,
    ids::{ServerId, TenantId},
    jwk::Jwks,
    names::ObjectName,
    permission::Permissions,
    placement::Epoch,
    plan::{Features, LimitOverrides, Limits, PlanName},
    route::{
        FetchedKeys, Route, RouteApp, RouteIssuer, RouteKey, RoutePlacement, RouteServer, RouteSigningKey,
        RouteUsers,
    },
    signing_key::KeyId,
    trusted_issuer::{IssuerKeys, TrustedIssuer},
    user::PasswordPolicy,
};
use uuid::Uuid;

use crate::{Registry, RegistryError, error::Stored, servers::tls_of};

/// By what a route is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteKeyRef<'a> {
    /// The tenant's id.
    Id(TenantId),
    /// Its slug or subdomain.
    Label(&'a Slug),
    /// A verified custom domain.
    Domain(&'a DomainName),
}

/// Reads routes, sharing between them what is equal (apps, servers, feature sets, names).
#[derive(Debug)]
pub struct RouteReader {
    registry: Registry,
    reads: AtomicU64,
    apps: Shared<RouteApp>,
    servers: Shared<RouteServer>,
    names: Shared<ObjectName>,
    features: Shared<Features>,
    permissions: Shared<Permissions>,
    issuer_keys: Shared<FetchedKeys>,
}

/// A set of values that routes share.
#[derive(Debug)]
struct Shared<T>(Mutex<HashSet<Arc<T>>>);

impl<T: Eq + Hash> Shared<T> {
    fn new() -> Self {
        Self(Mutex::new(HashSet::new()))
    }

    fn get(&self, value: T) -> Arc<T> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&value) {
            return Arc::clone(known);
        }
        // Values that no route holds any more would otherwise pile up.
        if known.len() >= 1024 && known.len().is_power_of_two() {
            known.retain(|value| Arc::strong_count(value) > 1);
        }
        let value = Arc::new(value);
        known.insert(Arc::clone(&value));
        value
    }
}

struct RouteRow {
    id: Uuid,
    slug: String,
    subdomain: Option<String>,
    name: String,
    status: String,
    plan: String,
    plan_limits: Value,
    plan_database: Value,
    plan_features: Value,
    plan_config: Value,
    config: Value,
    limits: Value,
    features: Value,
    app: String,
    manifest: Value,
    domains: Vec<String>,
    key_hashes: Vec<Vec<u8>>,
    key_scopes: Vec<String>,
    key_ends: Vec<Option<DateTime<Utc>>>,
    epoch: Option<i32>,
    in_cutover: Option<bool>,
    migrating: bool,
    database: Option<String>,
    schema: Option<String>,
    login: Option<String>,
    schema_version: Option<i64>,
    server_id: Option<Uuid>,
    host: Option<String>,
    port: Option<i32>,
    ssl_mode: Option<String>,
    ssl_root_cert: Option<String>,
    max_connections: Option<i32>,
    users_login: Option<String>,
    storage_bytes: Option<i64>,
    signing_keys: Vec<String>,
    public_keys: Vec<Vec<u8>>,
    private_keys: Vec<Vec<u8>>,
    issuer_keys: Option<Value>,
}

/// Keys that were fetched for an issuer, as the query puts them together.
#[derive(Deserialize)]
struct FetchedRow {
    kind: String,
    url: String,
    keys: Jwks,
    good_until: DateTime<Utc>,
}

/// The features that a plan's default configuration switches, over its list of features.
fn switches(config: &Value) -> impl Iterator<Item = (String, bool)> {
    let values = config.as_object().into_iter().flatten();
    values.filter_map(|(key, value)| Some((key.strip_prefix(FEATURES)?.to_owned(), value.as_bool()?)))
}

/// A value that the tenant has set, or its plan. A plan's default that cannot be read is none.
fn configured<T, E>(row: &RouteRow, key: &str, read: impl Fn(&Value) -> Result<T, E>) -> Option<T> {
    [&row.config, &row.plan_config]
        .into_iter()
        .filter_map(|from| from.get(key))
        .find_map(|value| read(value).ok())
}

/// The limits that hold for a tenant. What it has set of requests per day counts before the plan's.
pub(crate) fn limits(own: &Value, of_plan: &Value, per_day: Option<&Value>) -> Result<Limits, RegistryError> {
    let of_plan = Limits::deserialize(of_plan).stored("plans.limits")?;
    let own = LimitOverrides::deserialize(own).stored("tenants.limits")?;
    let per_day = per_day.and_then(|value| config::positive(value).ok());
    Ok(Limits { api_requests_per_day: per_day.or(of_plan.api_requests_per_day), ..own.over(of_plan) })
}

impl RouteReader {
    /// A reader on a registry.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            reads: AtomicU64::new(0),
            apps: Shared::new(),
            servers: Shared::new(),
            names: Shared::new(),
            features: Shared::new(),
            permissions: Shared::new(),
            issuer_keys: Shared::new(),
        }
    }

    /// The registry behind it.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// How often routes were read, however many at a time: for whoever bounds it.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// The routes of tenants, read at once, in the order of the keys; none for a key that is no tenant's,
    /// or a purged one's. One that cannot be read does not keep the others.
    ///
    /// # Errors
    /// The registry does not answer; or, for one key, what it holds of the tenant is invalid.
    pub async fn routes_get(
        &self,
        keys: &[RouteKeyRef<'_>],
    ) -> Result<Vec<Result<Option<Route>, RegistryError>>, RegistryError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let (mut ids, mut labels, mut domains) = (Vec::new(), Vec::new(), Vec::new());
        for key in keys {
            match key {
                RouteKeyRef::Id(id) => ids.push(id.as_uuid()),
                RouteKeyRef::Label(label) => labels.push(label.as_str().to_owned()),
                RouteKeyRef::Domain(domain) => domains.push(domain.as_str().to_owned()),
            }
        }
        let rows = sqlx::query_as!(
            RouteRow,
            r#"SELECT tenants.id, slug, subdomain, tenants.name, status, plan,
                   plans.limits AS plan_limits, database_share AS plan_database, plans.features AS plan_features,
                   default_config AS plan_config,
                   coalesce((SELECT jsonb_object_agg(key, value) FROM tenant_config
                             WHERE tenant_config.tenant_id = tenants.id AND value IS NOT NULL
                                 AND key = ANY ($4)), '{}') AS "config!",
                   tenants.limits, tenants.features, app, manifest,
                   ARRAY(SELECT domains.name FROM domains
                         WHERE domains.tenant_id = tenants.id AND verified_at IS NOT NULL) AS "domains!",
                   coalesce(keys.hashes, '{}') AS "key_hashes!", coalesce(keys.scopes, '{}') AS "key_scopes!",
                   coalesce(keys.ends, '{}') AS "key_ends!: Vec<Option<DateTime<Utc>>>",
                   epoch AS "epoch?", placements.state = 'cutover' AS "in_cutover?",
                   EXISTS (SELECT FROM rollout_tenants WHERE rollout_tenants.tenant_id = tenants.id
                       AND rollout_tenants.state = 'migrating') AS "migrating!",
                   database AS "database?", schema AS "schema?", login AS "login?",
                   schema_version AS "schema_version?", servers.id AS "server_id?", host AS "host?", port AS "port?",
                   ssl_mode AS "ssl_mode?", ssl_root_cert,
                   max_connections AS "max_connections?",
                   (SELECT server_logins.name FROM server_logins
                    WHERE server_logins.server_id = servers.id AND for_users) AS users_login,
                   (SELECT bytes FROM tenant_storage WHERE tenant_storage.tenant_id = tenants.id) AS storage_bytes,
                   coalesce(signing.ids, '{}') AS "signing_keys!", coalesce(signing.publics, '{}') AS "public_keys!",
                   coalesce(signing.privates, '{}') AS "private_keys!",
                   (SELECT jsonb_agg(jsonb_build_object('kind', issuer_keys.kind, 'url', issuer_keys.url, 'keys', keys,
                        'good_until', good_until))
                    FROM issuer_key_sources(coalesce(
                        (SELECT value FROM tenant_config WHERE tenant_config.tenant_id = tenants.id AND key = 'auth.issuers'),
                        default_config -> 'auth.issuers')) AS sources
                    JOIN issuer_keys ON issuer_keys.kind = sources.kind AND issuer_keys.url = sources.url
                        AND keys IS NOT NULL) AS issuer_keys
               FROM tenants
               JOIN plans ON plans.name = plan
               JOIN apps ON apps.name = app
               LEFT JOIN placements ON placements.tenant_id = tenants.id
                   AND placements.state IN ('serving', 'cutover')
               LEFT JOIN servers ON servers.id = server_id
               LEFT JOIN LATERAL (
                   SELECT array_agg(hash) AS hashes, array_agg(array_to_string(scopes, ' ')) AS scopes,
                       array_agg(expires_at) AS ends
                   FROM api_keys WHERE api_keys.tenant_id = tenants.id
               ) AS keys ON true
               LEFT JOIN LATERAL (
                   SELECT array_agg(signing_keys.id ORDER BY created_at DESC, signing_keys.id) AS ids,
                       array_agg(public_key ORDER BY created_at DESC, signing_keys.id) AS publics,
                       array_agg(private_key ORDER BY created_at DESC, signing_keys.id) AS privates
                   FROM signing_keys WHERE signing_keys.tenant_id = tenants.id
               ) AS signing ON true
               WHERE status <> 'purged' AND tenants.id = ANY($1::uuid[]
                   || ARRAY(SELECT tenant_id FROM tenant_labels WHERE label = ANY($2::text[]))
                   || ARRAY(SELECT tenant_id FROM domains
                            WHERE domains.name = ANY($3::text[]) AND verified_at IS NOT NULL))"#,
            &ids,
            &labels,
            &domains,
            &config::OF_ROUTES.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>(),
        )
        .fetch_all(&self.registry.pool)
        .await?;
        let by_id: HashMap<Uuid, &RouteRow> = rows.iter().map(|row| (row.id, row)).collect();
        let by_label: HashMap<&str, &RouteRow> = rows
            .iter()
            .flat_map(|row| [Some(&row.slug), row.subdomain.as_ref()].map(|label| (label, row)))
            .filter_map(|(label, row)| label.map(|label| (label.as_str(), row)))
            .collect();
        let by_domain: HashMap<&str, &RouteRow> = rows
            .iter()
            .flat_map(|row| row.domains.iter().map(move |domain| (domain.as_str(), row)))
            .collect();
        let route_of = |key: &RouteKeyRef<'_>| {
            let row = match key {
                RouteKeyRef::Id(id) => by_id.get(&id.as_uuid()),
                RouteKeyRef::Label(label) => by_label.get(label.as_str()),
                RouteKeyRef::Domain(domain) => by_domain.get(domain.as_str()),
            };
            row.map(|row| self.route(row)).transpose()
        };
        Ok(keys.iter().map(route_of).collect())
    }

    /// The `branding` of a tenant's settings, which routes leave out for its size.
    pub async fn branding_get(&self, tenant: TenantId) -> Result<Option<Value>, RegistryError> {
        let branding =
            sqlx::query_scalar!("SELECT settings -> 'branding' FROM tenants WHERE id = $1", tenant.as_uuid())
                .fetch_optional(&self.registry.pool)
                .await?;
        Ok(branding.flatten())
    }

    /// The issuers that a tenant trusts. Keys that cannot be read are none.
    fn issuers(&self, row: &RouteRow, trusted: Vec<TrustedIssuer>) -> Box<[RouteIssuer]> {
        let fetched = row.issuer_keys.as_ref().map(Vec::<FetchedRow>::deserialize);
        let fetched = fetched.and_then(Result::ok).unwrap_or_default();
        let keys_of = |issuer: &TrustedIssuer| {
            let IssuerKeys::Fetched(source) = &issuer.keys else { return None };
            let is_its = |row: &&FetchedRow| row.kind == source.kind().as_str() && row.url == source.url();
            let FetchedRow { keys, good_until, .. } = fetched.iter().find(is_its)?;
            Some(self.issuer_keys.get(FetchedKeys { keys: keys.clone(), good_until: *good_until }))
        };
        trusted.into_iter().map(|trusted| RouteIssuer { fetched: keys_of(&trusted), trusted }).collect()
    }

    fn users(&self, row: &RouteRow) -> RouteUsers {
        let defaults = RouteUsers::default();
        RouteUsers {
            password_policy: configured(row, PASSWORD_POLICY, PasswordPolicy::from_config)
                .unwrap_or(defaults.password_policy),
            session_timeout: configured(row, SESSION_TIMEOUT, config::session_timeout)
                .unwrap_or(defaults.session_timeout),
            permissions: configured(row, ROLES, Permissions::from_config)
                .map_or(defaults.permissions, |permissions| self.permissions.get(permissions)),
            issuers: configured(row, ISSUERS, TrustedIssuer::list_from_config)
                .map_or(defaults.issuers, |issuers| self.issuers(row, issuers)),
        }
    }

    fn route(&self, row: &RouteRow) -> Result<Route, RegistryError> {
        let label = |text: &str| Slug::parse(text);
        let limits = limits(&row.limits, &row.plan_limits, row.config.get(RATE_LIMIT))?;
        let share = DatabaseShare::deserialize(&row.plan_database).stored("plans.database_share")?;
        let mut features = Features::deserialize(&row.plan_features).stored("plans.features")?;
        features.extend(switches(&row.plan_config));
        let own = Features::deserialize(&row.features).stored("tenants.features")?;
        features.extend(own);
        let app = RouteApp {
            name: AppName::parse(&row.app).stored("tenants.app")?,
            manifest: Manifest::deserialize(&row.manifest).stored("apps.manifest")?,
        };
        let keys = row
            .key_hashes
            .iter()
            .zip(&row.key_scopes)
            .zip(&row.key_ends)
            .map(|((hash, scopes), expires_at)| {
                let has = |scope: Scope| scopes.split(' ').any(|name| name == scope.as_str());
                Ok(RouteKey {
                    hash: KeyHash::from_stored(hash).ok_or("is not 32 bytes").stored("api_keys.hash")?,
                    read: has(Scope::DataRead),
                    write: has(Scope::DataWrite),
                    expires_at: *expires_at,
                })
            })
            .collect::<Result<Box<[_]>, RegistryError>>()?;
        let signing_keys = row
            .signing_keys
            .iter()
            .zip(&row.public_keys)
            .zip(&row.private_keys)
            .map(|((id, public), private)| {
                Ok(RouteSigningKey {
                    id: KeyId::parse(id).stored("signing_keys.id")?,
                    public: public.as_slice().try_into().stored("signing_keys.public_key")?,
                    private: private.as_slice().into(),
                })
            })
            .collect::<Result<Box<[_]>, RegistryError>>()?;
        let domains = row.domains.iter().map(|name| DomainName::parse(name));
        let placement = match (
            row.epoch,
            &row.database,
            &row.schema,
            &row.login,
            row.schema_version,
            row.server_id,
            &row.host,
            row.port,
            &row.ssl_mode,
            row.max_connections,
        ) {
            (
                Some(epoch),
                Some(database),
                Some(schema),
                Some(login),
                Some(version),
                Some(server_id),
                Some(host),
                Some(port),
                Some(ssl_mode),
                Some(max_connections),
            ) => Some(RoutePlacement {
                epoch: Epoch::from_stored(epoch),
                in_cutover: row.in_cutover.unwrap_or(false),
                migrating: row.migrating,
                server: self.servers.get(RouteServer {
                    id: ServerId::from_uuid(server_id),
                    host: host.clone(),
                    port: u16::try_from(port).stored("servers.port")?,
                    tls: tls_of(ssl_mode, row.ssl_root_cert.as_deref())?,
                    max_connections: u32::try_from(max_connections).stored("servers.max_connections")?,
                    users_login: row
                        .users_login
                        .as_deref()
                        .map(ObjectName::parse)
                        .transpose()
                        .stored("server_logins.name")?,
                }),
                database: self.names.get(ObjectName::parse(database).stored("placements.database")?),
                login: self.names.get(ObjectName::parse(login).stored("placements.login")?),
                schema: ObjectName::parse(schema).stored("placements.schema")?,
                schema_version: AppVersion::try_from(version).stored("placements.schema_version")?,
            }),
            _ => None,
        };
        Ok(Route {
            tenant_id: TenantId::from_uuid(row.id),
            slug: label(&row.slug).stored("tenants.slug")?,
            subdomain: row.subdomain.as_deref().map(label).transpose().stored("tenants.subdomain")?,
            domains: domains.collect::<Result<_, _>>().stored("domains.name")?,
            name: row.name.as_str().into(),
            phase: row.status.parse().stored("tenants.status")?,
            plan: PlanName::parse(&row.plan).stored("tenants.plan")?,
            storage_full: limits
                .max_storage_bytes
                .is_some_and(|most| row.storage_bytes.is_some_and(|bytes| bytes.cast_unsigned() >= most)),
            limits,
            weight: share.weight,
            users: self.users(row),
            features: self.features.get(features),
            app: self.apps.get(app),
            placement,
            keys,
            signing_keys,
        })
    }
}
