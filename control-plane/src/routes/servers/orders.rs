//! `GET /api/v1/server-orders`

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tenantry_registry::{Registry, ServerOrder};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    auth::{Authorized, scopes::ServersRead},
    input::{QueryParams, cursor::Listing},
    refusal::Refusal,
};

/// A server that is being made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerOrderView {
    /// The id that it will have.
    id: Uuid,
    /// The name that it will have.
    #[schema(example = "standard-9f3c2a1b0d4e")]
    name: String,
    /// What it is made from.
    #[schema(example = "standard")]
    class: String,
    /// `ordering`, or `failing`: its provider could not make it when it was last asked, and is asked again.
    state: ServerOrderState,
    /// What it waits for, or why its provider fails.
    message: Option<String>,
    /// The operation that sees to it. Cancelling it gives the order back; where room is missing still, the next one follows: set
    /// the class's `minFree` to 0 first.
    operation: Uuid,
    /// When it was ordered.
    ordered_at: DateTime<Utc>,
}

/// How an order is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServerOrderState {
    /// Its provider makes it.
    Ordering,
    /// Its provider could not make it when it was last asked.
    Failing,
}

impl From<ServerOrder> for ServerOrderView {
    fn from(order: ServerOrder) -> Self {
        Self {
            id: order.id.as_uuid(),
            name: order.name,
            class: order.class.to_string(),
            state: if order.failing.is_some() {
                ServerOrderState::Failing
            } else {
                ServerOrderState::Ordering
            },
            message: order.failing.or(order.message),
            operation: order.operation.as_uuid(),
            ordered_at: order.ordered_at,
        }
    }
}

/// Servers that are being made, by name
///
/// From classes: those that are made for one tenant are part of that tenant's operation.
#[utoipa::path(
    get, path = "/api/v1/server-orders", tag = "servers",
    params(
        ("limit" = Option<u16>, Query, description = "1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = Listing<ServerOrderView>)),
    security(("apiKey" = ["servers:read"])),
)]
pub(crate) async fn list_server_orders(
    _: Authorized<ServersRead>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<ServerOrderView>>, Refusal> {
    let window = query.window();
    query.finish()?;
    let mut orders = registry.server_orders().await?;
    let name = |order: &ServerOrder| order.name.clone();
    orders.sort_by_key(name);
    Ok(Json(Listing::of_all(orders, window.after.as_ref(), window.size(), name, ServerOrderView::from)))
}
