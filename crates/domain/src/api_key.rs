//! API keys. Only their hashes are stored; the key itself is shown once.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ids::{ApiKeyId, TenantId};

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Read tenants.
    #[serde(rename = "tenants:read")]
    TenantsRead,
    /// Create, change and delete tenants.
    #[serde(rename = "tenants:write")]
    TenantsWrite,
    /// Reveal a tenant's database password.
    #[serde(rename = "tenants:secrets")]
    TenantsSecrets,
    /// Act in a tenant's data for support.
    #[serde(rename = "tenants:impersonate")]
    TenantsImpersonate,
    /// Read plans.
    #[serde(rename = "plans:read")]
    PlansRead,
    /// Change plans.
    #[serde(rename = "plans:write")]
    PlansWrite,
    /// Read servers.
    #[serde(rename = "servers:read")]
    ServersRead,
    /// Register and change servers.
    #[serde(rename = "servers:write")]
    ServersWrite,
    /// Read apps.
    #[serde(rename = "apps:read")]
    AppsRead,
    /// Push app versions.
    #[serde(rename = "apps:write")]
    AppsWrite,
    /// Read rollouts.
    #[serde(rename = "rollouts:read")]
    RolloutsRead,
    /// Start and steer rollouts.
    #[serde(rename = "rollouts:write")]
    RolloutsWrite,
    /// Read operations.
    #[serde(rename = "operations:read")]
    OperationsRead,
    /// Retry and cancel operations.
    #[serde(rename = "operations:write")]
    OperationsWrite,
    /// Abandon operations that are stuck.
    #[serde(rename = "operations:abandon")]
    OperationsAbandon,
    /// Read keys.
    #[serde(rename = "keys:read")]
    KeysRead,
    /// Make and revoke keys.
    #[serde(rename = "keys:write")]
    KeysWrite,
    /// Read webhooks and their deliveries.
    #[serde(rename = "webhooks:read")]
    WebhooksRead,
    /// Make, change and delete webhooks, and have deliveries repeated.
    #[serde(rename = "webhooks:write")]
    WebhooksWrite,
    /// Read events.
    #[serde(rename = "events:read")]
    EventsRead,
    /// Read the audit log.
    #[serde(rename = "audit:read")]
    AuditRead,
    /// Read a tenant's data (tenant keys only).
    #[serde(rename = "data:read")]
    DataRead,
    /// Change a tenant's data (tenant keys only).
    #[serde(rename = "data:write")]
    DataWrite,
}

crate::names_of! { Scope {
    TenantsRead = "tenants:read", TenantsWrite = "tenants:write", TenantsSecrets = "tenants:secrets",
    TenantsImpersonate = "tenants:impersonate",
    PlansRead = "plans:read", PlansWrite = "plans:write",
    ServersRead = "servers:read", ServersWrite = "servers:write",
    AppsRead = "apps:read", AppsWrite = "apps:write",
    RolloutsRead = "rollouts:read", RolloutsWrite = "rollouts:write",
    OperationsRead = "operations:read", OperationsWrite = "operations:write",
    OperationsAbandon = "operations:abandon",
    KeysRead = "keys:read", KeysWrite = "keys:write",
    WebhooksRead = "webhooks:read", WebhooksWrite = "webhooks:write", EventsRead = "events:read",
    AuditRead = "audit:read",
    DataRead = "data:read", DataWrite = "data:write",
} }

impl Scope {
    /// Whether it is a scope of tenant keys (data plane) rather than of operators (control plane).
    pub const fn is_of_tenants(self) -> bool {
        matches!(self, Self::DataRead | Self::DataWrite)
    }

    /// All scopes of operators.
    pub fn operator() -> BTreeSet<Self> {
        Self::ALL.iter().copied().filter(|scope| !scope.is_of_tenants()).collect()
    }

    /// All scopes of tenants.
    pub fn tenant() -> BTreeSet<Self> {
        Self::ALL.iter().copied().filter(|scope| scope.is_of_tenants()).collect()
    }
}

/// The SHA-256 of a key: what is stored and compared. A key has 256 random bits, so that a plain
/// hash cannot be turned around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of a key as it was presented.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// A hash that was stored; `None` if it has another length.
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes, for storage.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        self.0.ct_eq(&other.0).into()
    }
}

/// A key, shown once, and its hash.
#[derive(Debug)]
pub struct NewKey {
    /// What the caller keeps.
    pub key: SecretString,
    /// What the registry keeps.
    pub hash: KeyHash,
}

/// A key that somebody chose cannot be used. A plain hash of it is stored (see [`KeyHash`]), so it must be
/// as hard to guess as a random one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakKey {
    /// It has this many characters.
    #[error("it has {0} characters and must have at least {min}; make one with `openssl rand -hex 32`", min = Self::MIN_LEN)]
    Short(usize),
    /// It repeats a few characters.
    #[error("it repeats a few characters; make one with `openssl rand -hex 32`")]
    Repetitive,
    /// It holds spaces, control characters or letters that are not ASCII.
    #[error("it must be of visible ASCII characters without spaces, to be sent in a header")]
    Unsendable,
}

impl WeakKey {
    /// 32 hexadecimal digits hold 128 random bits.
    const MIN_LEN: usize = 32;
    /// 32 random hexadecimal digits have fewer than this once in millions of keys.
    const MIN_DIFFERENT: usize = 6;
}

/// How every key of Tenantry begins, so that secret scanners can find a leaked one.
const PREFIX: &str = "tnt_";

impl NewKey {
    /// A key for the control plane.
    pub fn operator(rng: &mut impl Rng) -> Self {
        Self::from_text(format!("{PREFIX}{}", secret(rng)))
    }

    /// A key for one tenant's data. It names its tenant, as a token's claim would.
    pub fn tenant(tenant: TenantId, rng: &mut impl Rng) -> Self {
        Self::from_text(format!("{PREFIX}{}_{}", tenant.as_uuid().simple(), secret(rng)))
    }

    /// A key that somebody chose (the bootstrap key).
    ///
    /// # Errors
    /// It could be guessed, or cannot be sent in a header.
    pub fn given(key: &SecretString) -> Result<Self, WeakKey> {
        let text = key.expose_secret();
        if text.len() < WeakKey::MIN_LEN {
            return Err(WeakKey::Short(text.len()));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(WeakKey::Unsendable);
        }
        if text.bytes().collect::<BTreeSet<u8>>().len() < WeakKey::MIN_DIFFERENT {
            return Err(WeakKey::Repetitive);
        }
        Ok(Self { hash: KeyHash::of(text), key: key.clone() })
    }

    fn from_text(text: String) -> Self {
        Self { hash: KeyHash::of(&text), key: text.into() }
    }
}

fn secret(rng: &mut impl Rng) -> String {
    let mut bytes = [0u8; 32];
    rng.fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The tenant that a presented key claims to belong to. A claim, not a proof: compare the hash.
pub fn claimed_tenant(key: &str) -> Option<TenantId> {
    let (tenant, rest) = key.strip_prefix(PREFIX)?.split_at_checked(32)?;
    rest.strip_prefix('_')?;
    Uuid::try_parse(tenant).ok().map(TenantId::from_uuid)
}

/// A key as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// The tenant whose data it opens; none for a key of the control plane.
    pub tenant_id: Option<TenantId>,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// When it stops working.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl ApiKey {
    /// Whether it still works.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_s_key_names_its_tenant_and_an_operator_s_does_not() {
        let mut rng = rand::rng();
        let tenant = TenantId::from_uuid(Uuid::from_u128(7));
        let key = NewKey::tenant(tenant, &mut rng);
        assert_eq!(claimed_tenant(key.key.expose_secret()), Some(tenant));
        assert_eq!(claimed_tenant(NewKey::operator(&mut rng).key.expose_secret()), None);
        for text in ["", "tnt_", "tnt_é", "x"] {
            assert_eq!(claimed_tenant(text), None);
        }
    }

    #[test]
    fn a_chosen_key_must_be_as_hard_to_guess_as_a_made_one() {
        let given = |text: &str| NewKey::given(&text.to_owned().into()).map(|_| ());
        assert_eq!(given("abc"), Err(WeakKey::Short(3)));
        assert_eq!(given(&"a".repeat(64)), Err(WeakKey::Repetitive));
        assert_eq!(given("0123456789abcdef 0123456789abcdef"), Err(WeakKey::Unsendable));
        assert_eq!(given("0123456789abcdef0123456789abcdef"), Ok(()));
        let made = NewKey::operator(&mut rand::rng());
        assert_eq!(given(made.key.expose_secret()), Ok(()));
        assert!(WeakKey::Short(3).to_string().contains("openssl rand"));
    }

    #[test]
    fn a_key_matches_its_own_hash_only() {
        let mut rng = rand::rng();
        let (a, b) = (NewKey::operator(&mut rng), NewKey::operator(&mut rng));
        assert!(KeyHash::of(a.key.expose_secret()).matches(&a.hash));
        assert!(!a.hash.matches(&b.hash));
    }
}
