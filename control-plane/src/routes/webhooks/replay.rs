//! `POST /api/v1/webhooks/{webhook}/replay`

use axum::{Json, extract::State};
use serde::Serialize;
use tenantry_domain::ids::WebhookId;
use tenantry_registry::{Registry, Replay};
use utoipa::ToSchema;

use crate::{
    auth::{Authorized, scopes::WebhooksWrite},
    input::InPath,
    refusal::Refusal,
};

/// How many deliveries were begun anew.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReplayedView {
    /// How many.
    replayed: u64,
}

/// Send all that a webhook could not be told again
///
/// Those of its deliveries that are dead, each tenant's in their order and before what came later and was not delivered.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{webhook}/replay", tag = "webhooks",
    params(
        ("webhook" = Uuid, Path, description = "The webhook's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses((status = 200, description = "They are to be sent", body = ReplayedView)),
    security(("apiKey" = ["webhooks:write"])),
)]
pub(crate) async fn replay_webhook(
    _: Authorized<WebhooksWrite>,
    InPath(id): InPath<WebhookId>,
    State(registry): State<Registry>,
) -> Result<Json<ReplayedView>, Refusal> {
    registry.webhook_get(id).await?.ok_or_else(|| Refusal::not_found("webhook"))?;
    let replayed = registry.delivery_replay(id, Replay::Dead).await?;
    tracing::info!(webhook.id = %id, replayed, "{replayed} events are sent to webhook {id} again");
    Ok(Json(ReplayedView { replayed }))
}
