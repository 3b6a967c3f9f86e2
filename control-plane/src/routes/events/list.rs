//! `GET /api/v1/events`

use axum::{Json, extract::State};
use tenantry_registry::{EventFilter, Registry};

use super::view::StoredEventView;
use crate::{
    auth::{Authorized, scopes::EventsRead},
    input::{QueryParams, TenantRef, cursor::Listing},
    refusal::Refusal,
};

/// What has happened, the last first
///
/// Kept for 30 days, unless the workers' settings say otherwise.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "webhooks",
    params(
        ("type" = Option<String>, Query, description = "Of this type, or of these: `tenant.*`", example = "tenant.created"),
        ("tenant" = Option<String>, Query, description = "About this tenant (id or slug)"),
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Listing<StoredEventView>)),
    security(("apiKey" = ["events:read"])),
)]
pub(crate) async fn list_events(
    _: Authorized<EventsRead>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<StoredEventView>>, Refusal> {
    let tenant: Option<String> = query.take("tenant");
    let mut filter = EventFilter { types: query.take("type"), tenant: None };
    let window = query.window();
    query.finish()?;
    let page = window.by_id()?;
    if let Some(tenant) = tenant {
        let tenant = TenantRef::parse(&tenant).ok_or_else(|| Refusal::not_found("tenant"))?;
        filter.tenant = Some(tenant.find(&registry).await?.tenant.id);
    }
    let events = registry.event_list(&filter, page).await?;
    Ok(Json(Listing::of(events, window.size(), |event| event.id.to_string(), StoredEventView::from)))
}
