//! Tokens that somebody else has signed: an identity provider whose public keys are known.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
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
    let claims = jsonwebtoken::decode::<Claims>(token, &key, validation).map_err(invalid)?.claims;
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
