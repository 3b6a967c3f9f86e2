//! `GET /api/v1/webhooks/{webhook}/deliveries`

use axum::{Json, extract::State};
use tenantry_domain::ids::WebhookId;
use tenantry_registry::Registry;

use crate::{
    auth::{Authorized, scopes::WebhooksRead},
    input::{InPath, QueryParams, cursor::Listing},
    refusal::Refusal,
    routes::webhooks::view::DeliveryView,
    vocabulary,
};

/// What has become of events at a webhook, the last ones first
#[utoipa::path(
    get, path = "/api/v1/webhooks/{webhook}/deliveries", tag = "webhooks",
    params(
        ("webhook" = Uuid, Path, description = "The webhook's id"),
        ("state" = Option<vocabulary::DeliveryState>, Query, description = "In this state"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Listing<DeliveryView>)),
    security(("apiKey" = ["webhooks:read"])),
)]
pub(crate) async fn list_deliveries(
    _: Authorized<WebhooksRead>,
    InPath(id): InPath<WebhookId>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<DeliveryView>>, Refusal> {
    let state = query.take("state");
    let window = query.window();
    query.finish()?;
    let page = window.by_id()?;
    registry.webhook_get(id).await?.ok_or_else(|| Refusal::not_found("webhook"))?;
    let deliveries = registry.delivery_list(id, state, page).await?;
    let event = |delivery: &tenantry_registry::Delivery| delivery.event_id.to_string();
    Ok(Json(Listing::of(deliveries, window.size(), event, DeliveryView::from)))
}
