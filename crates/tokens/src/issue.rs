//! Signing tokens.

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use tenantry_domain::{
    envelope,
    ids::{ApiKeyId, SessionId},
    purpose::Purpose,
    route::Route,
    user::Role,
};

use super::{
    LIFETIME,
    claims::{AUDIENCE, Actor, Claims, OPERATOR, SUPPORT, issuer},
};

/// Whose token it is to be.
#[derive(Debug)]
pub struct Subject {
    /// Who acts with it.
    pub holder: Holder,
    /// How he is called.
    pub username: String,
    /// What he is to the tenant.
    pub roles: Vec<Role>,
    /// The log-in that it comes of, by which it can be revoked.
    pub session: SessionId,
}

/// Who acts with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// One of the tenant's users.
    User(i64),
    /// Whoever supports the tenant.
    Support(Supporter),
}

/// By what somebody may support tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Supporter {
    /// An API key.
    Key(ApiKeyId),
    /// The operators' identity provider knows him by this subject.
    Operator(String),
}

/// Why no token could be signed.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// Its app has no users, or it is being made.
    #[error("the tenant has no key to sign with yet")]
    NoKey,
    /// The key-encryption key is another.
    #[error("the tenant's key cannot be opened")]
    Sealed(#[from] envelope::Unsealable),
    /// A defect.
    #[error("the token cannot be signed")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

/// For how long an access token is good: no longer than its session may rest.
pub fn lifetime(route: &Route) -> TimeDelta {
    LIFETIME.min(TimeDelta::seconds(route.users.session_timeout.into()))
}

/// Signs tokens with the tenants' own keys.
#[derive(Debug)]
pub struct Issuer {
    kek: envelope::Key,
}

impl Issuer {
    /// `kek` opens the tenants' keys.
    pub fn new(kek: envelope::Key) -> Self {
        Self { kek }
    }

    /// A token for somebody, by the tenant's newest key.
    ///
    /// # Errors
    /// The tenant has no key, or none that can be used.
    pub fn issue(&self, route: &Route, subject: Subject, now: DateTime<Utc>) -> Result<String, IssueError> {
        let key = route.signing_keys.first().ok_or(IssueError::NoKey)?;
        let purpose = Purpose::SigningKey(route.tenant_id, &key.id).to_string();
        let private = self.kek.open(&purpose, &key.private)?;
        let private = EncodingKey::from_ed_der(private.expose_secret());
        let (sub, act) = match subject.holder {
            Holder::User(id) => (id.to_string(), None),
            Holder::Support(Supporter::Key(key)) => {
                (format!("{SUPPORT}{key}"), Some(Actor { sub: format!("key:{key}") }))
            }
            Holder::Support(Supporter::Operator(subject)) => {
                let actor = format!("{OPERATOR}{subject}");
                (format!("{SUPPORT}{actor}"), Some(Actor { sub: actor }))
            }
        };
        let claims = Claims {
            iss: issuer(route.tenant_id),
            aud: AUDIENCE.to_owned(),
            sub,
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: (now + lifetime(route)).timestamp(),
            sid: subject.session,
            tenant_id: route.tenant_id,
            tenant_slug: route.slug.to_string(),
            username: subject.username,
            roles: subject.roles,
            act,
            features: route.features.iter().filter(|(_, on)| **on).map(|(name, _)| name.clone()).collect(),
        };
        let header = Header { kid: Some(key.id.to_string()), ..Header::new(Algorithm::EdDSA) };
        Ok(jsonwebtoken::encode(&header, &claims, &private)?)
    }
}
