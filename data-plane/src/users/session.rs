//! A log-in: its refresh token, and the access tokens that come of it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tenantry_domain::ids::SessionId;
use uuid::Uuid;

use super::{StoredUser, UsersError};
use tenantry_tokens::{Holder, Subject};

use crate::{routes::CachedRoute, state::Plane};

/// So that secret scanners find one that leaked.
const PREFIX: &str = "tnr_";

/// What a user gets who is let in.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) access: SecretString,
    pub(crate) refresh: SecretString,
}

/// A token that gets new ones, once: it names its session, and holds 256 random bits of which only the hash is kept.
#[derive(Debug)]
pub(super) struct RefreshToken {
    pub(super) session: SessionId,
    pub(super) text: SecretString,
}

impl RefreshToken {
    /// The next one of a session.
    pub(super) fn new(session: SessionId) -> Self {
        let mut secret = [0; 32];
        rand::rng().fill_bytes(&mut secret);
        let secret = URL_SAFE_NO_PAD.encode(secret);
        Self { session, text: format!("{PREFIX}{}_{secret}", session.as_uuid().simple()).into() }
    }

    /// One as it was presented.
    pub(super) fn read(text: SecretString) -> Option<Self> {
        let (session, secret) = text.expose_secret().strip_prefix(PREFIX)?.split_once('_')?;
        let session = Uuid::try_parse(session).ok().filter(|_| session.len() == 32 && secret.len() == 43)?;
        Some(Self { session: SessionId::from_uuid(session), text })
    }

    /// What is kept of it, in hexadecimal.
    pub(super) fn hash(&self) -> String {
        let hash = Sha256::digest(self.text.expose_secret().as_bytes());
        hash.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
    }
}

/// For how long nobody need log in again who refreshes in time: an `interval`.
pub(super) fn idle(route: &CachedRoute) -> String {
    format!("{} seconds", route.users.session_timeout)
}

/// The tokens of a session, from before it was begun or renewed.
pub(super) fn tokens(
    plane: &Plane,
    route: &CachedRoute,
    user: StoredUser,
    refresh: RefreshToken,
    now: DateTime<Utc>,
) -> Result<Tokens, UsersError> {
    let StoredUser { id, username, roles } = user;
    let subject = Subject { holder: Holder::User(id), username, roles, session: refresh.session };
    let access = plane.users.issuer.issue(route, subject, now)?;
    Ok(Tokens { access: access.into(), refresh: refresh.text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_names_its_session_and_only_its_hash_is_kept() {
        let session = SessionId::from_uuid(Uuid::from_u128(7));
        let (one, other) = (RefreshToken::new(session), RefreshToken::new(session));
        assert_ne!(one.hash(), other.hash());
        let read = RefreshToken::read(one.text.clone()).unwrap();
        assert_eq!((read.session, read.hash()), (session, one.hash()));
        for text in ["", "tnr_", "tnr_x_y", "tnt_x", "tnr_00000000000000000000000000000007", "tnr_é"] {
            assert!(RefreshToken::read(text.to_owned().into()).is_none(), "{text}");
        }
    }
}
