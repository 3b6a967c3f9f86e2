//! Hashing passwords: Argon2id with the parameters that OWASP names first (19 MiB, two passes), some 20 ms each.

use std::time::Duration;

use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use secrecy::{ExposeSecret, SecretString};
use tenantry_domain::{ids::TenantId, user::Password};
use tokio::time::timeout;

use super::UsersError;
use crate::turns::Turns;

/// How long somebody waits for his turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Hashes and checks, a few at a time, the tenants in turn.
#[derive(Debug)]
pub(super) struct Passwords {
    turns: Turns,
    /// For whom is not there: it takes as long to say no.
    nobody: String,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self { turns: Turns::new(), nobody: hashed("nobody's password") }
    }

    /// The hash of a new password, in PHC's form.
    pub(super) async fn hash(&self, tenant: TenantId, password: &Password) -> Result<String, UsersError> {
        let turn = timeout(PATIENCE, self.turns.take(tenant)).await.map_err(|_| UsersError::Busy)?;
        Ok(turn.work(|| hashed(password.expose())))
    }

    /// Whether a password is that of a hash. Without one, no; it takes as long.
    pub(super) async fn is_right(
        &self,
        tenant: TenantId,
        given: &SecretString,
        hash: Option<&str>,
    ) -> Result<bool, UsersError> {
        let turn = timeout(PATIENCE, self.turns.take(tenant)).await.map_err(|_| UsersError::Busy)?;
        // Nor does it tell who has none yet.
        let hash = hash.filter(|hash| PasswordHash::new(hash).is_ok());
        let against = hash.unwrap_or(&self.nobody);
        let is_right = turn.work(|| {
            PasswordHash::new(against).is_ok_and(|hash| {
                Argon2::default().verify_password(given.expose_secret().as_bytes(), &hash).is_ok()
            })
        });
        Ok(is_right && hash.is_some())
    }
}

fn hashed(password: &str) -> String {
    let hash: PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .expect("the operating system gives a salt, and no password is too long");
    hash.to_string()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn only_the_password_of_a_hash_is_right_and_nobody_has_one() {
        let passwords = Passwords::new();
        let tenant = TenantId::from_uuid(Uuid::from_u128(1));
        let chosen = Password::choose("correct horse".to_owned().into()).unwrap();
        let hash = passwords.hash(tenant, &chosen).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(passwords.hash(tenant, &chosen).await.unwrap(), hash);
        for (given, hash, right) in [
            ("correct horse", Some(hash.as_str()), true),
            ("correct horsf", Some(&hash), false),
            ("", Some(&hash), false),
            ("correct horse", None, false),
            ("nobody's password", None, false),
            ("x", Some("no hash"), false),
        ] {
            let is_right = passwords.is_right(tenant, &given.to_owned().into(), hash).await.unwrap();
            assert_eq!(is_right, right, "{given}");
        }
    }
}
