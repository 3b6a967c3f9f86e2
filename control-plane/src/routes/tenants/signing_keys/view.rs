//! A signing key as operators see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tenantry_registry::SigningKeyRecord;
use utoipa::ToSchema;

/// A key that signs access tokens, or has signed some that still count.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SigningKeyView {
    /// Its `kid`, as in tokens and at `/.well-known/jwks.json`.
    id: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When a newer one took its place; null for the one that signs.
    superseded_at: Option<DateTime<Utc>>,
}

impl From<SigningKeyRecord> for SigningKeyView {
    fn from(key: SigningKeyRecord) -> Self {
        Self { id: key.id.to_string(), created_at: key.created_at, superseded_at: key.superseded_at }
    }
}
