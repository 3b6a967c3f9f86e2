//! Somebody else whose tokens count for a tenant: its own identity provider. `auth.issuers` of its configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Invalid, user::Role};

/// Issuers that a tenant may trust.
const MAX_ISSUERS: usize = 10;
/// Keys that one may have.
const MAX_KEYS: usize = 20;
/// Whose tokens are the tenant's own.
const OWN: &str = "urn:tenantry:";

/// An issuer of tokens, as `OpenID` Connect has them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustedIssuer {
    /// The `iss` of its tokens.
    pub issuer: Box<str>,
    /// The `aud` that its tokens for this tenant have.
    pub audience: Box<str>,
    /// Its public keys.
    pub jwks: Jwks,
    /// Where its tokens say what Tenantry wants to know.
    #[serde(default)]
    pub claims: ClaimNames,
    /// What its words for roles are here. Others count for nothing.
    #[serde(default)]
    pub roles: BTreeMap<Box<str>, Role>,
    /// The roles of everybody who has a token of it.
    #[serde(default)]
    pub default_roles: Vec<Role>,
}

/// Claims by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClaimNames {
    /// How the user is called.
    pub username: Box<str>,
    /// His roles: one, or a list.
    pub roles: Box<str>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self { username: "preferred_username".into(), roles: "roles".into() }
    }
}

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

    fn is_usable(&self) -> bool {
        let (Self::Rsa { kid, alg, usage, .. }
        | Self::Ec { kid, alg, usage, .. }
        | Self::Okp { kid, alg, usage, .. }) = self;
        let (algorithm, curve_fits) = match self {
            Self::Rsa { n, e, .. } => ("RS256", (342..=683).contains(&n.len()) && !e.is_empty()),
            Self::Ec { crv, x, y, .. } => ("ES256", &**crv == "P-256" && x.len() == 43 && y.len() == 43),
            Self::Okp { crv, x, .. } => ("EdDSA", &**crv == "Ed25519" && x.len() == 43),
        };
        curve_fits
            && !kid.is_empty()
            && kid.len() <= 200
            && alg.as_deref().is_none_or(|alg| alg == algorithm)
            && usage.as_deref().is_none_or(|usage| usage == "sig")
    }
}

impl TrustedIssuer {
    /// Reads the issuers as they are configured.
    ///
    /// # Errors
    /// It is no list of them, two have one name, or a key is of another kind.
    pub fn list_from_config(value: &Value) -> Result<Vec<Self>, Invalid> {
        let issuers = Vec::<Self>::deserialize(value).map_err(|error| Invalid::because(error.to_string()))?;
        let keys =
            value.as_array().into_iter().flatten().filter_map(|issuer| issuer["jwks"]["keys"].as_array());
        if keys.flatten().any(|key| {
            ["d", "k", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|private| key.get(private).is_some())
        }) {
            return Err(Invalid::because("must have no private keys"));
        }
        if issuers.len() > MAX_ISSUERS {
            return Err(Invalid::because("must name at most 10 issuers"));
        }
        for (nth, issuer) in issuers.iter().enumerate() {
            let name = &issuer.issuer;
            // A bar stands between issuer and subject where SQL sees them.
            if name.is_empty() || name.contains('|') || name.starts_with(OWN) || issuer.audience.is_empty() {
                return Err(Invalid::because("must have an issuer, not one of Tenantry's, and an audience"));
            }
            if issuers[..nth].iter().any(|other| other.issuer == *name) {
                return Err(Invalid::because(format!("names the issuer {name} twice")));
            }
            let keys = &issuer.jwks.keys;
            if keys
                .iter()
                .enumerate()
                .any(|(nth, key)| keys[..nth].iter().any(|other| other.kid() == key.kid()))
            {
                return Err(Invalid::because("must have a kid of its own for each key"));
            }
            if issuer.jwks.keys.len() > MAX_KEYS || !issuer.jwks.keys.iter().all(Jwk::is_usable) {
                return Err(Invalid::because(
                    "must have at most 20 keys with a kid each, for signatures: RSA of 2048 to 4096 bits, P-256 or Ed25519",
                ));
            }
        }
        Ok(issuers)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_issuer_has_a_name_an_audience_and_public_keys() {
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "A".repeat(43), "use": "sig" });
        let issuer = |keys: Value| json!({ "issuer": "https://id.acme.example", "audience": "crm", "jwks": { "keys": keys } });
        let fits = |value: Value| TrustedIssuer::list_from_config(&value).is_ok();
        assert!(fits(json!([])));
        assert!(fits(json!([issuer(json!([key]))])));
        let twice = issuer(json!([key]));
        assert!(!fits(json!([twice, twice])));
        let mut own = issuer(json!([key]));
        own["issuer"] = json!("urn:tenantry:tenant:1");
        assert!(!fits(json!([own])));
        for bad in [
            json!({ "kty": "oct", "kid": "1", "k": "c2VjcmV0" }),
            json!({ "kty": "OKP", "crv": "X25519", "kid": "1", "x": "A".repeat(43) }),
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "", "x": "A".repeat(43) }),
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "A".repeat(43), "d": "private" }),
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "A".repeat(43), "alg": "HS256" }),
            json!({ "kty": "EC", "crv": "P-256", "kid": "1", "x": "A".repeat(43) }),
            json!({ "kty": "RSA", "kid": "1", "n": "AQAB", "e": "AQAB" }),
        ] {
            assert!(!fits(json!([issuer(json!([bad]))])), "{bad}");
        }
    }
}
