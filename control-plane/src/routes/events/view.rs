//! An event as clients see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use tenantry_domain::event::Event;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::vocabulary;

/// Something that happened.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredEventView {
    /// Its id: `webhook-id` of all requests that tell of it.
    id: Uuid,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(value_type = vocabulary::EventType)]
    kind: &'static str,
    /// When.
    timestamp: DateTime<Utc>,
    /// What else is to be known, as webhooks are told; one-time tokens are left out.
    #[schema(value_type = Object)]
    data: Map<String, Value>,
}

impl From<Event> for StoredEventView {
    fn from(event: Event) -> Self {
        Self { id: event.id.as_uuid(), kind: event.kind.as_str(), timestamp: event.at, data: event.data }
    }
}
