//! Tokens of somebody else whom a tenant trusts: its own identity provider.

use chrono::{DateTime, Utc};
use jsonwebtoken::Header;
use serde::Deserialize;
use serde_json::{Value, json};
use tenantry_domain::{
    route::{Route, RouteIssuer},
    trusted_issuer::{KeySource, TrustedIssuer},
    user::Role,
};
use tenantry_tokens::{
    ClaimsOfOthers, Expected, RefusedOfOthers, is_name, named_key, payload, verify_of_others,
};

use super::verify::{Bearer, TokenRefused, Verified};

impl From<RefusedOfOthers> for TokenRefused {
    fn from(refused: RefusedOfOthers) -> Self {
        match refused {
            RefusedOfOthers::Invalid => Self::Invalid,
            RefusedOfOthers::Expired => Self::Expired,
            RefusedOfOthers::NotYetValid => Self::NotYetValid,
        }
    }
}

/// The issuer that a token names, if the tenant trusts it. A claim, not a proof.
pub(super) fn named<'r>(route: &'r Route, payload: &str) -> Option<&'r RouteIssuer> {
    #[derive(Deserialize)]
    struct Claim {
        iss: String,
    }
    if route.users.issuers.is_empty() {
        return None;
    }
    let Claim { iss } = serde_json::from_str(payload).ok()?;
    route.users.issuers.iter().find(|issuer| *issuer.trusted.issuer == *iss)
}

/// Where the keys of the issuer are fetched from that a token names, if the token's key is not among them. None while there are
/// none: workers are at it.
pub(crate) fn source_of_unknown_key<'r>(
    route: &'r Route,
    token: &str,
    now: DateTime<Utc>,
) -> Option<&'r KeySource> {
    let issuer = named(route, &payload(token)?)?;
    let keys = issuer.fetched.as_ref().filter(|fetched| now < fetched.good_until)?;
    if keys.keys.find(&named_key(token)?).is_some() { None } else { issuer.source() }
}

/// Checks a token by an issuer's keys.
pub(super) fn verify(
    route: &Route,
    issuer: &RouteIssuer,
    header: &Header,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Verified, TokenRefused> {
    let kid = header.kid.as_deref().ok_or(TokenRefused::Invalid)?;
    // Workers fetch such keys: no newer route has them by now.
    let unknown = if issuer.source().is_some() { TokenRefused::UnknownKey } else { TokenRefused::Invalid };
    let key = issuer.key(kid, now).ok_or(unknown)?;
    let issuer = &issuer.trusted;
    let expected = Expected { issuer: &issuer.issuer, audience: &issuer.audience };
    let claims = verify_of_others(token, key, expected, now)?;
    let name = claims.more.get(&*issuer.claims.username).and_then(Value::as_str).filter(|name| is_name(name));
    let username = name.unwrap_or(&claims.subject).to_owned();
    let roles = roles(issuer, claims.more.get(&*issuer.claims.roles));
    let expires_at = claims.expires_at;
    let claims = for_sql(route, issuer, claims, &username, &roles).to_string();
    Ok(Verified { bearer: Bearer::Trusted, username, roles, expires_at, claims: claims.into() })
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
fn for_sql(
    route: &Route,
    issuer: &TrustedIssuer,
    claims: ClaimsOfOthers,
    username: &str,
    roles: &[Role],
) -> Value {
    let mut all = claims.more;
    let own = json!({
        "iss": *issuer.issuer, "aud": *issuer.audience, "exp": claims.exp,
        "sub": format!("{}|{}", issuer.issuer, claims.subject),
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
    use std::sync::Arc;

    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use chrono::TimeDelta;
    use jsonwebtoken::{Algorithm, EncodingKey};
    use secrecy::ExposeSecret;
    use tenantry_domain::{route::FetchedKeys, signing_key::NewSigningKey, trusted_issuer::IssuerKeys};
    use tenantry_tokens::SKEW;

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
        route.users.issuers = TrustedIssuer::list_from_config(&config)
            .unwrap()
            .into_iter()
            .map(|trusted| RouteIssuer { trusted, fetched: None })
            .collect();
        route
    }

    /// The same, but the keys were fetched, and count for another minute.
    fn fetched(keys: &[(&str, &NewSigningKey)]) -> Route {
        let mut route = trusting(keys);
        let config = json!([{ "issuer": ISSUER, "audience": "crm" }]);
        let issuer = &mut route.users.issuers[0];
        let unfetched = TrustedIssuer::list_from_config(&config).unwrap().remove(0);
        let IssuerKeys::Written(keys) = std::mem::replace(&mut issuer.trusted, unfetched).keys else {
            unreachable!("they are")
        };
        issuer.fetched = Some(Arc::new(FetchedKeys { keys, good_until: now() + TimeDelta::minutes(1) }));
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
    fn keys_that_were_fetched_count_for_their_time_and_one_that_is_not_among_them_is_asked_for() {
        let (key, other) =
            (NewSigningKey::generate(&mut rand::rng()), NewSigningKey::generate(&mut rand::rng()));
        let mut acme = fetched(&[("1", &key)]);
        let token = signed("1", &claims(), &key);
        let asked_for = |route: &Route, token: &str, now| {
            source_of_unknown_key(route, token, now).map(|source| source.url().to_owned())
        };
        assert_eq!(check(&acme, &token).map(|verified| verified.bearer), Ok(Bearer::Trusted));
        assert_eq!(asked_for(&acme, &token, now()), None);
        assert_eq!(check(&acme, &signed("1", &claims(), &other)), Err(TokenRefused::Invalid));

        let newer = signed("2", &claims(), &other);
        assert_eq!(check(&acme, &newer), Err(TokenRefused::UnknownKey));
        assert_eq!(asked_for(&acme, &newer, now()).as_deref(), Some(ISSUER));
        // Nobody is asked for a token of an issuer that is not trusted, or whose keys are written.
        assert_eq!(asked_for(&route(1, "acme"), &newer, now()), None);
        assert_eq!(asked_for(&trusting(&[("1", &key)]), &newer, now()), None);

        assert_eq!(asked_for(&acme, &newer, now() + TimeDelta::minutes(1)), None);
        acme.users.issuers[0].fetched = None;
        assert_eq!(check(&acme, &token), Err(TokenRefused::UnknownKey));
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
            ("sub", json!("a\u{0}")),
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
