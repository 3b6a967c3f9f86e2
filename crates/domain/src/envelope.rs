//! Envelope encryption: what the registry keeps secret is sealed with a data key per tenant (or
//! server), and the data key is wrapped by the key-encryption key, which is never stored.
//!
//! AES-256-GCM with a random 96-bit nonce in front of the ciphertext. The purpose is bound in as
//! associated data, so that a sealed value cannot be put in another's place.

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use rand::Rng;
use secrecy::{ExposeSecret, ExposeSecretMut, SecretBox};
use sha2::{Digest, Sha256};

use crate::Invalid;

const NONCE_LEN: usize = 12;

/// 32 bytes that seal and open.
pub struct Key {
    bytes: SecretBox<[u8; 32]>,
    /// Opens what this one does not: a key that is being replaced, or is about to take its place.
    also: Option<Box<Key>>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key([redacted])")
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        Self { also: self.also.clone(), ..Self::from_bytes(self.bytes.expose_secret()) }
    }
}

/// A few letters by which a key can be told from others, and not be found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFingerprint(String);

impl KeyFingerprint {
    /// A fingerprint as it is stored.
    pub(crate) fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The fingerprint, in hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A sealed value does not open: another key, another purpose, or altered bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value does not open: is TENANTRY_KEK the key it was sealed with?")]
pub struct Unsealable;

impl Key {
    /// A new random key.
    pub fn generate(rng: &mut impl Rng) -> Self {
        let mut key = Self::from_bytes(&[0; 32]);
        rng.fill_bytes(key.bytes.expose_secret_mut());
        key
    }

    /// A key of these bytes.
    ///
    /// # Errors
    /// They are not 32.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Invalid> {
        <&[u8; 32]>::try_from(bytes).map(Self::from_bytes).map_err(|_| Invalid::because("must have 32 bytes"))
    }

    /// Reads a key-encryption key as configured: 32 bytes in base64.
    ///
    /// # Errors
    /// The text is not base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, Invalid> {
        let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map(|bytes| Self::from_bytes(&bytes)).ok_or_else(|| {
            Invalid::because("must be 32 bytes in base64 (make one with `openssl rand -base64 32`)")
        })
    }

    /// The key in base64, to keep it in a file.
    pub fn to_base64(&self) -> secrecy::SecretString {
        STANDARD.encode(self.bytes.expose_secret()).into()
    }

    /// The first 48 bits of a hash of the key.
    pub fn fingerprint(&self) -> KeyFingerprint {
        let hash = Sha256::new()
            .chain_update(b"tenantry key fingerprint")
            .chain_update(self.bytes.expose_secret())
            .finalize();
        KeyFingerprint(hash.iter().take(6).fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
    }

    /// A password for a purpose: 64 letters, the same each time, from which nobody finds the key.
    pub fn derive_text(&self, purpose: &str) -> secrecy::SecretString {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.bytes.expose_secret()).expect("any length is a key");
        mac.update(b"tenantry derived text");
        mac.update(purpose.as_bytes());
        let bytes = mac.finalize().into_bytes();
        bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")).into()
    }

    fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self { bytes: SecretBox::new(Box::new(*bytes)), also: None }
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.bytes.expose_secret().into())
    }

    /// Seals a value for a purpose, e.g. `tenant-role:<tenant id>`.
    pub fn seal(&self, purpose: &str, value: &[u8], rng: &mut impl Rng) -> Vec<u8> {
        let mut nonce = [0u8; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let sealed = self
            .cipher()
            .encrypt(&nonce.into(), Payload { msg: value, aad: purpose.as_bytes() })
            .expect("AES-GCM seals anything shorter than 64 GiB");
        [nonce.as_slice(), &sealed].concat()
    }

    /// The same key, which opens what another one has sealed too, and seals nothing with it.
    #[must_use]
    pub fn opening_also(self, other: Self) -> Self {
        Self { also: Some(Box::new(other)), ..self }
    }

    /// Seals anew, with this key, what another one has sealed that opens too; none: this key has sealed it.
    ///
    /// # Errors
    /// As [`Key::open`].
    pub fn seal_anew(
        &self,
        purpose: &str,
        sealed: &[u8],
        rng: &mut impl Rng,
    ) -> Result<Option<Vec<u8>>, Unsealable> {
        if self.open_alone(purpose, sealed).is_ok() {
            return Ok(None);
        }
        let value = self.open(purpose, sealed)?;
        Ok(Some(self.seal(purpose, value.expose_secret(), rng)))
    }

    /// Opens a sealed value.
    ///
    /// # Errors
    /// It was sealed with another key or for another purpose, or was altered.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<SecretBox<Vec<u8>>, Unsealable> {
        self.open_alone(purpose, sealed)
            .or_else(|error| self.also.as_ref().ok_or(error)?.open(purpose, sealed))
    }

    fn open_alone(&self, purpose: &str, sealed: &[u8]) -> Result<SecretBox<Vec<u8>>, Unsealable> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(Unsealable)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| Unsealable)?;
        self.cipher()
            .decrypt(&nonce.into(), Payload { msg: sealed, aad: purpose.as_bytes() })
            .map(|value| SecretBox::new(Box::new(value)))
            .map_err(|_| Unsealable)
    }

    /// Opens a sealed text, e.g. a password.
    ///
    /// # Errors
    /// As [`Key::open`].
    pub fn open_text(&self, purpose: &str, sealed: &[u8]) -> Result<secrecy::SecretString, Unsealable> {
        let value = self.open(purpose, sealed)?;
        std::str::from_utf8(value.expose_secret()).map(Into::into).map_err(|_| Unsealable)
    }

    /// Wraps a data key with this key-encryption key.
    pub fn wrap(&self, purpose: &str, data_key: &Key, rng: &mut impl Rng) -> Vec<u8> {
        self.seal(purpose, data_key.bytes.expose_secret(), rng)
    }

    /// Unwraps a data key.
    ///
    /// # Errors
    /// As [`Key::open`].
    pub fn unwrap(&self, purpose: &str, wrapped: &[u8]) -> Result<Key, Unsealable> {
        let bytes = self.open(purpose, wrapped)?;
        <&[u8; 32]>::try_from(bytes.expose_secret().as_slice()).map(Self::from_bytes).map_err(|_| Unsealable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_with_its_key_and_purpose_only() {
        let mut rng = rand::rng();
        let (key, other) = (Key::generate(&mut rng), Key::generate(&mut rng));
        let mut sealed = key.seal("a", b"secret", &mut rng);
        assert_eq!(key.open_text("a", &sealed).unwrap().expose_secret(), "secret");
        assert!(key.open("b", &sealed).is_err());
        assert!(other.open("a", &sealed).is_err());
        *sealed.last_mut().unwrap() ^= 1;
        assert!(key.open("a", &sealed).is_err());
        assert!(key.open("a", b"short").is_err());
    }

    #[test]
    fn a_key_opens_what_another_has_sealed_and_seals_it_anew() {
        let mut rng = rand::rng();
        let (old, new) = (Key::generate(&mut rng), Key::generate(&mut rng));
        let both = new.clone().opening_also(old.clone()).clone();
        let sealed = old.seal("a", b"secret", &mut rng);
        assert_eq!(both.open_text("a", &sealed).unwrap().expose_secret(), "secret");
        assert!(
            new.seal_anew("a", &sealed, &mut rng).is_err() && both.seal_anew("b", &sealed, &mut rng).is_err()
        );
        let anew = both.seal_anew("a", &sealed, &mut rng).unwrap().unwrap();
        assert_eq!(new.open_text("a", &anew).unwrap().expose_secret(), "secret");
        assert!(old.open("a", &anew).is_err());
        assert_eq!(both.seal_anew("a", &anew, &mut rng), Ok(None));
    }

    #[test]
    fn a_data_key_survives_wrapping() {
        let mut rng = rand::rng();
        let (kek, data_key) = (Key::generate(&mut rng), Key::generate(&mut rng));
        let wrapped = kek.wrap("tenant", &data_key, &mut rng);
        let unwrapped = kek.unwrap("tenant", &wrapped).unwrap();
        let sealed = data_key.seal("p", b"x", &mut rng);
        assert_eq!(unwrapped.open_text("p", &sealed).unwrap().expose_secret(), "x");
    }

    #[test]
    fn a_configured_key_has_32_bytes() {
        let key = Key::generate(&mut rand::rng());
        assert!(Key::from_base64(key.to_base64().expose_secret()).is_ok());
        assert!(Key::from_base64("c2hvcnQ=").is_err());
    }
}
