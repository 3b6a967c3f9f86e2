//! `GET /api/v1/webhooks`

use axum::{Json, extract::State};
use tenantry_registry::Registry;

use super::view::WebhookView;
use crate::{
    auth::{Authorized, scopes::WebhooksRead},
    input::{QueryParams, cursor::Listing},
    refusal::Refusal,
};

/// Webhooks, newest first
#[utoipa::path(
    get, path = "/api/v1/webhooks", tag = "webhooks",
    params(
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page; never their secrets", body = Listing<WebhookView>)),
    security(("apiKey" = ["webhooks:read"])),
)]
pub(crate) async fn list_webhooks(
    _: Authorized<WebhooksRead>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<WebhookView>>, Refusal> {
    let window = query.window();
    query.finish()?;
    let webhooks = registry.webhook_list(window.by_id()?).await?;
    Ok(Json(Listing::of(webhooks, window.size(), |webhook| webhook.id.to_string(), WebhookView::from)))
}
