//! The keys that sign the access tokens of a tenant's users: Ed25519, a pair per tenant and rotation.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use rand::Rng;
use secrecy::{ExposeSecret, SecretSlice};
use sha2::{Digest, Sha256};

use crate::{Invalid, envelope::Key, ids::TenantId, purpose::Purpose};

/// The `kid` of a key: the thumbprint of its public half (RFC 7638), so that no two keys share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyId(Box<str>);

impl KeyId {
    fn of(public: &[u8; 32]) -> Self {
        let x = URL_SAFE_NO_PAD.encode(public);
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        Self(URL_SAFE_NO_PAD.encode(Sha256::digest(members)).into())
    }

    /// Reads a `kid` that was stored.
    ///
    /// # Errors
    /// It is not 43 characters of base64url.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if text.len() == 43 && text.bytes().all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(Invalid::because("must be 43 characters of base64url"))
        }
    }

    /// The `kid`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pair that was just made.
#[derive(Debug)]
pub struct NewSigningKey {
    /// Its `kid`.
    pub id: KeyId,
    /// The public half.
    pub public: [u8; 32],
    /// The private half, as PKCS #8 in DER.
    pub private: SecretSlice<u8>,
}

impl NewSigningKey {
    /// A new random pair.
    pub fn generate(rng: &mut impl Rng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let key = SigningKey::from_bytes(&seed);
        let public = key.verifying_key().to_bytes();
        let private = key.to_pkcs8_der().expect("every key has this form").as_bytes().to_vec();
        Self { id: KeyId::of(&public), public, private: private.into() }
    }
}

/// A pair as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSigningKey {
    /// Its `kid`.
    pub id: KeyId,
    /// The public half.
    pub public: [u8; 32],
    /// The private half, sealed with the key-encryption key.
    pub private: Vec<u8>,
}

impl SealedSigningKey {
    /// A new random pair of a tenant's.
    pub fn generate(tenant: TenantId, kek: &Key, rng: &mut impl Rng) -> Self {
        let NewSigningKey { id, public, private } = NewSigningKey::generate(rng);
        let purpose = Purpose::SigningKey(tenant, &id).to_string();
        let private = kek.seal(&purpose, private.expose_secret(), rng);
        Self { id, public, private }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_s_id_is_the_thumbprint_of_its_public_half() {
        // RFC 8037, appendix A.3.
        let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let id = KeyId::of(&x.try_into().unwrap());
        assert_eq!(id.as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(KeyId::parse(id.as_str()), Ok(id));
    }

    #[test]
    fn every_pair_is_another() {
        let mut rng = rand::rng();
        let (one, other) = (NewSigningKey::generate(&mut rng), NewSigningKey::generate(&mut rng));
        assert_ne!(one.id, other.id);
        assert_ne!(one.public, other.public);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "a", &"ä".repeat(43), &"a".repeat(44), &format!("{}'", "a".repeat(42))] {
            assert!(KeyId::parse(text).is_err(), "{text}");
        }
    }
}
