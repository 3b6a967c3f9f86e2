//! `POST /api/v1/tenants/{tenant}/domains`

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use serde::Deserialize;
use tenantry_domain::{Clock, domain_name::DomainName};
use tenantry_http::Problem;
use tenantry_registry::Registry;
use utoipa::ToSchema;

use super::view::DomainView;
use crate::{
    Settings,
    auth::{Authorized, scopes::TenantsWrite},
    input::{InPath, JsonBody, TenantRef},
    refusal::Refusal,
    use_cases::create_tenant::{CreateTenantError, domain_token},
};

/// A domain to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "domain": "events.customersite.com" }))]
pub(crate) struct CreateDomainBody {
    /// The host name.
    #[schema(value_type = String)]
    domain: DomainName,
}

/// Add a custom domain
///
/// It is served once the TXT record in the answer is seen; Tenantry looks for it every few seconds, and
/// forgets a domain whose record does not appear within a week. Several tenants may add the same domain:
/// whoever proves it first has it. One that the tenant has already is answered as it is.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/domains", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    request_body = CreateDomainBody,
    responses(
        (status = 201, description = "It is to be proven", body = DomainView),
        (status = 409, description = "`domain_taken`: another tenant has proven it; or `tenant_purged`", body = Problem),
    ),
    security(("apiKey" = ["tenants:write"])),
)]
pub(crate) async fn create_domain(
    _: Authorized<TenantsWrite>,
    InPath(tenant): InPath<TenantRef>,
    State(registry): State<Registry>,
    State(clock): State<Arc<dyn Clock>>,
    State(settings): State<Arc<Settings>>,
    JsonBody(body): JsonBody<CreateDomainBody>,
) -> Result<impl IntoResponse, Refusal> {
    if body.domain.is_within(&settings.base_domain) {
        return Err(CreateTenantError::DomainWithinBase(settings.base_domain.clone()).into());
    }
    let tenant_id = tenant.find_kept(&registry).await?.tenant.id;
    let (token, now) = (domain_token(), clock.now());
    let added = registry.domain_add(tenant_id, &body.domain, &token, now).await;
    let domain = added.map_err(CreateTenantError::from)?;
    Ok((StatusCode::CREATED, Json(DomainView::from(domain))))
}
