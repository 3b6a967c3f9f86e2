//! `GET /api/v1/webhooks/{webhook}`

use axum::{Json, extract::State};
use tenantry_domain::ids::WebhookId;
use tenantry_registry::Registry;

use super::view::WebhookView;
use crate::{
    auth::{Authorized, scopes::WebhooksRead},
    input::InPath,
    refusal::Refusal,
};

/// One webhook
#[utoipa::path(
    get, path = "/api/v1/webhooks/{webhook}", tag = "webhooks",
    params(("webhook" = Uuid, Path, description = "The webhook's id")),
    responses((status = 200, description = "The webhook; never its secret", body = WebhookView)),
    security(("apiKey" = ["webhooks:read"])),
)]
pub(crate) async fn get_webhook(
    _: Authorized<WebhooksRead>,
    InPath(id): InPath<WebhookId>,
    State(registry): State<Registry>,
) -> Result<Json<WebhookView>, Refusal> {
    let webhook = registry.webhook_get(id).await?.ok_or_else(|| Refusal::not_found("webhook"))?;
    Ok(Json(webhook.into()))
}
