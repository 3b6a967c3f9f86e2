//! `POST /api/v1/webhooks/{webhook}/deliveries/{delivery}/replay`

use axum::{Json, extract::State};
use tenantry_domain::ids::{EventId, WebhookId};
use tenantry_registry::{Registry, Replay};

use crate::{
    auth::{Authorized, scopes::WebhooksWrite},
    input::InPath,
    refusal::Refusal,
    routes::webhooks::view::DeliveryView,
};

/// Send an event to a webhook again
///
/// Whether it was delivered or not; one that is to be sent anyway is answered as it is.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{webhook}/deliveries/{delivery}/replay", tag = "webhooks",
    params(
        ("webhook" = Uuid, Path, description = "The webhook's id"),
        ("delivery" = Uuid, Path, description = "The event's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses((status = 200, description = "It is to be sent", body = DeliveryView)),
    security(("apiKey" = ["webhooks:write"])),
)]
pub(crate) async fn replay_delivery(
    _: Authorized<WebhooksWrite>,
    InPath((webhook, event)): InPath<(WebhookId, EventId)>,
    State(registry): State<Registry>,
) -> Result<Json<DeliveryView>, Refusal> {
    registry.delivery_replay(webhook, Replay::One(event)).await?;
    let delivery = registry.delivery_get(webhook, event).await?;
    Ok(Json(delivery.ok_or_else(|| Refusal::not_found("delivery"))?.into()))
}
