//! Keys that nobody else has.

use std::fmt::Write as _;

/// A new idempotency key: 128 bits in hexadecimal.
pub(crate) fn key() -> String {
    let bytes: [u8; 16] = rand::random();
    bytes.iter().fold("terraform-".to_owned(), |mut key, byte| {
        let _ = write!(key, "{byte:02x}");
        key
    })
}
