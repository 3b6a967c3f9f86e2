//! API keys as clients see them.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tenantry_domain::api_key::ApiKey;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{input::Fields, vocabulary};

/// A key, without the key itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyView {
    /// Its id.
    id: Uuid,
    /// What it is for.
    #[schema(example = "web shop")]
    name: String,
    /// What it may do.
    #[schema(value_type = Vec<vocabulary::Scope>)]
    scopes: Vec<&'static str>,
    /// When it stops working; null is never.
    expires_at: Option<DateTime<Utc>>,
    /// When it was made.
    created_at: DateTime<Utc>,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id.as_uuid(),
            name: key.name,
            scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
            expires_at: key.expires_at,
            created_at: key.created_at,
        }
    }
}

/// A key that was just made. Not `Debug`: it holds the key itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreatedKeyView {
    /// The key as it will be listed.
    #[serde(flatten)]
    listed: KeyView,
    /// The key itself: this is the only time that it is shown.
    #[schema(example = "tnt_…")]
    key: String,
}

impl CreatedKeyView {
    /// 201 with the key, for nobody's cache.
    pub(crate) fn answer(key: ApiKey, secret: &SecretString) -> Response {
        let view = Self { listed: key.into(), key: secret.expose_secret().to_owned() };
        (StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(view)).into_response()
    }
}

/// A key must not be dead from birth.
pub(crate) fn expiry(fields: &mut Fields, expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) {
    fields.check("expiresAt", expires_at.is_none_or(|end| end > now), "must be in the future");
    // What PostgreSQL can hold and RFC 3339 can write.
    let year = expires_at.map_or(0, |end| chrono::Datelike::year(&end));
    fields.check("expiresAt", year <= 9999, "must be before the year 10000");
}
