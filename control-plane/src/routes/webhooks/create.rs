//! `POST /api/v1/webhooks`

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use tenantry_domain::{Clock, http_url::HttpUrl, ids::WebhookId, webhook::Webhook};
use tenantry_registry::{NewWebhook, Registry};
use utoipa::ToSchema;

use super::{
    secret::new_secret,
    view::{WebhookWithSecretView, read_description, read_types},
};
use crate::{
    auth::{Authorized, scopes::WebhooksWrite},
    claim::Claim,
    input::{Fields, JsonBody, TenantRef},
    refusal::Refusal,
    vault::Vault,
};

/// A webhook to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "url": "https://example.com/hooks", "types": ["tenant.*", "user.invited"] }))]
pub(crate) struct CreateWebhookBody {
    /// Where to send events: https; http only to networks that the workers' settings allow.
    url: String,
    /// Which: types such as `tenant.created`, all of a subject (`tenant.*`) or all (`*`). One-time tokens of users are sent only to
    /// who names the type.
    types: Vec<String>,
    /// Only events of this tenant: id or slug.
    tenant: Option<String>,
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Whether it is told of events from now on.
    #[serde(default = "yes")]
    enabled: bool,
}

fn yes() -> bool {
    true
}

/// Make a webhook
///
/// The answer is the only time that its secret is shown. It is told of what happens from now on.
#[utoipa::path(
    post, path = "/api/v1/webhooks", tag = "webhooks",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h")),
    request_body = CreateWebhookBody,
    responses((status = 201, description = "The webhook", body = WebhookWithSecretView)),
    security(("apiKey" = ["webhooks:write"])),
)]
pub(crate) async fn create_webhook(
    _: Authorized<WebhooksWrite>,
    claim: Claim,
    State(registry): State<Registry>,
    State(vault): State<Vault>,
    State(clock): State<Arc<dyn Clock>>,
    JsonBody(body): JsonBody<CreateWebhookBody>,
) -> Result<Response, Refusal> {
    let mut fields = Fields::default();
    let url = fields.take("url", HttpUrl::parse(&body.url));
    let types = read_types(&mut fields, &body.types);
    let description = read_description(&mut fields, &body.description);
    let tenant = fields.take_some("tenant", body.tenant.as_deref().map(read_tenant)).map(Box::new);
    fields.finish()?;
    let Some(url) = url else { return Err(Refusal::missing("url")) };
    let tenant_id = match tenant {
        Some(tenant) => Some(tenant.find_kept(&registry).await?.tenant.id),
        None => None,
    };
    let (now, secret) = (clock.now(), new_secret());
    let webhook = Webhook {
        id: WebhookId::from_uuid(claim.id_or_new(now)),
        url,
        types,
        tenant_id,
        description,
        enabled: body.enabled,
        disabled_reason: None,
        former_secret_until: None,
        created_at: now,
        updated_at: now,
    };
    let sealed = vault.seal_webhook_secret(webhook.id, &secret);
    registry.webhook_create(&NewWebhook { webhook: webhook.clone(), secret: sealed }).await?;
    tracing::info!(webhook.id = %webhook.id, "webhook {} was made", webhook.id);
    Ok(WebhookWithSecretView::answer(StatusCode::CREATED, webhook, &secret))
}

fn read_tenant(text: &str) -> Result<TenantRef, &'static str> {
    TenantRef::parse(text).ok_or("must be the id or slug of a tenant")
}
