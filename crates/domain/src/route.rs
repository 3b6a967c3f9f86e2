//! Routes: what a data plane needs to serve a tenant.
//!
//! A data plane keeps 100,000 of these. What many tenants share (server, app, plan) is shared
//! behind `Arc`s, so that a route costs a few hundred bytes.

use std::{num::NonZeroU8, sync::Arc};

use chrono::{DateTime, Utc};

use crate::{
    Slug,
    api_key::{KeyHash, Scope},
    app::{AppName, AppVersion, Manifest},
    domain_name::DomainName,
    ids::{ServerId, TenantId},
    jwk::{Jwk, Jwks},
    names::ObjectName,
    permission::Permissions,
    placement::Epoch,
    plan::{Features, Limits, PlanName},
    server_tls::ServerTls,
    signing_key::KeyId,
    tenant::TenantPhase,
    trusted_issuer::{IssuerKeys, KeySource, TrustedIssuer},
    user::PasswordPolicy,
};

/// What a data plane needs to serve a tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its slug.
    pub slug: Slug,
    /// A second label below the base domain.
    pub subdomain: Option<Slug>,
    /// Its verified custom domains.
    pub domains: Box<[DomainName]>,
    /// Its name for people.
    pub name: Box<str>,
    /// Whether it may be served.
    pub phase: TenantPhase,
    /// What it bought.
    pub plan: PlanName,
    /// The ceilings that hold for it.
    pub limits: Limits,
    /// What its share of a server's connections is against other tenants'.
    pub weight: NonZeroU8,
    /// Its data takes as much as it may: nothing is added.
    pub storage_full: bool,
    /// What is configured for its users.
    pub users: RouteUsers,
    /// The features that hold for it. Shared where the tenant has no switches of its own.
    pub features: Arc<Features>,
    /// The app whose tables it has.
    pub app: Arc<RouteApp>,
    /// Where its data is; none while it has none.
    pub placement: Option<RoutePlacement>,
    /// The keys that open its data.
    pub keys: Box<[RouteKey]>,
    /// The keys that its users' access tokens are signed with, the newest first; none where it has no users.
    pub signing_keys: Box<[RouteSigningKey]>,
}

/// What is configured for a tenant's users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteUsers {
    /// What their passwords must have.
    pub password_policy: PasswordPolicy,
    /// After how many seconds without a sign of life they have to log in again.
    pub session_timeout: u32,
    /// What their roles may do.
    pub permissions: Arc<Permissions>,
    /// Whose tokens count besides the tenant's own.
    pub issuers: Box<[RouteIssuer]>,
}

impl Default for RouteUsers {
    /// Where nothing is configured: two weeks.
    fn default() -> Self {
        Self {
            password_policy: PasswordPolicy::default(),
            session_timeout: 14 * 24 * 3600,
            permissions: Arc::default(),
            issuers: Box::default(),
        }
    }
}

/// An issuer that a tenant trusts, with its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteIssuer {
    /// What is configured of it.
    pub trusted: TrustedIssuer,
    /// The keys that were fetched, if they are and none are written.
    pub fetched: Option<Arc<FetchedKeys>>,
}

/// Public keys that a worker fetched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FetchedKeys {
    /// They.
    pub keys: Jwks,
    /// Until when they count, should no later fetch succeed.
    pub good_until: DateTime<Utc>,
}

impl RouteIssuer {
    /// Its key of this name that counts now.
    pub fn key(&self, kid: &str, now: DateTime<Utc>) -> Option<&Jwk> {
        match &self.trusted.keys {
            IssuerKeys::Written(keys) => keys.find(kid),
            IssuerKeys::Fetched(_) => {
                self.fetched.as_ref().filter(|fetched| now < fetched.good_until)?.keys.find(kid)
            }
        }
    }

    /// Where its keys are fetched from, if they are.
    pub fn source(&self) -> Option<&KeySource> {
        match &self.trusted.keys {
            IssuerKeys::Written(_) => None,
            IssuerKeys::Fetched(source) => Some(source),
        }
    }
}

/// What a route says of the app.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RouteApp {
    /// Its name.
    pub name: AppName,
    /// How it is served.
    pub manifest: Manifest,
}

/// Where the data is, as far as a data plane must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePlacement {
    /// Grows with each change; never served stale.
    pub epoch: Epoch,
    /// Writes wait: the tenant is about to be served from its next placement.
    pub in_cutover: bool,
    /// A rollout is at it: its tables may have another version already.
    pub migrating: bool,
    /// The server.
    pub server: Arc<RouteServer>,
    /// The database.
    pub database: Arc<ObjectName>,
    /// The data plane's login that may become the tenant.
    pub login: Arc<ObjectName>,
    /// The schema, also the name of the role to become.
    pub schema: ObjectName,
    /// The version of the tables.
    pub schema_version: AppVersion,
}

/// What a route says of the server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RouteServer {
    /// Its id.
    pub id: ServerId,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How connections to it are protected.
    pub tls: ServerTls,
    /// Connections that this data plane may open to it.
    pub max_connections: u32,
    /// The login that may see what Tenantry keeps of its tenants' users; none while no tenant there has any.
    pub users_login: Option<ObjectName>,
}

/// A tenant's key as far as a data plane must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteKey {
    /// Its hash.
    pub hash: KeyHash,
    /// May read.
    pub read: bool,
    /// May write.
    pub write: bool,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key that signs a tenant's access tokens, as far as a data plane must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSigningKey {
    /// Its `kid`.
    pub id: KeyId,
    /// The public half.
    pub public: [u8; 32],
    /// The private half, sealed.
    pub private: Box<[u8]>,
}

impl Route {
    /// The live key with this hash, if it is one of the tenant's.
    pub fn key(&self, hash: &KeyHash, now: DateTime<Utc>) -> Option<&RouteKey> {
        self.keys.iter().find(|key| key.hash.matches(hash) && key.expires_at.is_none_or(|end| now < end))
    }

    /// Whether the tenant has a feature.
    pub fn has_feature(&self, feature: &str) -> bool {
        self.features.get(feature).copied().unwrap_or(false)
    }
}

impl RouteKey {
    /// Whether the key may do it.
    pub fn allows(&self, scope: Scope) -> bool {
        match scope {
            Scope::DataRead => self.read,
            Scope::DataWrite => self.write,
            _ => false,
        }
    }
}
