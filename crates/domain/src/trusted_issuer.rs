//! Somebody else whose tokens count for a tenant: its own identity provider. `auth.issuers` of its configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Invalid,
    http_url::HttpUrl,
    jwk::{Jwks, is_secret},
    user::Role,
};

/// Issuers that a tenant may trust.
const MAX_ISSUERS: usize = 10;
/// Whose tokens are the tenant's own.
const OWN: &str = "urn:tenantry:";
/// What the subjects of tokens of support begin with, which SQL sees.
const SUPPORT: &str = "support:";

/// An issuer of tokens, as `OpenID` Connect has them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "Configured")]
pub struct TrustedIssuer {
    /// The `iss` of its tokens.
    pub issuer: Box<str>,
    /// The `aud` that its tokens for this tenant have.
    pub audience: Box<str>,
    /// Where its public keys come from.
    pub keys: IssuerKeys,
    /// Where its tokens say what Tenantry wants to know.
    pub claims: ClaimNames,
    /// What its words for roles are here. Others count for nothing.
    pub roles: BTreeMap<Box<str>, Role>,
    /// The roles of everybody who has a token of it.
    pub default_roles: Vec<Role>,
}

/// Where an issuer's public keys come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IssuerKeys {
    /// They are written in the configuration.
    Written(Jwks),
    /// Workers fetch them.
    Fetched(KeySource),
}

/// A document of an issuer that leads to its public keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeySource {
    kind: KeySourceKind,
    /// As it was configured.
    url: Box<str>,
    /// Where the first request goes.
    document: HttpUrl,
}

/// What kind of document it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeySourceKind {
    /// The key set itself.
    JwksUri,
    /// The issuer's name, below which its `OpenID` configuration is.
    Discovery,
}

crate::names_of! { KeySourceKind { JwksUri = "jwks_uri", Discovery = "discovery" } }

impl KeySource {
    /// A document at a URL.
    ///
    /// # Errors
    /// Requests cannot go there.
    pub fn parse(kind: KeySourceKind, url: &str) -> Result<Self, Invalid> {
        let read = HttpUrl::parse(url)?;
        let document = match kind {
            KeySourceKind::JwksUri => read,
            KeySourceKind::Discovery if read.as_url().query().is_some() => {
                return Err(Invalid::because("must have no query"));
            }
            KeySourceKind::Discovery => {
                HttpUrl::parse(&format!("{}/.well-known/openid-configuration", url.trim_end_matches('/')))?
            }
        };
        Ok(Self { kind, url: url.into(), document })
    }

    /// Of which kind it is.
    pub fn kind(&self) -> KeySourceKind {
        self.kind
    }

    /// The key set's URL, or the issuer, as it was configured.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the first request goes: to the key set, or to the `OpenID` configuration.
    pub fn document(&self) -> &HttpUrl {
        &self.document
    }
}

/// An issuer as it is written in a configuration.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Configured {
    issuer: Box<str>,
    audience: Box<str>,
    jwks: Option<Jwks>,
    jwks_uri: Option<Box<str>>,
    #[serde(default)]
    claims: ClaimNames,
    #[serde(default)]
    roles: BTreeMap<Box<str>, Role>,
    #[serde(default)]
    default_roles: Vec<Role>,
}

impl TryFrom<Configured> for TrustedIssuer {
    type Error = Invalid;

    fn try_from(configured: Configured) -> Result<Self, Invalid> {
        let Configured { issuer, audience, jwks, jwks_uri, claims, roles, default_roles } = configured;
        // A bar stands between issuer and subject where SQL sees them.
        if issuer.is_empty()
            || issuer.contains('|')
            || issuer.starts_with(OWN)
            || issuer.starts_with(SUPPORT)
            || audience.is_empty()
        {
            return Err(Invalid::because("must have an issuer, not one of Tenantry's, and an audience"));
        }
        let at = |kind, url: &str, field: &str| {
            let source = KeySource::parse(kind, url);
            source.map(IssuerKeys::Fetched).map_err(|error| Invalid::because(format!("{field} {error}")))
        };
        let keys = match (jwks, jwks_uri) {
            (Some(_), Some(_)) => return Err(Invalid::because("must have jwks or jwksUri, not both")),
            (Some(jwks), None) => {
                jwks.check()?;
                IssuerKeys::Written(jwks)
            }
            (None, Some(url)) => at(KeySourceKind::JwksUri, &url, "jwksUri")?,
            (None, None) => at(KeySourceKind::Discovery, &issuer, "issuer (without jwks and jwksUri)")?,
        };
        Ok(Self { issuer, audience, keys, claims, roles, default_roles })
    }
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

impl TrustedIssuer {
    /// Reads the issuers as they are configured.
    ///
    /// # Errors
    /// It is no list of them, two have one name, or a key is of another kind.
    pub fn list_from_config(value: &Value) -> Result<Vec<Self>, Invalid> {
        let keys =
            value.as_array().into_iter().flatten().filter_map(|issuer| issuer["jwks"]["keys"].as_array());
        if keys.flatten().any(is_secret) {
            return Err(Invalid::because("must have no private keys"));
        }
        let issuers = Vec::<Self>::deserialize(value).map_err(|error| Invalid::because(error.to_string()))?;
        if issuers.len() > MAX_ISSUERS {
            return Err(Invalid::because("must name at most 10 issuers"));
        }
        for (nth, Self { issuer, .. }) in issuers.iter().enumerate() {
            if issuers[..nth].iter().any(|other| other.issuer == *issuer) {
                return Err(Invalid::because(format!("names the issuer {issuer} twice")));
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

    #[test]
    fn keys_are_written_or_come_from_a_url_or_are_found_by_the_issuer_s_name() {
        let read = |members: Value| {
            let mut issuer = json!({ "issuer": "https://id.acme.example/", "audience": "crm" });
            issuer.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            let read = TrustedIssuer::list_from_config(&json!([issuer]));
            read.map(|issuers| match &issuers[0].keys {
                IssuerKeys::Written(_) => "written".to_owned(),
                IssuerKeys::Fetched(source) => source.document().to_string(),
            })
        };
        assert_eq!(read(json!({ "jwks": { "keys": [] } })).unwrap(), "written");
        let uri = "https://keys.acme.example/jwks?v=2";
        assert_eq!(read(json!({ "jwksUri": uri })).unwrap(), uri);
        assert_eq!(read(json!({})).unwrap(), "https://id.acme.example/.well-known/openid-configuration");
        for wrong in [
            json!({ "jwks": { "keys": [] }, "jwksUri": uri }),
            json!({ "jwksUri": "file:///etc/passwd" }),
            json!({ "jwksUri": "https://user:password@acme.example" }),
            json!({ "jwksUri": "" }),
            json!({ "issuer": "acme" }),
            json!({ "issuer": "https://id.acme.example/?x=1" }),
            // Its document's URL is longer.
            json!({ "issuer": format!("https://id.acme.example/{}", "a".repeat(1970)) }),
            json!({ "issuer": "support:key", "jwks": { "keys": [] } }),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
