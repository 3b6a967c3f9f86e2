//! Public keys that sign tokens, as JSON Web Keys (RFC 7517).

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Invalid;

/// Keys that one issuer may have.
const MAX_KEYS: usize = 20;
/// Members that only private and symmetric keys have.
const PRIVATE: [&str; 8] = ["d", "k", "p", "q", "dp", "dq", "qi", "oth"];

/// A JSON Web Key Set of public keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwks {
    /// The keys.
    pub keys: Vec<Jwk>,
}

/// A public key. Members that mean nothing here are let pass, as RFC 7517 wants it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kty")]
pub enum Jwk {
    /// Signs with `RS256`.
    #[serde(rename = "RSA")]
    Rsa {
        /// By which tokens name it.
        kid: Box<str>,
        /// The modulus, in base64url.
        n: Box<str>,
        /// The exponent, in base64url.
        e: Box<str>,
        /// `RS256`.
        #[serde(default, skip_serializing)]
        alg: Option<Box<str>>,
        /// `sig`.
        #[serde(default, rename = "use", skip_serializing)]
        usage: Option<Box<str>>,
    },
    /// P-256: signs with `ES256`.
    #[serde(rename = "EC")]
    Ec {
        /// By which tokens name it.
        kid: Box<str>,
        /// `P-256`.
        crv: Box<str>,
        /// A coordinate, in base64url.
        x: Box<str>,
        /// The other.
        y: Box<str>,
        /// `ES256`.
        #[serde(default, skip_serializing)]
        alg: Option<Box<str>>,
        /// `sig`.
        #[serde(default, rename = "use", skip_serializing)]
        usage: Option<Box<str>>,
    },
    /// Ed25519: signs with `EdDSA`.
    #[serde(rename = "OKP")]
    Okp {
        /// By which tokens name it.
        kid: Box<str>,
        /// `Ed25519`.
        crv: Box<str>,
        /// The key, in base64url.
        x: Box<str>,
        /// `EdDSA`.
        #[serde(default, skip_serializing)]
        alg: Option<Box<str>>,
        /// `sig`.
        #[serde(default, rename = "use", skip_serializing)]
        usage: Option<Box<str>>,
    },
}

impl Jwk {
    /// By which tokens name it.
    pub fn kid(&self) -> &str {
        match self {
            Self::Rsa { kid, .. } | Self::Ec { kid, .. } | Self::Okp { kid, .. } => kid,
        }
    }

    /// Whether it is of a kind and size that tokens are checked with.
    fn is_usable(&self) -> bool {
        let (Self::Rsa { kid, alg, usage, .. }
        | Self::Ec { kid, alg, usage, .. }
        | Self::Okp { kid, alg, usage, .. }) = self;
        let (algorithm, fits) = match self {
            Self::Rsa { n, e, .. } => ("RS256", is_number(n, 342..=683) && is_number(e, 1..=16)),
            Self::Ec { crv, x, y, .. } => {
                ("ES256", &**crv == "P-256" && is_number(x, 43..=43) && is_number(y, 43..=43))
            }
            Self::Okp { crv, x, .. } => ("EdDSA", &**crv == "Ed25519" && is_number(x, 43..=43)),
        };
        fits
            && !kid.is_empty()
            && kid.len() <= 200
            // PostgreSQL keeps no NUL.
            && !kid.chars().any(char::is_control)
            && alg.as_deref().is_none_or(|alg| alg == algorithm)
            && usage.as_deref().is_none_or(|usage| usage == "sig")
    }
}

impl Jwks {
    /// The key of this name.
    pub fn find(&self, kid: &str) -> Option<&Jwk> {
        self.keys.iter().find(|key| key.kid() == kid)
    }

    /// Checks keys that somebody has written here, of which each must be one that counts.
    ///
    /// # Errors
    /// There are too many, two have one name, or one is of another kind.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.keys.len() > MAX_KEYS || !self.keys.iter().all(Jwk::is_usable) {
            return Err(Invalid::because(
                "must have at most 20 keys with a kid each, for signatures: RSA of 2048 to 4096 bits, P-256 or Ed25519",
            ));
        }
        if self
            .keys
            .iter()
            .enumerate()
            .any(|(nth, key)| self.keys[..nth].iter().any(|other| other.kid() == key.kid()))
        {
            return Err(Invalid::because("must have a kid of its own for each key"));
        }
        Ok(())
    }

    /// Reads the keys that an issuer publishes. Those of kinds that are not used here are left out: issuers have more than
    /// one use for keys.
    ///
    /// # Errors
    /// It is no key set, a key in it is private or symmetric, or what is left breaks [`Jwks::check`] or is nothing.
    pub fn published(document: &[u8]) -> Result<Self, Invalid> {
        #[derive(Deserialize)]
        struct Published {
            keys: Vec<Value>,
        }
        let Published { keys } = serde_json::from_slice(document)
            .map_err(|_| Invalid::because("is no JSON Web Key Set: an object with the list `keys`"))?;
        if keys.iter().any(is_secret) {
            // Whoever else reads the document could sign tokens.
            return Err(Invalid::because("has a private or symmetric key"));
        }
        let keys = keys.into_iter().filter_map(|key| Jwk::deserialize(key).ok()).filter(Jwk::is_usable);
        let usable = Self { keys: keys.collect() };
        usable.check()?;
        if usable.keys.is_empty() {
            return Err(Invalid::because(
                "has no key with a kid for signatures: RSA of 2048 to 4096 bits, P-256 or Ed25519",
            ));
        }
        Ok(usable)
    }
}

/// Whether a text is base64url of as many characters.
fn is_number(text: &str, lengths: RangeInclusive<usize>) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Whether a key is one that nobody else may know.
pub(crate) fn is_secret(key: &Value) -> bool {
    PRIVATE.iter().any(|member| key.get(member).is_some()) || key.get("kty").is_some_and(|kty| kty == "oct")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn published(keys: &Value) -> Result<Vec<String>, Invalid> {
        let read = Jwks::published(json!({ "keys": keys }).to_string().as_bytes())?;
        Ok(read.keys.iter().map(|key| key.kid().to_owned()).collect())
    }

    fn ed25519(kid: &str) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": "A".repeat(43), "x5c": ["else"] })
    }

    #[test]
    fn keys_of_other_uses_are_left_out_of_what_an_issuer_publishes() {
        let rsa = |kid: &str, usage: &str, alg: &str| json!({ "kty": "RSA", "kid": kid, "use": usage, "alg": alg, "n": "A".repeat(342), "e": "AQAB" });
        let keys = json!([
            ed25519("a"),
            rsa("b", "sig", "RS256"),
            rsa("c", "enc", "RSA-OAEP"),
            rsa("d", "sig", "PS256"),
            { "kty": "EC", "crv": "P-384", "kid": "e", "x": "A", "y": "A" },
            { "kty": "OKP", "crv": "Ed25519", "x": "A".repeat(43) },
            ed25519("a\u{0}"),
            { "kty": "OKP", "crv": "Ed25519", "kid": "g", "x": "\u{0}".repeat(43) },
            { "kty": "AKP", "kid": "f", "pub": "A" },
            7,
        ]);
        assert_eq!(published(&keys), Ok(vec!["a".into(), "b".into()]));
    }

    #[test]
    fn private_and_symmetric_keys_too_many_and_none_are_refused() {
        let mut private = ed25519("a");
        private["d"] = json!("x");
        let many: Vec<Value> = (0..21).map(|nth| ed25519(&nth.to_string())).collect();
        for keys in [
            json!([ed25519("b"), private]),
            json!([ed25519("b"), { "kty": "oct", "kid": "a", "k": "c2VjcmV0" }]),
            json!([ed25519("b"), { "kty": "oct", "kid": "a" }]),
            json!([{ "kty": "RSA", "kid": "a", "n": "A".repeat(342), "e": "AQAB", "p": "x" }]),
            json!([ed25519("a"), ed25519("a")]),
            json!(many),
            json!([]),
            json!({}),
        ] {
            assert!(published(&keys).is_err(), "{keys}");
        }
        for document in ["", "[]", "{}", "<html>", r#"{"keys":[}"#] {
            assert!(Jwks::published(document.as_bytes()).is_err(), "{document}");
        }
    }
}
