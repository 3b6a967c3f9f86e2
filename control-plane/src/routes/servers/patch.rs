//! `PATCH /api/v1/servers/{server}`

use axum::{Json, extract::State};
use secrecy::SecretString;
use serde::Deserialize;
use tenantry_domain::{
    plan::Tier,
    server::{Provider, ServerName, ServerState},
    server_tls::{ServerTls, SslMode},
};
use tenantry_http::Problem;
use tenantry_registry::{Registry, ServerEdit};
use utoipa::ToSchema;

use super::{body::each_once, change::change, view::ServerView};
use crate::{
    auth::{Authorized, scopes::ServersWrite},
    input::{Fields, InPath, JsonBody, QueryParams, ServerRef},
    refusal::Refusal,
    use_cases::ask_worker::AskWorker,
    vault::Vault,
    vocabulary,
};

/// What is to change; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "state": "cordoned" }))]
pub(crate) struct PatchServerBody {
    /// Its name, which stays.
    #[schema(value_type = Option<String>)]
    pub(super) name: Option<ServerName>,
    /// Where it runs.
    pub(super) region: Option<String>,
    /// Host name or address.
    pub(super) host: Option<String>,
    /// TCP port.
    pub(super) port: Option<u16>,
    /// disable, prefer, require, verify-ca or verify-full, as libpq's `sslmode`.
    #[schema(value_type = Option<vocabulary::SslMode>)]
    pub(super) ssl_mode: Option<SslMode>,
    /// The certificate of the CA that signed the server's, as PEM text; with verify-full also `system`, for the public
    /// CAs that the operating system trusts. Stays where it is left out and the mode can use it.
    pub(super) ssl_root_cert: Option<String>,
    /// The login with which workers administer it; never shown. With its password.
    #[schema(write_only)]
    pub(super) admin_user: Option<String>,
    /// Its password; never shown.
    #[schema(write_only, value_type = Option<String>)]
    pub(super) admin_password: Option<SecretString>,
    /// The database that tenants of tier `schema` share, which stays.
    pub(super) shared_database: Option<String>,
    /// active, cordoned or draining.
    #[schema(value_type = Option<vocabulary::ServerState>)]
    pub(super) state: Option<ServerState>,
    /// static, local, rds or kubernetes.
    #[schema(value_type = Option<vocabulary::Provider>)]
    pub(super) provider: Option<Provider>,
    /// The tiers that it may hold.
    #[schema(value_type = Option<Vec<vocabulary::Tier>>)]
    pub(super) tiers: Option<Vec<Tier>>,
    /// How many tenants it may hold.
    pub(super) capacity: Option<u32>,
    /// Connections that one data plane may open to it.
    pub(super) max_connections: Option<u32>,
}

impl PatchServerBody {
    /// How connections are protected after the change, with a note of what is wrong with it; none: as before.
    pub(super) fn tls(&self, before: &ServerTls, fields: &mut Fields) -> Option<ServerTls> {
        if self.ssl_mode.is_none() && self.ssl_root_cert.is_none() {
            return None;
        }
        let mode = self.ssl_mode.unwrap_or(before.mode());
        let given = fields.take_some("sslRootCert", self.ssl_root_cert.as_deref().map(str::parse));
        if given.is_none() && self.ssl_root_cert.is_some() {
            return None;
        }
        let kept = before.roots().filter(|roots| ServerTls::new(mode, Some(roots.clone())).is_ok());
        fields.take("sslRootCert", ServerTls::new(mode, given.or(kept)))
    }

    /// The change, once nothing was found wrong, with the sealed password.
    pub(super) fn edit(self, tls: Option<ServerTls>, admin_password: Option<Vec<u8>>) -> ServerEdit {
        ServerEdit {
            region: self.region.map(|region| region.trim().to_owned()),
            host: self.host.map(|host| host.to_ascii_lowercase()),
            port: self.port,
            tls,
            state: self.state,
            provider: self.provider,
            tiers: self.tiers.map(each_once),
            capacity: self.capacity,
            max_connections: self.max_connections,
            admin_user: self.admin_user,
            admin_password,
        }
    }
}

/// Change a server
///
/// Only what is given.
#[utoipa::path(
    patch, path = "/api/v1/servers/{server}", tag = "servers",
    params(
        ("server" = String, Path, description = "Id or name", example = "eu-1"),
        ("check" = Option<bool>, Query, description = "`false`: change address, TLS or login as they are, without a check"),
    ),
    request_body = PatchServerBody,
    responses(
        (status = 200, description = "The server as it is now", body = ServerView),
        (status = 409, description = "`server_address_taken` or `server_hibernated`", body = Problem),
        (status = 422, description = "`server_unusable`: `errors` names all that is wrong", body = Problem),
        (status = 503, description = "`no_worker` or `inquiry_failed`: it could not be checked", body = Problem),
    ),
    security(("apiKey" = ["servers:write"])),
)]
pub(crate) async fn patch_server(
    _: Authorized<ServersWrite>,
    InPath(server): InPath<ServerRef>,
    query: QueryParams,
    State(registry): State<Registry>,
    State(vault): State<Vault>,
    State(ask): State<AskWorker>,
    JsonBody(body): JsonBody<PatchServerBody>,
) -> Result<Json<ServerView>, Refusal> {
    let before = server.find(&registry).await?;
    change(&registry, &vault, &ask, query, before, body).await
}
