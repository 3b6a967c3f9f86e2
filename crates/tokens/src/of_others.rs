//! Tokens that somebody else has signed: an identity provider whose public keys are known.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};
use tenantry_domain::jwk::Jwk;

use crate::SKEW;

/// Names are no longer.
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

/// Whom a token must be of and for.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Its `iss`.
    pub issuer: &'a str,
    /// One of its `aud`.
    pub audience: &'a str,
}

/// What a token says that counts.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimsOfOthers {
    /// Whose it is, at its issuer.
    pub subject: String,
    /// `exp` as it was written.
    pub exp: f64,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// The other claims, without issuer, audience, subject and times.
    pub more: Map<String, Value>,
}

/// Why a token does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefusedOfOthers {
    /// The key has not signed it, or it is of or for somebody else, or says too little.
    #[error("the token is not valid")]
    Invalid,
    /// It was good.
    #[error("the token has expired")]
    Expired,
    /// It will be good.
    #[error("the token is not valid yet")]
    NotYetValid,
}

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

/// The key that a token names as its signer's. A claim, not a proof.
pub fn named_key(token: &str) -> Option<String> {
    jsonwebtoken::decode_header(token).ok()?.kid
}

/// Checks a token by a public key. Only the algorithm that belongs to the key's kind is accepted, whatever the token says.
///
/// # Errors
/// It does not count.
pub fn verify_of_others(
    token: &str,
    key: &Jwk,
    expected: Expected<'_>,
    now: DateTime<Utc>,
) -> Result<ClaimsOfOthers, RefusedOfOthers> {
    let invalid = |_| RefusedOfOthers::Invalid;
    let (key, validation) = match key {
        Jwk::Rsa { n, e, .. } => (DecodingKey::from_rsa_components(n, e).map_err(invalid)?, &*RS256),
        Jwk::Ec { x, y, .. } => (DecodingKey::from_ec_components(x, y).map_err(invalid)?, &*ES256),
        Jwk::Okp { x, .. } => {
            let public = URL_SAFE_NO_PAD.decode(x.as_bytes()).map_err(|_| RefusedOfOthers::Invalid)?;
            (DecodingKey::from_ed_der(&public), &*EDDSA)
        }
    };
    let TokenData { header, claims } =
        jsonwebtoken::decode::<Claims>(token, &key, validation).map_err(invalid)?;
    // What it says must be understood (RFC 7515, 4.1.11), and nothing is.
    if header.crit.is_some() {
        return Err(RefusedOfOthers::Invalid);
    }
    let is_for_it = match &claims.aud {
        Audience::One(audience) => audience == expected.audience,
        Audience::Several(audiences) => audiences.iter().any(|audience| audience == expected.audience),
    };
    if claims.iss != expected.issuer || !is_for_it || !is_name(&claims.sub) {
        return Err(RefusedOfOthers::Invalid);
    }
    let expires_at = time(claims.exp)?;
    if expires_at <= now {
        return Err(RefusedOfOthers::Expired);
    }
    if claims.nbf.map(time).transpose()?.is_some_and(|from| from > now + SKEW) {
        return Err(RefusedOfOthers::NotYetValid);
    }
    Ok(ClaimsOfOthers { subject: claims.sub, exp: claims.exp, expires_at, more: claims.more })
}

/// Whether a text is short enough for a subject or a name, and can be kept: PostgreSQL keeps no NUL.
pub fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn time(seconds: f64) -> Result<DateTime<Utc>, RefusedOfOthers> {
    #[expect(clippy::cast_possible_truncation, reason = "what is no time is refused")]
    DateTime::from_timestamp(seconds as i64, 0).ok_or(RefusedOfOthers::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Of an RSA and a P-256 key that were made for this test and thrown away, and what they have signed: the same claims each time.
    const N: &str = "vKyjZwuvf7lqptl0aiZSxWsu4FJieX-SorYU3X6SiIRfJPp8LkaNwrKEkL-3OZlkqqLJjIbErPlgz-6ls4it6odQwZg26KWYOPk7zAE0u5rNcL86wqNANr8984Ekl_dNvrnl9rRirfL0MY9zuwNe_3ytLufi7I9dNg07u_rpjAiycm51DpxVOfYe-Whtif7yc-tAj8zqQc6E204nESgO02inaHiy4rT-DcKJxvjRP-dyDXvEh_5BXv49rGYqAndMm3IYHFiXCJvD24-H_EGDF0cgMmTGwinOTWNXECgh8pvW_xRPzvphRChX7MUUGInRBmkW0WPxCWTym3P0791W1w";
    const E: &str = "AQAB";
    const X: &str = "wOVZwBRCP8h3MLFDzOPTEsLeYivkzPGoIvFlf43ASWw";
    const Y: &str = "M65hZmrXx1tCVeNqFiOS6gB2rVVZIBYDFKIgz-y9_lg";
    const RS256: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2lkLmFjbWUuZXhhbXBsZSIsImF1ZCI6ImNybSIsInN1YiI6IjciLCJleHAiOjE5MDAwMDAwMDAsIm5iZiI6MTcwMDAwMDAwMH0.RMXTkQDrRd4nCPNO3JWx65leGkNIBlvFA-h7e1VetlIWhdnsm4ozkaVln26Z9zQdUyYa1-TAe_XtZYrkGqXR3lXfF3WxyUTsIbGWIrQrSRmZYP6Nx-O_ApCJkkZWxXRaHMAuVfOxBmGqrNlFYvklVmcpdTGURheYMHpGN6hgRy4Z-c_uoJZ0yXa2HTA1AcCf0AbBKQIHo41NGDVLc8tydS58H5Xqjg-eCu8QU_58pWzCp_Li6hBzW335l3kUNA8qXkZ1kllXTOGXvrgFDZIBtEgcbgjbHybS7TEMwf87-G6JgTCDHxOOc0dZHlrqiq0uREy4NR_hpflaUfyYdShr-Q";
    const RS512: &str = "eyJhbGciOiJSUzUxMiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2lkLmFjbWUuZXhhbXBsZSIsImF1ZCI6ImNybSIsInN1YiI6IjciLCJleHAiOjE5MDAwMDAwMDAsIm5iZiI6MTcwMDAwMDAwMH0.E_u71IhNB-n_6FAT8edbr4fDigyJZfVpvOXH0CqrIuRcCz5EWeMvLYLHyglvuvkXRuSIxDkxqdXKulZdPx2eWUB_jHF7vSdyZksp2J2P-xPRYEQWZiqcL6_3xCANH5xaYnnR5eCFVWqJJsk0vosb4vqzZp_wCR2Jl9l9pdBMUyfKcPVZJa21ehRvB5iJQziiGRueH5OUuDQ4CLCJvPLvzxnX2pKQ8ECbWMAwLkdqJOWfQZIBppA0abyGYcapSyRC_8AGEN1WPg0OwllD5cnmYtNmcE8zY9ikr7hid2ARQEwc2Ni8KnUU1rAaMP2YRweT8NQqcnnrR9p1-Ea2efGlmw";
    const PS256: &str = "eyJhbGciOiJQUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2lkLmFjbWUuZXhhbXBsZSIsImF1ZCI6ImNybSIsInN1YiI6IjciLCJleHAiOjE5MDAwMDAwMDAsIm5iZiI6MTcwMDAwMDAwMH0.B63Bm8b8v4qdP0imph0Ikb_kiEy3uXII88mXVmA3NW2v4YuKFAqN6I5AOSPy7KqZTeOGe_8ySLTxcTgxpfzHiUYZr5xN4OVAh-LKpfCusmp0Gb9Fslk4rZdnoLrFf3Uohq7CGvi5GeRLv2_NeAnn7NJ2IJIV4EQIPRndwn7lBXvooagLVN5sJO3qt5oFHHIAPF6qHQoWWhX85z-oYW5epJFDp8JUbJURSKVkC8TXoVi7o9WnIqVuYVe7SQtmEW3stRfMvbfO6lg8qrZJ7WpfytRqtMp8-xTPQVBHhzm18EZWaMlizm0zfjKqnM0MPDV-p8aEfAxrQ4QAPR_mMiAedA";
    const RS256_AS_ES256: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2lkLmFjbWUuZXhhbXBsZSIsImF1ZCI6ImNybSIsInN1YiI6IjciLCJleHAiOjE5MDAwMDAwMDAsIm5iZiI6MTcwMDAwMDAwMH0.L0AQfxUSo6OrHPAXIXguCmmbxtM_oAkmyLjc80cbGRCpWoPJw1noerkd0FIAyIBftxIoZYTLbIw9hNAEwNS9P-zMnqYpd6lAdKGVqDfy41qew7H42AhpNjMUG04Ml5in9SAYyymwLt1tYYWD2GX95CkJ6Ki06cQHwYlfiZlFmOYeqftHRtz55I49cFDh_-Msy-39-sRFqaV5dOM6E9-brpR8hYwN1p2qKjPux7rPPpmVkcrv9mFRQu40Dl2tK7AQ9niGLOQuBES8x-UE6Ot4MllmhzrC3BHs3fXg84dH9r6gvCHKYxLUICD4B4Ayp18cWRmsMAp3MlBvbFXhR07O9A";
    const HS256_BY_MODULUS: &str = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2lkLmFjbWUuZXhhbXBsZSIsImF1ZCI6ImNybSIsInN1YiI6IjciLCJleHAiOjE5MDAwMDAwMDAsIm5iZiI6MTcwMDAwMDAwMH0.A7Q57OBvFOcq0oudM6HtnyOdyy55l1K69AIZ5PwfNCQ";
    const ES256: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2lkLmFjbWUuZXhhbXBsZSIsImF1ZCI6ImNybSIsInN1YiI6IjciLCJleHAiOjE5MDAwMDAwMDAsIm5iZiI6MTcwMDAwMDAwMH0.pbtLkaJZaR5_TltiqyffKf7HhoSWL4e06enA0Qom2vDn1BktA1PiBI_x7mU5Q6acsZFknCSCQ4TK2Q1daFWg9A";
    const ES256_AS_RS256: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2lkLmFjbWUuZXhhbXBsZSIsImF1ZCI6ImNybSIsInN1YiI6IjciLCJleHAiOjE5MDAwMDAwMDAsIm5iZiI6MTcwMDAwMDAwMH0.2Fhbl0rLHItHFW2UO5br6R3Rt95qVJAHma56ELwLHXlADRPx0UZxLI7mmBWbbItSMQBciZrSmrNLlJpYivtP6g";

    fn rsa() -> Jwk {
        let [kid, n, e] = ["1", N, E].map(Into::into);
        Jwk::Rsa { kid, n, e, alg: None, usage: None }
    }

    fn p256() -> Jwk {
        let [kid, crv, x, y] = ["1", "P-256", X, Y].map(Into::into);
        Jwk::Ec { kid, crv, x, y, alg: None, usage: None }
    }

    fn verify(token: &str, key: &Jwk, at: i64) -> Result<String, RefusedOfOthers> {
        let expected = Expected { issuer: "https://id.acme.example", audience: "crm" };
        let now = DateTime::from_timestamp(at, 0).unwrap();
        verify_of_others(token, key, expected, now).map(|claims| claims.subject)
    }

    #[test]
    fn the_key_says_the_algorithm_and_the_token_does_not() {
        let now = 1_800_000_000;
        assert_eq!(verify(RS256, &rsa(), now).as_deref(), Ok("7"));
        assert_eq!(verify(ES256, &p256(), now).as_deref(), Ok("7"));
        for (token, key) in [
            // Good signatures of the same key, but by another algorithm than the one of its kind.
            (RS512, rsa()),
            (PS256, rsa()),
            (RS256_AS_ES256, rsa()),
            (ES256_AS_RS256, p256()),
            // By the other key, and by what everybody knows of the key.
            (RS256, p256()),
            (ES256, rsa()),
            (HS256_BY_MODULUS, rsa()),
            (HS256_BY_MODULUS, p256()),
        ] {
            assert_eq!(verify(token, &key, now), Err(RefusedOfOthers::Invalid), "{token} {}", key.kid());
        }
    }

    #[test]
    fn a_token_counts_from_its_beginning_to_its_end_for_whom_it_is() {
        let at = |at: i64| verify(ES256, &p256(), at).map(drop);
        assert_eq!(at(1_900_000_000 - 1), Ok(()));
        assert_eq!(at(1_900_000_000), Err(RefusedOfOthers::Expired));
        assert_eq!(at(1_700_000_000 - SKEW.num_seconds()), Ok(()));
        assert_eq!(at(1_700_000_000 - SKEW.num_seconds() - 1), Err(RefusedOfOthers::NotYetValid));
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for (issuer, audience) in [
            ("https://id.acme.example/", "crm"),
            ("https://id.acme.example", "CRM"),
            ("", ""),
            ("crm", "crm"),
        ] {
            let refused = verify_of_others(ES256, &p256(), Expected { issuer, audience }, now);
            assert_eq!(refused, Err(RefusedOfOthers::Invalid), "{issuer} {audience}");
        }
    }

    #[test]
    fn a_name_is_short_and_can_be_kept() {
        assert!(is_name("auth0|ada@example.com") && is_name(&"a".repeat(255)));
        assert!(!is_name("") && !is_name(&"a".repeat(256)) && !is_name("a\u{0}") && !is_name("a\n"));
    }
}
