//! `GET /api/v1/tenants/{tenant}/connection`

use axum::{Json, extract::State, http::header, response::IntoResponse};
use secrecy::ExposeSecret;
use serde::Serialize;
use tenantry_domain::api_key::Scope;
use tenantry_http::Problem;
use tenantry_registry::Registry;
use utoipa::ToSchema;

use crate::{
    auth::{Authorized, require, scopes::TenantsRead},
    input::{InPath, QueryParams, TenantRef},
    refusal::Refusal,
    vault::Vault,
};

/// How to reach a tenant's data with a PostgreSQL client. Not `Debug`: it may hold the password.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConnectionView {
    /// Host name or address.
    #[schema(example = "10.0.0.5")]
    host: String,
    /// TCP port.
    #[schema(example = 5432)]
    port: u16,
    /// The database.
    #[schema(example = "tenant_my_org")]
    database: String,
    /// The schema that holds the tables.
    #[schema(example = "tenant_my_org")]
    schema: String,
    /// The role to log in as.
    #[schema(example = "tenant_my_org")]
    role: String,
    /// The role's password; only with `reveal=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

/// Where a tenant's data is, for a PostgreSQL client
///
/// The password is shown only with `reveal=true` and the scope `tenants:secrets`.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/connection", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("reveal" = Option<bool>, Query, description = "Show the password too; needs the scope `tenants:secrets`"),
    ),
    responses(
        (status = 200, description = "The connection", body = ConnectionView),
        (status = 409, description = "`tenant_has_no_placement`", body = Problem),
    ),
    security(("apiKey" = ["tenants:read"])),
)]
pub(crate) async fn tenant_connection(
    caller: Authorized<TenantsRead>,
    InPath(tenant): InPath<TenantRef>,
    mut query: QueryParams,
    State(registry): State<Registry>,
    State(vault): State<Vault>,
) -> Result<impl IntoResponse, Refusal> {
    let reveal = query.take("reveal").unwrap_or(false);
    query.finish()?;
    if reveal {
        require(caller.caller(), Scope::TenantsSecrets)?;
    }
    let details = tenant.find(&registry).await?;
    let id = details.tenant.id;
    let nowhere =
        || Refusal::conflict("tenant_has_no_placement", "the tenant's data is not made yet, or is dropped");
    let placement = details.placement.filter(|placement| placement.state.serves()).ok_or_else(nowhere)?;
    let server = registry.server_get(placement.server_id).await?.ok_or_else(nowhere)?.server;
    let password = if reveal {
        let credentials = registry.placement_credentials(id, placement.epoch).await?.ok_or_else(nowhere)?;
        let password = vault.role_password(id, &credentials).map_err(|error| Refusal::internal(&error))?;
        tracing::info!(
            tenant.id = %id, caller = %caller.caller(), "the database password of tenant {id} was revealed"
        );
        Some(password.expose_secret().to_owned())
    } else {
        None
    };
    let view = ConnectionView {
        host: server.host,
        port: server.port,
        database: placement.database.to_string(),
        role: placement.role().to_string(),
        schema: placement.schema.to_string(),
        password,
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(view)))
}
