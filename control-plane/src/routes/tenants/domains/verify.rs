//! `POST /api/v1/tenants/{tenant}/domains/{domain}/verify`

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use tenantry_dns::{Proof, TxtResolver, look_for_proof};
use tenantry_domain::{Clock, domain_name::DomainName};
use tenantry_http::Problem;
use tenantry_registry::{Registry, TenantDomain};
use tokio::time::timeout;

use super::view::{DomainView, RecordView};
use crate::{
    auth::{Authorized, scopes::TenantsWrite},
    input::{InPath, TenantRef},
    refusal::Refusal,
    use_cases::create_tenant::CreateTenantError,
};

/// How long DNS may take; resolvers give up after about this long by themselves.
const PATIENCE: Duration = Duration::from_secs(10);

/// Look for a custom domain's record now
///
/// Tenantry looks by itself every few seconds; this looks at once and says what it found. A domain that is
/// proven stays so.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/domains/{domain}/verify", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("domain" = String, Path, description = "The host name", example = "events.customersite.com"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the same answer for 24 h"),
    ),
    responses(
        (status = 200, description = "It is proven, and served", body = DomainView),
        (status = 409, description = "`domain_taken`: another tenant has proven it", body = Problem),
        (status = 422, description = "`domain_unproven`: the record is not there; `found` has what is", body = Problem),
        (status = 503, description = "`dns_unavailable`: DNS does not answer", body = Problem),
    ),
    security(("apiKey" = ["tenants:write"])),
)]
pub(crate) async fn verify_domain(
    _: Authorized<TenantsWrite>,
    InPath((tenant, name)): InPath<(TenantRef, DomainName)>,
    State(registry): State<Registry>,
    State(resolver): State<Arc<dyn TxtResolver>>,
    State(clock): State<Arc<dyn Clock>>,
) -> Result<Json<DomainView>, Refusal> {
    let tenant = tenant.find(&registry).await?.tenant.id;
    let domain = registry.domain_get(tenant, &name).await?.ok_or_else(|| Refusal::not_found("domain"))?;
    if domain.verified_at.is_some() {
        return Ok(Json(domain.into()));
    }
    let found = match timeout(PATIENCE, look_for_proof(&*resolver, &name, &domain.token)).await {
        Ok(Ok(Proof::Found)) => None,
        Ok(Ok(Proof::Missing { found })) => Some(found),
        Ok(Err(error)) => return Err(unanswered(&name, &error.to_string())),
        Err(_) => return Err(unanswered(&name, "it took too long")),
    };
    registry.domain_checked(&name, &domain.token, found.is_none(), clock.now()).await?;
    if let Some(found) = found {
        return Err(unproven(&domain, found));
    }
    match registry.domain_get(tenant, &name).await? {
        Some(domain) if domain.verified_at.is_some() => Ok(Json(domain.into())),
        // Another tenant's proof came first and ended this claim.
        _ => Err(CreateTenantError::DomainTaken.into()),
    }
}

fn unanswered(name: &DomainName, why: &str) -> Refusal {
    tracing::warn!(domain = %name, "the record of {name} cannot be looked up: {why}");
    let detail = format!("DNS does not answer for {}; try again", name.challenge_name());
    Problem::unavailable("dns_unavailable", detail, 5).into()
}

fn unproven(domain: &TenantDomain, found: Vec<String>) -> Refusal {
    let record = RecordView::of(&domain.name, &domain.token);
    let detail = format!(
        "there is no TXT record {} with the text `{}`; set it, and ask again when DNS has it",
        record.name, record.value
    );
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "domain_unproven", detail)
        .with("record", serde_json::to_value(record).unwrap_or_default())
        .with("found", found)
        .into()
}
