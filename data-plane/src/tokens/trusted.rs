//! Tokens of somebody else whom a tenant trusts: its own identity provider.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tenantry_domain::{
    route::Route,
    trusted_issuer::{Jwk, TrustedIssuer},
    user::Role,
};
use tenantry_tokens::SKEW;

use super::verify::{Bearer, TokenRefused, Verified};

/// Names and subjects are no longer.
const MAX_NAME: usize = 255;

/// What holds for tokens of all of them. Audience and times are checked below.
fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_required_spec_claims(&["aud", "exp", "iss", "sub"]);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

static EDDSA: LazyLock<Validation> = LazyLock::new(|| validation(Algorithm::EdDSA));
static ES256: LazyLock<Validation> = LazyLock::new(|| validation(Algorithm::ES256));
static RS256: LazyLock<Validation> = LazyLock::new(|| validation(Algorithm::RS256));

/// The claims that every token has, and when it counts.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// The issuer that a token names, if the tenant trusts it. A claim, not a proof.
pub(super) fn named<'r>(route: &'r Route, payload: &str) -> Option<&'r TrustedIssuer> {
    #[derive(Deserialize)]
    struct Claim {
        iss: String,
    }
    if route.users.issuers.is_empty() {
        return None;
    }
    let Claim { iss } = serde_json::from_str(payload).ok()?;
    route.users.issuers.iter().find(|issuer| *issuer.issuer == *iss)
}

/// Checks a token by an issuer's keys. Only the algorithm that belongs to the key's kind is accepted, whatever the token says.
pub(super) fn verify(
    route: &Route,
    issuer: &TrustedIssuer,
    header: &Header,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Verified, TokenRefused> {
    let invalid = |_| TokenRefused::Invalid;
    let kid = header.kid.as_deref().ok_or(TokenRefused::Invalid)?;
    let key = issuer.jwks.keys.iter().find(|key| key.kid() == kid).ok_or(TokenRefused::Invalid)?;
    let (key, validation) = match key {
        Jwk::Rsa { n, e, .. } => (DecodingKey::from_rsa_components(n, e).map_err(invalid)?, &*RS256),
        Jwk::Ec { x, y, .. } => (DecodingKey::from_ec_components(x, y).map_err(invalid)?, &*ES256),
        Jwk::Okp { x, .. } => {
            let public = URL_SAFE_NO_PAD.decode(x.as_bytes()).map_err(|_| TokenRefused::Invalid)?;
            (DecodingKey::from_ed_der(&public), &*EDDSA)
        }
    };
    let claims = jsonwebtoken::decode::<Claims>(token, &key, validation).map_err(invalid)?.claims;
    let is_for_it = match &claims.aud {
        Audience::One(audience) => **audience == *issuer.audience,
        Audience::Several(audiences) => audiences.iter().any(|audience| **audience == *issuer.audience),
    };
    if *claims.iss != *issuer.issuer || !is_for_it || !is_short(&claims.sub) {
        return Err(TokenRefused::Invalid);
    }
    let expires_at = time(claims.exp)?;
    if expires_at <= now {
        return Err(TokenRefused::Expired);
    }
    if claims.nbf.map(time).transpose()?.is_some_and(|from| from > now + SKEW) {
        return Err(TokenRefused::NotYetValid);
    }
    let name =
        claims.more.get(&*issuer.claims.username).and_then(Value::as_str).filter(|name| is_short(name));
    let username = name.unwrap_or(&claims.sub).to_owned();
    let roles = roles(issuer, claims.more.get(&*issuer.claims.roles));
    let claims = for_sql(route, issuer, claims, &username, &roles).to_string();
    Ok(Verified { bearer: Bearer::Trusted, username, roles, expires_at, claims: claims.into() })
}

fn is_short(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
}

fn time(seconds: f64) -> Result<DateTime<Utc>, TokenRefused> {
    #[expect(clippy::cast_possible_truncation, reason = "what is no time is refused")]
    DateTime::from_timestamp(seconds as i64, 0).ok_or(TokenRefused::Invalid)
}

/// What the issuer's words for roles are here, and what everybody with a token of it is.
fn roles(issuer: &TrustedIssuer, claim: Option<&Value>) -> Vec<Role> {
    let words = match claim {
        Some(Value::String(word)) => vec![word.as_str()],
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mapped = words.into_iter().filter_map(|word| issuer.roles.get(word));
    let mut roles: Vec<Role> = issuer.default_roles.iter().chain(mapped).cloned().collect();
    roles.sort_unstable();
    roles.dedup();
    roles
}

/// What SQL may know: the token's claims, but under names and with a subject that are no user's of the tenant itself.
fn for_sql(route: &Route, issuer: &TrustedIssuer, claims: Claims, username: &str, roles: &[Role]) -> Value {
    let mut all = claims.more;
    let own = json!({
        "iss": claims.iss, "aud": *issuer.audience, "exp": claims.exp,
        "sub": format!("{}|{}", issuer.issuer, claims.sub),
        "tenantId": route.tenant_id, "tenantSlug": route.slug.as_str(), "username": username, "roles": roles,
    });
    if let Value::Object(own) = own {
        all.extend(own);
    }
    all.remove("act");
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use jsonwebtoken::EncodingKey;
    use secrecy::ExposeSecret;
    use tenantry_domain::signing_key::NewSigningKey;

    use super::*;
    use crate::{routes::tests::route, tokens::RevokedSessions};

    const ISSUER: &str = "https://id.acme.example";

    fn trusting(keys: &[(&str, &NewSigningKey)]) -> Route {
        let keys: Vec<Value> = keys
            .iter()
            .map(|(kid, key)| json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": URL_SAFE_NO_PAD.encode(key.public) }))
            .collect();
        let config = json!([{
            "issuer": ISSUER, "audience": "crm", "jwks": { "keys": keys },
            "roles": { "sales": "editor", "boss": "admin" }, "defaultRoles": ["member"],
        }]);
        let mut route = route(1, "acme");
        route.users.issuers = TrustedIssuer::list_from_config(&config).unwrap().into();
        route
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn claims() -> Value {
        json!({
            "iss": ISSUER, "aud": ["other", "crm"], "sub": "7", "exp": now().timestamp() + 600,
            "preferred_username": "ada", "roles": ["boss", "nobody's"], "tenantId": "mine", "act": { "sub": "x" },
        })
    }

    fn signed(kid: &str, claims: &Value, key: &NewSigningKey) -> String {
        let header = Header { kid: Some(kid.into()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(key.private.expose_secret())).unwrap()
    }

    fn check(route: &Route, token: &str) -> Result<Verified, TokenRefused> {
        let revoked = RevokedSessions::default();
        crate::tokens::verify(route, token, now(), &revoked)
    }

    #[test]
    fn a_token_of_a_trusted_issuer_counts_with_the_roles_that_its_words_mean_here() {
        let key = NewSigningKey::generate(&mut rand::rng());
        let acme = trusting(&[("1", &key)]);
        let verified = check(&acme, &signed("1", &claims(), &key)).unwrap();
        assert_eq!((verified.bearer, verified.username.as_str()), (Bearer::Trusted, "ada"));
        assert_eq!(verified.roles, [Role::Admin, Role::Member]);
        let told: Value = serde_json::from_str(&verified.claims).unwrap();
        assert_eq!(told["sub"], "https://id.acme.example|7");
        assert_eq!((&told["tenantId"], &told["act"]), (&json!(acme.tenant_id), &Value::Null));
        assert_eq!(check(&route(1, "acme"), &signed("1", &claims(), &key)), Err(TokenRefused::Invalid));
    }

    #[test]
    fn what_the_issuer_has_not_signed_for_this_tenant_and_time_does_not_count() {
        let (key, other) =
            (NewSigningKey::generate(&mut rand::rng()), NewSigningKey::generate(&mut rand::rng()));
        let acme = trusting(&[("1", &key), ("2", &other)]);
        let with = |claim: &str, value: Value| {
            let mut claims = claims();
            claims[claim] = value;
            check(&acme, &signed("1", &claims, &key)).map(drop)
        };
        assert_eq!(with("aud", json!("crm")), Ok(()));
        for (claim, value) in [
            ("aud", json!("other")),
            ("aud", json!([])),
            ("iss", json!("https://else")),
            ("sub", json!("")),
            ("sub", json!(7)),
            ("exp", json!("soon")),
        ] {
            assert_eq!(with(claim, value.clone()), Err(TokenRefused::Invalid), "{claim} {value}");
        }
        assert_eq!(with("exp", json!(now().timestamp())), Err(TokenRefused::Expired));
        assert_eq!(
            with("nbf", json!((now() + SKEW + TimeDelta::seconds(1)).timestamp())),
            Err(TokenRefused::NotYetValid)
        );
        // By the other key's name, by none, by one that nobody has; by a key that is not the issuer's.
        for (kid, signer) in [("2", &key), ("3", &key), ("1", &other)] {
            assert_eq!(check(&acme, &signed(kid, &claims(), signer)), Err(TokenRefused::Invalid), "{kid}");
        }
        // The public key taken for a shared secret, or no signature.
        let header = Header { kid: Some("1".into()), ..Header::new(Algorithm::HS256) };
        let confused =
            jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&key.public)).unwrap();
        assert_eq!(check(&acme, &confused), Err(TokenRefused::Invalid));
        let body = URL_SAFE_NO_PAD.encode(claims().to_string());
        let unsigned = format!("{}.{body}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"1"}"#));
        assert_eq!(check(&acme, &unsigned), Err(TokenRefused::Invalid));
    }
}
