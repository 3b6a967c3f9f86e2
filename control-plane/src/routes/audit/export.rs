//! `GET /api/v1/audit/export`

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::IntoResponse,
};
use futures::{Stream, stream};
use tenantry_domain::{audit::SealedEntry, ids::AuditId};
use tenantry_registry::{AuditFilter, Registry, RegistryError};

use super::view::{AuditView, Filters};
use crate::{
    auth::{Authorized, scopes::AuditRead},
    input::QueryParams,
    refusal::Refusal,
};

/// Rows per question to the registry.
const BATCH: u16 = 500;

/// Who did what as JSON lines, the oldest first
///
/// An answer that is whole ends with its last line; one that breaks off is cut off.
#[utoipa::path(
    get, path = "/api/v1/audit/export", tag = "audit",
    params(
        ("tenant" = Option<String>, Query, description = "About this tenant (id or slug)"),
        ("actor" = Option<String>, Query, description = "By this one: the id or name of a key or user"),
        ("action" = Option<String>, Query, description = "This, or all that begin so: `tenants.*`", example = "tenants.suspend"),
        ("since" = Option<String>, Query, description = "Not before this time (RFC 3339)", example = "2026-12-01T00:00:00Z"),
        ("until" = Option<String>, Query, description = "Before this time (RFC 3339)", example = "2027-01-01T00:00:00Z"),
    ),
    responses((status = 200, description = "A row per line", content_type = "text/jsonl", body = AuditView)),
    security(("apiKey" = ["audit:read"])),
)]
pub(crate) async fn export_audit(
    _: Authorized<AuditRead>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<impl IntoResponse, Refusal> {
    let filters = Filters::take(&mut query);
    query.finish()?;
    let filter = filters.find(&registry).await?;
    // The first question before the answer begins, so that its failure is one.
    let first = registry.audit_after(&filter, None, BATCH.into()).await?;
    let body = Body::from_stream(lines(registry, filter, first));
    Ok(([(header::CONTENT_TYPE, "text/jsonl"), (header::CACHE_CONTROL, "no-store")], body))
}

/// All rows from the first ones on, as lines.
fn lines(
    registry: Registry,
    filter: AuditFilter,
    first: Vec<SealedEntry>,
) -> impl Stream<Item = Result<Bytes, RegistryError>> {
    stream::try_unfold(Next::Read(first), move |next| {
        let (registry, filter) = (registry.clone(), filter.clone());
        async move {
            let rows = match next {
                Next::Read(rows) => rows,
                Next::After(id) => registry.audit_after(&filter, Some(id), BATCH.into()).await?,
                Next::Nothing => return Ok(None),
            };
            let Some(last) = rows.last() else { return Ok(None) };
            let next =
                if rows.len() < usize::from(BATCH) { Next::Nothing } else { Next::After(last.entry.id) };
            let mut text = Vec::new();
            for row in rows {
                serde_json::to_writer(&mut text, &AuditView::from(row)).expect("a row is plain data");
                text.push(b'\n');
            }
            Ok(Some((Bytes::from(text), next)))
        }
    })
}

/// Where an export goes on.
enum Next {
    Read(Vec<SealedEntry>),
    After(AuditId),
    Nothing,
}
