//! `GET /api/v1/webhooks/{webhook}/deliveries/{delivery}`

use axum::{Json, extract::State};
use tenantry_domain::ids::{EventId, WebhookId};
use tenantry_registry::Registry;

use crate::{
    auth::{Authorized, scopes::WebhooksRead},
    input::InPath,
    refusal::Refusal,
    routes::webhooks::view::DeliveryView,
};

/// What has become of one event at a webhook
#[utoipa::path(
    get, path = "/api/v1/webhooks/{webhook}/deliveries/{delivery}", tag = "webhooks",
    params(
        ("webhook" = Uuid, Path, description = "The webhook's id"),
        ("delivery" = Uuid, Path, description = "The event's id"),
    ),
    responses((status = 200, description = "The delivery", body = DeliveryView)),
    security(("apiKey" = ["webhooks:read"])),
)]
pub(crate) async fn get_delivery(
    _: Authorized<WebhooksRead>,
    InPath((webhook, event)): InPath<(WebhookId, EventId)>,
    State(registry): State<Registry>,
) -> Result<Json<DeliveryView>, Refusal> {
    let delivery = registry.delivery_get(webhook, event).await?;
    Ok(Json(delivery.ok_or_else(|| Refusal::not_found("delivery"))?.into()))
}
