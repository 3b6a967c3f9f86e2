//! Signing tokens.

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use tenantry_domain::{envelope, ids::SessionId, purpose::Purpose, route::Route, user::Role};

use super::{
    LIFETIME,
    claims::{AUDIENCE, Claims, issuer},
};

/// Who logs in.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) id: i64,
    pub(crate) username: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) session: SessionId,
}

/// Why no token could be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    #[error("the tenant has no key to sign with yet")]
    NoKey,
    #[error("the tenant's key cannot be opened")]
    Sealed(#[from] envelope::Unsealable),
    #[error("the token cannot be signed")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

/// For how long an access token is good: no longer than its session may rest.
pub(crate) fn lifetime(route: &Route) -> TimeDelta {
    LIFETIME.min(TimeDelta::seconds(route.users.session_timeout.into()))
}

/// Signs tokens with the tenants' own keys.
#[derive(Debug)]
pub(crate) struct Issuer {
    kek: envelope::Key,
}

impl Issuer {
    /// `kek` opens the tenants' keys.
    pub(crate) fn new(kek: envelope::Key) -> Self {
        Self { kek }
    }

    /// A token for a user, by the tenant's newest key.
    pub(crate) fn issue(
        &self,
        route: &Route,
        subject: Subject,
        now: DateTime<Utc>,
    ) -> Result<String, IssueError> {
        let key = route.signing_keys.first().ok_or(IssueError::NoKey)?;
        let purpose = Purpose::SigningKey(route.tenant_id, &key.id).to_string();
        let private = self.kek.open(&purpose, &key.private)?;
        let private = EncodingKey::from_ed_der(private.expose_secret());
        let claims = Claims {
            iss: issuer(route.tenant_id),
            aud: AUDIENCE.to_owned(),
            sub: subject.id.to_string(),
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: (now + lifetime(route)).timestamp(),
            sid: subject.session,
            tenant_id: route.tenant_id,
            tenant_slug: route.slug.to_string(),
            username: subject.username,
            roles: subject.roles,
            features: route.features.iter().filter(|(_, on)| **on).map(|(name, _)| name.clone()).collect(),
        };
        let header = Header { kid: Some(key.id.to_string()), ..Header::new(Algorithm::EdDSA) };
        Ok(jsonwebtoken::encode(&header, &claims, &private)?)
    }
}
