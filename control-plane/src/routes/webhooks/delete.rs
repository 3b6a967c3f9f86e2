//! `DELETE /api/v1/webhooks/{webhook}`

use axum::{extract::State, http::StatusCode};
use tenantry_domain::ids::WebhookId;
use tenantry_registry::Registry;

use crate::{
    auth::{Authorized, scopes::WebhooksWrite},
    input::InPath,
    refusal::Refusal,
};

/// Remove a webhook
///
/// What was to be sent to it is forgotten.
#[utoipa::path(
    delete, path = "/api/v1/webhooks/{webhook}", tag = "webhooks",
    params(("webhook" = Uuid, Path, description = "The webhook's id")),
    responses((status = 204, description = "It is told nothing more")),
    security(("apiKey" = ["webhooks:write"])),
)]
pub(crate) async fn delete_webhook(
    _: Authorized<WebhooksWrite>,
    InPath(id): InPath<WebhookId>,
    State(registry): State<Registry>,
) -> Result<StatusCode, Refusal> {
    if !registry.webhook_delete(id).await? {
        return Err(Refusal::not_found("webhook"));
    }
    tracing::info!(webhook.id = %id, "webhook {id} was removed");
    Ok(StatusCode::NO_CONTENT)
}
