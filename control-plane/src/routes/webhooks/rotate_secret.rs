//! `POST /api/v1/webhooks/{webhook}/rotate-secret`

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use tenantry_domain::{Clock, ids::WebhookId, webhook::SECRET_OVERLAP};
use tenantry_registry::Registry;

use super::{secret::new_secret, view::WebhookWithSecretView};
use crate::{
    auth::{Authorized, scopes::WebhooksWrite},
    input::InPath,
    refusal::Refusal,
    vault::Vault,
};

/// Give a webhook another secret
///
/// The answer is the only time that it is shown. For a day requests are signed with both, so that no receiver refuses one.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{webhook}/rotate-secret", tag = "webhooks",
    params(
        ("webhook" = Uuid, Path, description = "The webhook's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses((status = 200, description = "The webhook with its new secret", body = WebhookWithSecretView)),
    security(("apiKey" = ["webhooks:write"])),
)]
pub(crate) async fn rotate_webhook_secret(
    _: Authorized<WebhooksWrite>,
    InPath(id): InPath<WebhookId>,
    State(registry): State<Registry>,
    State(vault): State<Vault>,
    State(clock): State<Arc<dyn Clock>>,
) -> Result<Response, Refusal> {
    let (now, secret) = (clock.now(), new_secret());
    let sealed = vault.seal_webhook_secret(id, &secret);
    registry.webhook_rotate_secret(id, &sealed, now, now + SECRET_OVERLAP).await?;
    let webhook = registry.webhook_get(id).await?.ok_or_else(|| Refusal::not_found("webhook"))?;
    tracing::info!(webhook.id = %id, "webhook {id} has another secret");
    Ok(WebhookWithSecretView::answer(StatusCode::OK, webhook, &secret))
}
