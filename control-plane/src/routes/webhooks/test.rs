//! `POST /api/v1/webhooks/{webhook}/test`

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use tenantry_domain::{
    Clock,
    ids::{EventId, WebhookId},
};
use tenantry_http::Problem;
use tenantry_registry::Registry;

use super::view::DeliveryView;
use crate::{
    auth::{Authorized, scopes::WebhooksWrite},
    claim::Claim,
    input::InPath,
    refusal::Refusal,
};

/// Send an event `webhook.test` to a webhook
///
/// Whatever it asks for, and without waiting for what could not be delivered. What came of it, its delivery says.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{webhook}/test", tag = "webhooks",
    params(
        ("webhook" = Uuid, Path, description = "The webhook's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses(
        (status = 202, description = "It is to be sent", body = DeliveryView),
        (status = 409, description = "`webhook_disabled`", body = Problem),
    ),
    security(("apiKey" = ["webhooks:write"])),
)]
pub(crate) async fn test_webhook(
    _: Authorized<WebhooksWrite>,
    claim: Claim,
    InPath(id): InPath<WebhookId>,
    State(registry): State<Registry>,
    State(clock): State<Arc<dyn Clock>>,
) -> Result<(StatusCode, Json<DeliveryView>), Refusal> {
    let gone = || Refusal::not_found("webhook");
    let webhook = registry.webhook_get(id).await?.ok_or_else(gone)?;
    if !webhook.enabled {
        return Err(Refusal::conflict("webhook_disabled", "the webhook is told nothing; enable it first"));
    }
    let event = EventId::from_uuid(claim.id_or_new(clock.now()));
    registry.webhook_test(id, event).await?;
    let delivery = registry.delivery_get(id, event).await?.ok_or_else(gone)?;
    Ok((StatusCode::ACCEPTED, Json(delivery.into())))
}
