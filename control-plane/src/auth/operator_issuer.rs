//! The operators' identity provider: its tokens count beside API keys, as what their roles are mapped to.
//!
//! Its keys are fetched by `OpenID` discovery when they are first needed, and kept in memory. It is asked again when they are no longer
//! fresh, and at most once a minute for a key that it was not known to have.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use ipnet::IpNet;
use serde_json::Value;
use tenantry_domain::{
    Clock, Invalid,
    api_key::Scope,
    jwk::{Jwk, Jwks},
    trusted_issuer::{KeySource, KeySourceKind},
};
use tenantry_outbound::{Outbound, SystemHosts, issuer_keys::fetch};
use tenantry_tokens::{Expected, RefusedOfOthers, is_name, named_key, verify_of_others};
use tokio::{sync::Mutex, task::JoinHandle};

use super::caller::Operator;

/// How long it may take to answer. Requests with tokens wait for the first answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How soon it is asked again.
const AGAIN_AFTER: TimeDelta = TimeDelta::minutes(1);
/// How soon, when it did not answer.
const AGAIN_AFTER_FAILURE: TimeDelta = TimeDelta::seconds(10);
/// How long its keys count without a fetch that succeeds.
const GOOD_FOR: TimeDelta = TimeDelta::days(1);

/// Where http will do, and an identity provider may be that is not public: beside the control plane. Not where clouds have metadata:
/// of what carriers share only the half without it, and no unique local addresses.
const NETWORKS: [&str; 6] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/11", "127.0.0.0/8", "::1/128"];

/// Which tokens of operators count, and as what.
#[derive(Debug, Clone)]
pub struct OperatorSettings {
    /// Their `iss`, below which the provider's `OpenID` configuration is.
    pub issuer: OperatorIssuerUrl,
    /// Their `aud`.
    pub audience: String,
    /// Which of their claims names roles: a name, or a path such as `/realm_access/roles`.
    pub roles_claim: String,
    /// What roles may do. Others may do nothing.
    pub roles: Vec<OperatorRole>,
}

/// The name of an identity provider, which is a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorIssuerUrl(KeySource);

impl FromStr for OperatorIssuerUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        KeySource::parse(KeySourceKind::Discovery, text).map(Self)
    }
}

/// What a role of the identity provider may do here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorRole {
    name: String,
    scopes: BTreeSet<Scope>,
}

impl FromStr for OperatorRole {
    type Err = Invalid;

    /// `support=tenants:read,tenants:impersonate`; `*` stands for all scopes.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || {
            Invalid::because(
                "must be a role and its scopes, such as support=tenants:read,tenants:impersonate or admin=*",
            )
        };
        let (name, scopes) = text.trim().rsplit_once('=').ok_or_else(wrong)?;
        if name.is_empty() {
            return Err(wrong());
        }
        if scopes == "*" {
            return Ok(Self { name: name.to_owned(), scopes: Scope::operator() });
        }
        let one = |text: &str| {
            let scope: Option<Scope> = text.trim().parse().ok();
            scope.filter(|scope| !scope.is_of_tenants()).ok_or_else(|| {
                Invalid::because(format!("`{text}` is no scope of operators, such as tenants:read"))
            })
        };
        let scopes = scopes.split(',').map(one).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), scopes })
    }
}

/// Why a token of an operator does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum OperatorRefused {
    #[error(transparent)]
    Token(#[from] RefusedOfOthers),
    /// Its keys could not be fetched, so that nobody knows.
    #[error("the identity provider does not answer")]
    Unavailable,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OperatorIssuer(Arc<Inner>);

struct Inner {
    settings: OperatorSettings,
    roles: BTreeMap<String, BTreeSet<Scope>>,
    clock: Arc<dyn Clock>,
    outbound: Outbound,
    known: RwLock<Option<Known>>,
    /// When the provider may be asked again; held while it is.
    not_before: Mutex<DateTime<Utc>>,
}

/// Its keys.
struct Known {
    keys: Jwks,
    fresh_until: DateTime<Utc>,
    good_until: DateTime<Utc>,
}

impl OperatorIssuer {
    pub(crate) fn new(settings: OperatorSettings, clock: Arc<dyn Clock>) -> Self {
        let networks: Vec<IpNet> = NETWORKS.iter().filter_map(|network| network.parse().ok()).collect();
        let mut roles = BTreeMap::<_, BTreeSet<Scope>>::new();
        for role in &settings.roles {
            roles.entry(role.name.clone()).or_default().extend(&role.scopes);
        }
        Self(Arc::new(Inner {
            settings,
            roles,
            clock,
            outbound: Outbound::new(networks, Arc::new(SystemHosts)),
            known: RwLock::new(None),
            not_before: Mutex::new(DateTime::UNIX_EPOCH),
        }))
    }

    /// Whose token it is, if it counts.
    pub(super) async fn verify(&self, token: &str) -> Result<Operator, OperatorRefused> {
        let OperatorSettings { issuer, audience, roles_claim, .. } = &self.0.settings;
        let kid = named_key(token).ok_or(RefusedOfOthers::Invalid)?;
        let key = self.key(&kid).await?.ok_or(RefusedOfOthers::Invalid)?;
        let expected = Expected { issuer: issuer.0.url(), audience };
        let claims = verify_of_others(token, &key, expected, self.0.clock.now())?;
        let more = Value::Object(claims.more);
        let name = ["preferred_username", "email", "name"].iter().find_map(|claim| more[*claim].as_str());
        Ok(Operator {
            subject: claims.subject,
            name: name.filter(|name| is_name(name)).map(str::to_owned),
            scopes: self.scopes(claim(&more, roles_claim)),
        })
    }

    /// What the roles of a claim may do: of one role, or of several.
    fn scopes(&self, claim: Option<&Value>) -> BTreeSet<Scope> {
        let roles = match claim {
            Some(Value::String(role)) => vec![role.as_str()],
            Some(Value::Array(roles)) => roles.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        roles.into_iter().filter_map(|role| self.0.roles.get(role)).flatten().copied().collect()
    }

    /// Its key of this name.
    async fn key(&self, kid: &str) -> Result<Option<Jwk>, OperatorRefused> {
        if let Some((key, is_fresh)) = self.known_key(kid) {
            if !is_fresh {
                // Nobody waits for it.
                self.refresh();
            }
            return Ok(Some(key));
        }
        let _ = self.refresh().await;
        if let Some((key, _)) = self.known_key(kid) {
            return Ok(Some(key));
        }
        let now = self.0.clock.now();
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(known) if now < known.good_until => Ok(None),
            _ => Err(OperatorRefused::Unavailable),
        }
    }

    fn known_key(&self, kid: &str) -> Option<(Jwk, bool)> {
        let now = self.0.clock.now();
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref().filter(|known| now < known.good_until)?;
        Some((known.keys.find(kid)?.clone(), now < known.fresh_until))
    }

    /// Has its keys asked for. In a task of its own: a client that hangs up must not have the next one begin anew, or who sends many
    /// made-up tokens would have the provider asked as often.
    fn refresh(&self) -> JoinHandle<()> {
        let issuer = self.clone();
        tokio::spawn(async move { issuer.ask().await })
    }

    /// Asks for its keys, unless that was done lately, or somebody else has just done it.
    async fn ask(&self) {
        let mut not_before = self.0.not_before.lock().await;
        if self.0.clock.now() < *not_before {
            return;
        }
        let issuer = &self.0.settings.issuer.0;
        let fetched = fetch(&self.0.outbound, issuer, TIMEOUT).await;
        let now = self.0.clock.now();
        match fetched {
            Ok(published) => {
                let fresh_for = TimeDelta::from_std(published.fresh_for).unwrap_or(GOOD_FOR);
                let known =
                    Known { keys: published.keys, fresh_until: now + fresh_for, good_until: now + GOOD_FOR };
                *self.0.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
                *not_before = now + AGAIN_AFTER;
            }
            Err(error) => {
                *not_before = now + AGAIN_AFTER_FAILURE;
                tracing::warn!(
                    issuer = issuer.url(),
                    "the keys of the operators' identity provider cannot be fetched: {error}"
                );
            }
        }
    }
}

/// A claim by its name, or by its path.
fn claim<'c>(claims: &'c Value, name: &str) -> Option<&'c Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_role_has_scopes_of_operators() {
        let scopes = |text: &str| text.parse::<OperatorRole>().map(|role| (role.name, role.scopes));
        let support = scopes("support=tenants:read, tenants:impersonate").unwrap();
        assert_eq!(support, ("support".into(), [Scope::TenantsRead, Scope::TenantsImpersonate].into()));
        // What stands before the last sign is the role's name, whatever it is.
        assert_eq!(scopes("cn=admins=*").unwrap(), ("cn=admins".into(), Scope::operator()));
        for text in ["", "support", "=*", "support=", "support=tenants", "support=data:read", "support=**"] {
            assert!(scopes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn roles_are_in_a_claim_of_a_name_or_at_a_path() {
        let claims =
            json!({ "roles": "a", "https://example.com/roles": ["b"], "realm_access": { "roles": ["c"] } });
        assert_eq!(claim(&claims, "roles"), Some(&json!("a")));
        assert_eq!(claim(&claims, "https://example.com/roles"), Some(&json!(["b"])));
        assert_eq!(claim(&claims, "/realm_access/roles"), Some(&json!(["c"])));
        assert_eq!(claim(&claims, "/realm_access/else"), None);
    }
}
