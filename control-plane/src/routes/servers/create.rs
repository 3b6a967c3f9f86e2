//! `POST /api/v1/servers`

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use tenantry_domain::{Clock, ids::ServerId, names::ObjectName, server_tls::ServerTls};
use tenantry_http::Problem;
use tenantry_registry::{NewServer, Registry, ServerAccess};

use super::{body::ServerBody, check::require_usable, patch::PatchServerBody, view::ServerView};
use crate::{
    auth::{Authorized, scopes::ServersWrite},
    input::{Fields, JsonBody, QueryParams},
    refusal::Refusal,
    use_cases::ask_worker::AskWorker,
    vault::Vault,
};

/// The database that tenants of tier `schema` share unless another is named.
const SHARED_DATABASE: &str = "tenants";

/// Register a server
///
/// A worker checks first whether it can hold tenants; what they need there is made when the first one comes.
#[utoipa::path(
    post, path = "/api/v1/servers", tag = "servers",
    params(
        ("check" = Option<bool>, Query, description = "`false`: register it as it is, e.g. because it is not up yet"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = ServerBody,
    responses(
        (status = 201, description = "The server", body = ServerView),
        (status = 409, description = "`server_exists` or `server_address_taken`", body = Problem),
        (status = 422, description = "`server_unusable`: `errors` names all that is wrong", body = Problem),
        (status = 503, description = "`no_worker` or `inquiry_failed`: it could not be checked", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
pub(crate) async fn create_server(
    _: Authorized<ServersWrite>,
    mut query: QueryParams,
    State(registry): State<Registry>,
    State(vault): State<Vault>,
    State(clock): State<Arc<dyn Clock>>,
    State(ask): State<AskWorker>,
    JsonBody(mut body): JsonBody<ServerBody>,
) -> Result<impl IntoResponse, Refusal> {
    let check = query.take("check").unwrap_or(true);
    query.finish()?;
    let name = body.name.take().ok_or_else(|| Refusal::missing("name"))?;
    let admin_user = body.admin_user.clone().ok_or_else(|| Refusal::missing("adminUser"))?;
    let password = body.admin_password.clone().ok_or_else(|| Refusal::missing("adminPassword"))?;
    let mut fields = Fields::default();
    let given = PatchServerBody::from(body.clone());
    given.check(&mut fields);
    let tls = given.tls(&ServerTls::default(), &mut fields).unwrap_or_default();
    let shared = body.shared_database.take().unwrap_or_else(|| SHARED_DATABASE.to_owned());
    let shared_database = fields.take("sharedDatabase", ObjectName::parse(&shared));
    fields.finish()?;
    let shared_database = shared_database.ok_or_else(|| Refusal::missing("sharedDatabase"))?;

    let now = clock.now();
    let id = ServerId::generate(now, &mut rand::rng());
    let admin_password = vault.seal_admin_password(id, &password);
    let server = body.server(id, name, tls, now);
    let new = NewServer { server: server.clone(), admin_user, admin_password, shared_database };
    if check {
        require_usable(&ask, ServerAccess::from(new.clone()).into()).await?;
    }
    registry.server_create(&new).await?;
    let location = format!("/api/v1/servers/{}", server.name);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(ServerView::from(server))))
}
