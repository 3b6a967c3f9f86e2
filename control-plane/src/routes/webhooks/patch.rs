//! `PATCH /api/v1/webhooks/{webhook}`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Deserialize;
use tenantry_domain::{Clock, http_url::HttpUrl, ids::WebhookId};
use tenantry_registry::{Registry, WebhookChange};
use utoipa::ToSchema;

use super::view::{WebhookView, read_description, read_types};
use crate::{
    auth::{Authorized, scopes::WebhooksWrite},
    input::{Fields, InPath, JsonBody},
    refusal::Refusal,
};

/// What is to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "enabled": true }))]
pub(crate) struct PatchWebhookBody {
    /// Where to send events; also those that wait.
    url: Option<String>,
    /// Which events, from now on.
    types: Option<Vec<String>>,
    /// What it is for.
    description: Option<String>,
    /// Whether it is told of events. What was to be sent when it was disabled is sent when it is enabled.
    enabled: Option<bool>,
}

/// Change a webhook
#[utoipa::path(
    patch, path = "/api/v1/webhooks/{webhook}", tag = "webhooks",
    params(("webhook" = Uuid, Path, description = "The webhook's id")),
    request_body = PatchWebhookBody,
    responses((status = 200, description = "The webhook as it is now", body = WebhookView)),
    security(("apiKey" = ["webhooks:write"])),
)]
pub(crate) async fn patch_webhook(
    _: Authorized<WebhooksWrite>,
    InPath(id): InPath<WebhookId>,
    State(registry): State<Registry>,
    State(clock): State<Arc<dyn Clock>>,
    JsonBody(body): JsonBody<PatchWebhookBody>,
) -> Result<Json<WebhookView>, Refusal> {
    let mut fields = Fields::default();
    let change = WebhookChange {
        url: fields.take_some("url", body.url.as_deref().map(HttpUrl::parse)),
        types: body.types.as_deref().map(|types| read_types(&mut fields, types)),
        description: body.description.as_deref().map(|text| read_description(&mut fields, text)),
        enabled: body.enabled,
    };
    fields.finish()?;
    let changed = registry.webhook_change(id, &change, clock.now()).await?;
    Ok(Json(changed.ok_or_else(|| Refusal::not_found("webhook"))?.into()))
}
