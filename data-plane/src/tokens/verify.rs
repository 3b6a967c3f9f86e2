//! Checking tokens.

use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use tenantry_domain::{ids::SessionId, route::Route, user::Role};
use tenantry_tokens::{AUDIENCE, Claims, SKEW, issuer, payload};

use super::{RevokedSessions, trusted};

/// A token that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) bearer: Bearer,
    pub(crate) username: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) expires_at: DateTime<Utc>,
    /// All claims, as JSON.
    pub(crate) claims: Arc<str>,
}

/// Who comes with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// One of the tenant's users.
    User { id: i64, session: SessionId },
    /// Whoever supports the tenant.
    Support { session: SessionId },
    /// Somebody whom an issuer knows that the tenant trusts.
    Trusted,
}

/// Why a token does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenRefused {
    /// It is not one of the tenant's keys' that signed it, or it is none of these tokens.
    #[error("the token is not valid")]
    Invalid,
    /// It names a key that its issuer's are not known to have, which are fetched.
    #[error("the token's key is not known")]
    UnknownKey,
    #[error("the token is another tenant's")]
    OtherTenant,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the user has logged out")]
    Revoked,
    /// Whether it was revoked is not known at the moment.
    #[error("whether the user has logged out is not known")]
    Unknown,
}

/// What holds for every tenant's tokens. Times are checked below, by the clock that is given.
static VALIDATION: LazyLock<Validation> = LazyLock::new(|| {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["aud", "exp", "iss", "nbf", "sub"]);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation
});

/// Checks a token against the keys of the tenant that it is presented for, and of those whom it trusts.
pub(crate) fn verify(
    route: &Route,
    token: &str,
    now: DateTime<Utc>,
    revoked: &RevokedSessions,
) -> Result<Verified, TokenRefused> {
    let invalid = |_| TokenRefused::Invalid;
    let header = jsonwebtoken::decode_header(token).map_err(invalid)?;
    // What it says must be understood (RFC 7515, 4.1.11), and nothing is.
    if header.crit.is_some() {
        return Err(TokenRefused::Invalid);
    }
    let payload = payload(token).ok_or(TokenRefused::Invalid)?;
    if let Some(issuer) = trusted::named(route, &payload) {
        return trusted::verify(route, issuer, &header, token, now);
    }
    let kid = header.kid.ok_or(TokenRefused::Invalid)?;
    let key = route.signing_keys.iter().find(|key| key.id.as_str() == kid).ok_or(TokenRefused::Invalid)?;
    let public = DecodingKey::from_ed_der(&key.public);
    let claims = jsonwebtoken::decode::<Claims>(token, &public, &VALIDATION).map_err(invalid)?.claims;
    if claims.tenant_id != route.tenant_id {
        return Err(TokenRefused::OtherTenant);
    }
    if claims.iss != issuer(route.tenant_id) {
        return Err(TokenRefused::Invalid);
    }
    let time = |seconds| DateTime::from_timestamp(seconds, 0).ok_or(TokenRefused::Invalid);
    let expires_at = time(claims.exp)?;
    if expires_at <= now {
        return Err(TokenRefused::Expired);
    }
    if time(claims.nbf)? > now + SKEW {
        return Err(TokenRefused::NotYetValid);
    }
    match revoked.contains(claims.sid) {
        Some(false) => {}
        Some(true) => return Err(TokenRefused::Revoked),
        None => return Err(TokenRefused::Unknown),
    }
    let session = claims.sid;
    let bearer = match claims.act {
        Some(_) => Bearer::Support { session },
        None => Bearer::User { id: claims.sub.parse().map_err(|_| TokenRefused::Invalid)?, session },
    };
    Ok(Verified {
        bearer,
        username: claims.username,
        roles: claims.roles,
        expires_at,
        claims: payload.into(),
    })
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use chrono::TimeDelta;
    use jsonwebtoken::{EncodingKey, Header};
    use proptest::prelude::*;
    use secrecy::ExposeSecret;
    use serde_json::{Value, json};
    use tenantry_domain::{
        envelope, ids::SessionId, purpose::Purpose, route::RouteSigningKey, signing_key::NewSigningKey,
    };
    use tenantry_registry::RevokedSession;
    use uuid::Uuid;

    use tenantry_tokens::{Holder, Issuer, LIFETIME, Subject, claimed_tenant, is_token};

    use super::*;
    use crate::routes::tests::route;

    /// A tenant with a key, whose private half is known.
    fn tenant(number: u128, slug: &str, kek: &envelope::Key) -> (Route, NewSigningKey) {
        let mut rng = rand::rng();
        let mut route = route(number, slug);
        let key = NewSigningKey::generate(&mut rng);
        let purpose = Purpose::SigningKey(route.tenant_id, &key.id).to_string();
        let private = kek.seal(&purpose, key.private.expose_secret(), &mut rng).into();
        route.signing_keys = [RouteSigningKey { id: key.id.clone(), public: key.public, private }].into();
        (route, key)
    }

    fn subject() -> Subject {
        Subject {
            holder: Holder::User(7),
            username: "ada".into(),
            roles: vec![Role::Owner],
            session: SessionId::from_uuid(Uuid::from_u128(9)),
        }
    }

    fn nobody_revoked() -> RevokedSessions {
        let revoked = RevokedSessions::default();
        revoked.complete([], DateTime::UNIX_EPOCH);
        revoked
    }

    fn signed(header: &Header, claims: &Value, key: &NewSigningKey) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_ed_der(key.private.expose_secret())).unwrap()
    }

    #[test]
    fn a_token_counts_for_its_tenant_from_its_beginning_to_its_end() {
        let kek = envelope::Key::generate(&mut rand::rng());
        let (acme, _) = tenant(1, "acme", &kek);
        let (other, _) = tenant(2, "other", &kek);
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let token = Issuer::new(kek).issue(&acme, subject(), now).unwrap();
        assert!(is_token(&token));
        assert_eq!(claimed_tenant(&token), Some(acme.tenant_id));
        let revoked = nobody_revoked();
        let check = |route: &Route, now| verify(route, &token, now, &revoked).map(|verified| verified.bearer);
        let ada = Bearer::User { id: 7, session: subject().session };
        assert_eq!(check(&acme, now), Ok(ada));
        assert_eq!(check(&acme, now - SKEW), Ok(ada));
        assert_eq!(check(&acme, now - SKEW - TimeDelta::seconds(1)), Err(TokenRefused::NotYetValid));
        assert_eq!(check(&acme, now + LIFETIME), Err(TokenRefused::Expired));
        assert_eq!(check(&other, now), Err(TokenRefused::Invalid));

        let claims: Value =
            serde_json::from_str(&verify(&acme, &token, now, &revoked).unwrap().claims).unwrap();
        assert_eq!((&claims["sub"], &claims["tenantSlug"]), (&json!("7"), &json!("acme")));
        assert_eq!((&claims["roles"], &claims["aud"]), (&json!(["owner"]), &json!("tenantry")));
    }

    #[test]
    fn a_log_in_that_was_revoked_counts_no_more_and_one_of_which_that_is_not_known_waits() {
        let kek = envelope::Key::generate(&mut rand::rng());
        let (acme, _) = tenant(1, "acme", &kek);
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let token = Issuer::new(kek).issue(&acme, subject(), now).unwrap();
        let revoked = RevokedSessions::default();
        let check = |revoked: &RevokedSessions| verify(&acme, &token, now, revoked).map(drop);
        assert_eq!(check(&revoked), Err(TokenRefused::Unknown));
        // Heard of before all were read.
        revoked.add(RevokedSession { id: subject().session, expires_at: now + LIFETIME });
        revoked.complete([], now);
        assert_eq!(check(&revoked), Err(TokenRefused::Revoked));
        revoked.forget_ended(now + LIFETIME);
        assert_eq!(check(&revoked), Ok(()));
    }

    #[test]
    fn what_the_tenant_s_key_has_not_signed_as_such_a_token_does_not_count() {
        let kek = envelope::Key::generate(&mut rand::rng());
        let (acme, key) = tenant(1, "acme", &kek);
        let (other, other_key) = tenant(2, "other", &kek);
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let token = Issuer::new(kek.clone()).issue(&acme, subject(), now).unwrap();
        let claims: Value = serde_json::from_str(&payload(&token).unwrap()).unwrap();
        let header = |kid: &str| Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let own = header(key.id.as_str());
        let revoked = nobody_revoked();
        let check = |token: &str| verify(&acme, token, now, &revoked).map(drop);
        assert_eq!(check(&signed(&own, &claims, &key)), Ok(()));

        // Signed by another tenant's key, under either name.
        assert_eq!(check(&signed(&own, &claims, &other_key)), Err(TokenRefused::Invalid));
        assert_eq!(
            check(&signed(&header(other_key.id.as_str()), &claims, &other_key)),
            Err(TokenRefused::Invalid)
        );
        // Without a name, or with one that nobody has.
        assert_eq!(check(&signed(&Header::new(Algorithm::EdDSA), &claims, &key)), Err(TokenRefused::Invalid));
        assert_eq!(check(&signed(&header("x"), &claims, &key)), Err(TokenRefused::Invalid));
        // With what its reader must understand, and does not.
        let critical = Header { crit: Some(vec!["b64".to_owned()]), ..own.clone() };
        assert_eq!(check(&signed(&critical, &claims, &key)), Err(TokenRefused::Invalid));
        // Of another tenant, though this one's key signed it.
        let mut of_other = claims.clone();
        of_other["tenantId"] = json!(other.tenant_id);
        assert_eq!(check(&signed(&own, &of_other, &key)), Err(TokenRefused::OtherTenant));
        // For others, by others, or without what every token has.
        for (claim, value) in [
            ("aud", json!("else")),
            ("iss", json!("urn:tenantry:tenant:else")),
            ("sub", json!("ada")),
            ("exp", json!(i64::MAX)),
            ("roles", json!(["King"])),
        ] {
            let mut wrong = claims.clone();
            wrong[claim] = value;
            assert_eq!(check(&signed(&own, &wrong, &key)), Err(TokenRefused::Invalid), "{claim}");
        }
        for claim in ["aud", "iss", "sub", "exp", "nbf", "sid", "tenantId", "roles"] {
            let mut wrong = claims.clone();
            wrong.as_object_mut().unwrap().remove(claim);
            assert_eq!(check(&signed(&own, &wrong, &key)), Err(TokenRefused::Invalid), "{claim}");
        }
        // By another algorithm: none, or the public key taken for a shared secret.
        let hmac = Header { kid: own.kid.clone(), ..Header::new(Algorithm::HS256) };
        let confused = jsonwebtoken::encode(&hmac, &claims, &EncodingKey::from_secret(&key.public)).unwrap();
        assert_eq!(check(&confused), Err(TokenRefused::Invalid));
        let body = payload(&token).unwrap();
        for alg in ["none", "None", "NONE", "HS256", "RS256", ""] {
            let head = json!({ "alg": alg, "kid": key.id.as_str() }).to_string();
            let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(&body));
            assert_eq!(check(&unsigned), Err(TokenRefused::Invalid), "{alg}");
        }
        // Altered, cut short, or no token at all.
        let (signed_part, signature) = token.rsplit_once('.').unwrap();
        let altered = body.replace("\"ada\"", "\"eve\"");
        let head = token.split('.').next().unwrap();
        let altered = format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode(altered));
        for text in [altered.as_str(), signed_part, &format!("{signed_part}."), "eyJ..", "", "a.b.c"] {
            assert_eq!(check(text), Err(TokenRefused::Invalid), "{text}");
        }
    }

    /// A tenant, its key, a token of it, and another's key: made once for all cases.
    struct World {
        acme: Route,
        key: NewSigningKey,
        other_key: NewSigningKey,
        token: String,
        header: Value,
        claims: Value,
        now: DateTime<Utc>,
        revoked: RevokedSessions,
    }

    static WORLD: LazyLock<World> = LazyLock::new(|| {
        let kek = envelope::Key::generate(&mut rand::rng());
        let ((acme, key), (_, other_key)) = (tenant(1, "acme", &kek), tenant(2, "other", &kek));
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let token = Issuer::new(kek).issue(&acme, subject(), now).unwrap();
        let part = |nth: usize| {
            let part = URL_SAFE_NO_PAD.decode(token.split('.').nth(nth).unwrap()).unwrap();
            serde_json::from_slice(&part).unwrap()
        };
        let (header, claims) = (part(0), part(1));
        World { acme, key, other_key, token, header, claims, now, revoked: nobody_revoked() }
    });

    impl World {
        fn check(&self, token: &str) -> Result<Verified, TokenRefused> {
            verify(&self.acme, token, self.now, &self.revoked)
        }
    }

    /// Any JSON that fits into a claim, and what a claim has in tokens of others.
    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (1_799_999_000_i64..1_800_001_000).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            proptest::sample::select(
                &[
                    "none",
                    "HS256",
                    "RS256",
                    "EdDSA",
                    "JWT",
                    "tenantry",
                    "owner",
                    "7",
                    "-1",
                    "http://localhost/",
                    "00000000-0000-0000-0000-000000000002",
                    "urn:tenantry:tenant:00000000-0000-0000-0000-000000000002",
                ][..]
            )
            .prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-z]{0,4}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// An object with some members replaced, added or left out; or any JSON at all.
    fn altered(of: fn(&World) -> &Value, names: &'static [&'static str]) -> impl Strategy<Value = Value> {
        let name =
            prop_oneof![4 => proptest::sample::select(names).prop_map(str::to_owned), 1 => "[a-z]{1,4}"];
        let members = proptest::collection::vec((name, json_value(), any::<bool>()), 0..4);
        let changed = members.prop_map(move |changes| {
            let mut value = of(&WORLD).clone();
            let members = value.as_object_mut().unwrap();
            for (name, to, leave_out) in changes {
                if leave_out && to.is_null() {
                    members.remove(&name);
                } else {
                    members.insert(name, to);
                }
            }
            value
        });
        prop_oneof![5 => changed, 1 => json_value()]
    }

    const HEADER: &[&str] = &["alg", "typ", "kid", "jwk", "jku", "x5u", "x5c", "crit", "cty", "enc", "zip"];
    const CLAIMS: &[&str] = &[
        "iss",
        "aud",
        "sub",
        "iat",
        "nbf",
        "exp",
        "sid",
        "tenantId",
        "tenantSlug",
        "username",
        "roles",
        "features",
    ];

    fn unsigned(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}", part(header), part(claims))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_is_a_token(
            text in prop_oneof![
                any::<String>(),
                "(eyJ)?[A-Za-z0-9_-]{0,40}[.][A-Za-z0-9_-]{0,40}[.][A-Za-z0-9_-]{0,86}",
                "[.=]{0,4}[ -~]{0,20}[.][ -~]{0,20}[.]{0,3}",
            ]
        ) {
            prop_assert_eq!(WORLD.check(&text), Err(TokenRefused::Invalid));
            // Nor do these fail at it.
            let _ = (is_token(&text), claimed_tenant(&text), payload(&text));
        }

        #[test]
        fn nothing_that_somebody_else_signed_counts_whatever_it_says(
            header in altered(|world| &world.header, HEADER),
            claims in altered(|world| &world.claims, CLAIMS),
            noise in proptest::collection::vec(any::<u8>(), 0..70),
        ) {
            let message = unsigned(&header, &claims);
            let sign = |key: &EncodingKey, algorithm| jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm);
            let signatures = [
                String::new(),
                WORLD.token.rsplit('.').next().unwrap().to_owned(),
                URL_SAFE_NO_PAD.encode(noise),
                sign(&EncodingKey::from_secret(&WORLD.key.public), Algorithm::HS256).unwrap(),
                sign(&EncodingKey::from_ed_der(WORLD.other_key.private.expose_secret()), Algorithm::EdDSA).unwrap(),
            ];
            for signature in signatures {
                let token = format!("{message}.{signature}");
                prop_assert!(token == WORLD.token || WORLD.check(&token).is_err(), "{}", token);
            }
        }

        #[test]
        fn what_the_tenant_s_key_signed_counts_as_what_it_says_and_only_for_this_tenant_and_time(
            header in altered(|world| &world.header, HEADER),
            claims in altered(|world| &world.claims, CLAIMS),
        ) {
            let message = unsigned(&header, &claims);
            let key = EncodingKey::from_ed_der(WORLD.key.private.expose_secret());
            let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
            let Ok(verified) = WORLD.check(&format!("{message}.{signature}")) else { return Ok(()) };
            prop_assert_eq!(&header["alg"], "EdDSA");
            prop_assert_eq!(&header["kid"], WORLD.key.id.as_str());
            for unchangeable in ["iss", "aud", "tenantId"] {
                prop_assert_eq!(&claims[unchangeable], &WORLD.claims[unchangeable]);
            }
            let now = WORLD.now.timestamp();
            prop_assert!(claims["exp"].as_i64().unwrap() > now);
            prop_assert!(claims["nbf"].as_i64().unwrap() <= now + SKEW.num_seconds());
            let sub = claims["sub"].as_str().unwrap();
            match verified.bearer {
                Bearer::User { id, .. } => prop_assert_eq!(sub.parse(), Ok(id)),
                Bearer::Support { .. } => prop_assert!(claims["act"].is_object()),
                Bearer::Trusted => prop_assert!(false, "nobody is trusted"),
            }
            prop_assert_eq!(&claims["roles"], &json!(verified.roles));
            prop_assert_eq!(&*verified.claims, claims.to_string());
        }
    }

    #[test]
    fn a_token_with_any_bit_flipped_does_not_count() {
        assert!(WORLD.check(&WORLD.token).is_ok());
        for at in 0..WORLD.token.len() {
            // The eighth makes it no text, which no header is read as.
            for bit in 0..7 {
                let mut flipped = WORLD.token.clone().into_bytes();
                flipped[at] ^= 1 << bit;
                let flipped = String::from_utf8(flipped).unwrap();
                assert!(WORLD.check(&flipped).is_err(), "byte {at}, bit {bit}: {flipped}");
            }
        }
    }

    /// In release, `cargo test --release -p tenantry-data-plane --lib -- --ignored verifying`: a goal, not a proof.
    #[test]
    #[ignore = "a figure, which means something in release only"]
    fn verifying_a_token_takes_at_most_60_us() {
        use std::{io::Write, time::Instant};

        let kek = envelope::Key::generate(&mut rand::rng());
        let (acme, _) = tenant(1, "acme", &kek);
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let token = Issuer::new(kek).issue(&acme, subject(), now).unwrap();
        let revoked = nobody_revoked();
        let mut times: Vec<_> = (0..20_000)
            .map(|_| {
                let start = Instant::now();
                std::hint::black_box(verify(&acme, &token, now, &revoked)).unwrap();
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        let (p50, p99) = (times[10_000], times[19_800]);
        writeln!(std::io::stderr(), "verifying a token: p50 {p50:?}, p99 {p99:?}").unwrap();
        assert!(p50.as_micros() <= 60, "{p50:?}");
    }
}
