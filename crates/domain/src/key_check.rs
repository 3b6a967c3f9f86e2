//! Telling the right key-encryption key from a wrong one, before anything is sealed with it.

use rand::Rng;

use crate::{
    envelope::{Key, KeyFingerprint},
    purpose::Purpose,
};

/// What is sealed; that it is known does not weaken the key.
const KNOWN_TEXT: &[u8] = b"tenantry";

/// A known text sealed with the key-encryption key of a registry, and that key's fingerprint.
#[derive(Debug, Clone)]
pub struct KeyCheck {
    fingerprint: KeyFingerprint,
    sealed: Vec<u8>,
}

/// The key at hand is not the one that the registry's secrets are sealed with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the key-encryption key is another one than the registry's: the one given has the fingerprint {given}, the \
     registry's has {expected}; set TENANTRY_KEK or TENANTRY_KEK_FILE to that one"
)]
pub struct WrongKey {
    /// Of the key at hand.
    pub given: KeyFingerprint,
    /// Of the registry's key.
    pub expected: KeyFingerprint,
}

impl KeyCheck {
    /// The check value of a key.
    pub fn of(key: &Key, rng: &mut impl Rng) -> Self {
        let sealed = key.seal(&Purpose::KeyCheck.to_string(), KNOWN_TEXT, rng);
        Self { fingerprint: key.fingerprint(), sealed }
    }

    /// A check value as it is stored.
    pub fn from_stored(fingerprint: String, sealed: Vec<u8>) -> Self {
        Self { fingerprint: KeyFingerprint::from_stored(fingerprint), sealed }
    }

    /// The fingerprint of its key.
    pub fn fingerprint(&self) -> &KeyFingerprint {
        &self.fingerprint
    }

    /// The sealed text.
    pub fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    /// Whether this is the check value of a key.
    ///
    /// # Errors
    /// It is another key's.
    pub fn verify(&self, key: &Key) -> Result<(), WrongKey> {
        key.open(&Purpose::KeyCheck.to_string(), &self.sealed)
            .map(drop)
            .map_err(|_| WrongKey { given: key.fingerprint(), expected: self.fingerprint.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_value_knows_its_key_and_names_both_of_two() {
        let mut rng = rand::rng();
        let (key, other) = (Key::generate(&mut rng), Key::generate(&mut rng));
        let check = KeyCheck::of(&key, &mut rng);
        let stored = KeyCheck::from_stored(check.fingerprint().to_string(), check.sealed().to_vec());
        assert_eq!(stored.verify(&key), Ok(()));
        let wrong = stored.verify(&other).unwrap_err();
        assert_eq!((wrong.given, wrong.expected), (other.fingerprint(), key.fingerprint()));
    }
}
