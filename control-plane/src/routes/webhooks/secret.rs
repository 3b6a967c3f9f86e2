//! What a webhook's requests are signed with.

use base64::{Engine, engine::general_purpose::STANDARD};
use rand::Rng;
use secrecy::SecretString;

/// As Standard Webhooks writes a secret, of 256 random bits.
pub(super) fn new_secret() -> SecretString {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    format!("whsec_{}", STANDARD.encode(bytes)).into()
}
