//! Webhooks and deliveries as clients see them.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tenantry_domain::{event::TypePattern, ids::TenantId, webhook::Webhook};
use tenantry_registry::Delivery;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    input::{Fields, fields},
    vocabulary,
};

/// A webhook, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookView {
    /// Its id.
    id: Uuid,
    /// Where events are sent.
    #[schema(example = "https://example.com/hooks")]
    url: String,
    /// Which: types, `tenant.*` or `*`.
    #[schema(example = json!(["tenant.*", "user.invited"]))]
    types: Vec<String>,
    /// Only events of this tenant; null is all.
    tenant_id: Option<Uuid>,
    /// What it is for.
    description: String,
    /// Whether it is told of events. What was to be sent when it was disabled waits.
    enabled: bool,
    /// Why it was disabled, if nobody asked for that.
    disabled_reason: Option<String>,
    /// Until when requests are signed with the secret before the last rotation, too.
    former_secret_until: Option<DateTime<Utc>>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
}

impl From<Webhook> for WebhookView {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: webhook.id.as_uuid(),
            url: webhook.url.to_string(),
            types: webhook.types.iter().map(ToString::to_string).collect(),
            tenant_id: webhook.tenant_id.map(TenantId::as_uuid),
            description: webhook.description,
            enabled: webhook.enabled,
            disabled_reason: webhook.disabled_reason,
            former_secret_until: webhook.former_secret_until,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
        }
    }
}

/// A webhook with a secret that was just made. Not `Debug`: it holds the secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WebhookWithSecretView {
    /// The webhook as it will be listed.
    #[serde(flatten)]
    listed: WebhookView,
    /// What requests are signed with, by Standard Webhooks: this is the only time that it is shown.
    #[schema(example = "whsec_…")]
    secret: String,
}

impl WebhookWithSecretView {
    /// The webhook with its secret, for nobody's cache.
    pub(super) fn answer(status: StatusCode, webhook: Webhook, secret: &SecretString) -> Response {
        let view = Self { listed: webhook.into(), secret: secret.expose_secret().to_owned() };
        (status, [(header::CACHE_CONTROL, "no-store")], Json(view)).into_response()
    }
}

/// What has become of an event at a webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryView {
    /// The event's id: `webhook-id` of every attempt.
    id: Uuid,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(value_type = vocabulary::EventType)]
    kind: &'static str,
    /// The tenant that it is about.
    tenant_id: Option<Uuid>,
    /// How far it is.
    #[schema(value_type = vocabulary::DeliveryState)]
    state: &'static str,
    /// Attempts since it was last begun.
    attempts: u32,
    /// The HTTP status of the last answer.
    status_code: Option<u16>,
    /// Why the last attempt that failed did.
    error: Option<String>,
    /// When it was last attempted.
    attempted_at: Option<DateTime<Utc>>,
    /// When it is attempted again, if it has failed.
    next_attempt_at: Option<DateTime<Utc>>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
    /// When the event happened.
    happened_at: DateTime<Utc>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.event_id.as_uuid(),
            kind: delivery.kind.as_str(),
            tenant_id: delivery.tenant_id.map(TenantId::as_uuid),
            state: delivery.state.as_str(),
            attempts: delivery.attempts,
            status_code: delivery.status,
            error: delivery.error,
            attempted_at: delivery.attempted_at,
            next_attempt_at: delivery.next_attempt_at,
            finished_at: delivery.finished_at,
            happened_at: delivery.happened_at,
        }
    }
}

/// Types as they were given; sorted, each once.
pub(super) fn read_types(wrong: &mut Fields, given: &[String]) -> Vec<TypePattern> {
    wrong.check("types", !given.is_empty(), "must name at least one type, or `*`");
    let mut types: Vec<TypePattern> =
        given.iter().filter_map(|text| wrong.take("types", text.parse())).collect();
    types.sort_unstable();
    types.dedup();
    types
}

/// A description as it was given; empty, or as other texts of people.
pub(super) fn read_description(wrong: &mut Fields, given: &str) -> String {
    if given.trim().is_empty() {
        return String::new();
    }
    wrong.take("description", fields::label(given)).unwrap_or_default()
}
