//! What a server keeps of a password. Computed here, so that no server ever sees the password
//! itself, neither in a statement nor in its log.

use secrecy::{ExposeSecret, SecretString};

const VERIFIER_PREFIX: &str = "SCRAM-SHA-256$";

/// The SCRAM-SHA-256 verifier of a password, with a salt of its own. A secret that is a verifier
/// already (copied from another server when a tenant moves) is taken as it is.
pub(crate) fn verifier(secret: &SecretString) -> SecretString {
    let text = secret.expose_secret();
    if text.starts_with(VERIFIER_PREFIX) {
        secret.clone()
    } else {
        postgres_protocol::password::scram_sha_256(text.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_not_hashed_again() {
        let once = verifier(&"open sesame".into());
        assert!(once.expose_secret().starts_with(VERIFIER_PREFIX));
        assert_eq!(verifier(&once).expose_secret(), once.expose_secret());
    }
}
