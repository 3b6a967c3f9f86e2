//! `GET /api/v1/audit/verify`

use axum::{Json, extract::State};
use serde::Serialize;
use tenantry_domain::audit::{Chain, Fault, Head};
use tenantry_http::Problem;
use tenantry_registry::Registry;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    auth::{Authorized, scopes::AuditRead},
    input::{QueryParams, TenantRef, cursor::Listing},
    refusal::Refusal,
    use_cases::verify_audit::{ChainVerdict, verify_chain},
    vocabulary,
};

/// Whether a chain of the audit log is as it was sealed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChainView {
    /// Whose it is; null for what is no tenant's.
    tenant_id: Option<Uuid>,
    /// Whether nothing was found.
    ok: bool,
    /// Blocks that are as they were sealed.
    blocks: u64,
    /// Their rows.
    rows: u64,
    /// Rows that are not sealed yet.
    unsealed: u64,
    /// The last of those blocks and its hash: kept elsewhere, it shows later that nothing before it was altered.
    #[schema(example = "17:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    head: Option<String>,
    /// What was found first.
    fault: Option<FaultView>,
}

/// What was done to a chain.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FaultView {
    /// What.
    #[schema(value_type = vocabulary::AuditFault)]
    kind: &'static str,
    /// In which block.
    block: i64,
    /// To which row.
    row: Option<Uuid>,
    /// For a person.
    message: String,
}

impl From<Fault> for FaultView {
    fn from(fault: Fault) -> Self {
        let row = fault.row().map(tenantry_domain::ids::AuditId::as_uuid);
        Self { kind: fault.as_str(), block: fault.block(), row, message: fault.to_string() }
    }
}

impl From<ChainVerdict> for ChainView {
    fn from(verdict: ChainVerdict) -> Self {
        Self {
            tenant_id: match verdict.chain {
                Chain::System => None,
                Chain::Tenant(tenant) => Some(tenant.as_uuid()),
            },
            ok: verdict.fault.is_none(),
            blocks: verdict.blocks,
            rows: verdict.rows,
            unsealed: verdict.unsealed,
            head: verdict.head.map(|head| head.to_string()),
            fault: verdict.fault.map(FaultView::from),
        }
    }
}

/// Whether the audit log is as it was sealed
///
/// Reads all of it. Of each chain it says what was altered, removed or put in first. That a chain was cut off at its end, or made anew
/// whole, is found only with a `head` that was kept elsewhere.
#[utoipa::path(
    get, path = "/api/v1/audit/verify", tag = "audit",
    params(
        ("tenant" = Option<String>, Query, description = "Only the chain of this tenant (id, or slug while it has one)"),
        ("chain" = Option<vocabulary::AuditChain>, Query, description = "`none`: only the chain of what is no tenant's"),
        ("head" = Option<String>, Query, description = "The `head` of an earlier answer for that chain: it must still be in it"),
        ("limit" = Option<u16>, Query, description = "Chains, 1 to 200; 50 if not given"),
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before"),
    ),
    responses((status = 200, description = "A page of chains", body = Listing<ChainView>)),
    security(("apiKey" = ["audit:read"])),
)]
pub(crate) async fn verify_audit(
    _: Authorized<AuditRead>,
    State(registry): State<Registry>,
    mut query: QueryParams,
) -> Result<Json<Listing<ChainView>>, Refusal> {
    let tenant: Option<String> = query.take("tenant");
    let chain: Option<String> = query.take("chain");
    let head: Option<Head> = query.take("head");
    if chain.as_deref().is_some_and(|chain| chain != "none") {
        query.wrong("chain", "must be none");
    }
    if chain.is_some() && tenant.is_some() {
        query.wrong("chain", "cannot be given with a tenant");
    }
    if head.is_some() && chain.is_none() && tenant.is_none() {
        query.wrong("head", "is one chain's: give a tenant, or `chain=none`");
    }
    let window = query.window();
    query.finish()?;
    let chain = match tenant {
        // What was done to a tenant outlives its record.
        Some(tenant) => Some(match TenantRef::parse(&tenant) {
            Some(TenantRef::Id(id)) => Chain::Tenant(id),
            Some(label) => Chain::Tenant(label.find(&registry).await?.tenant.id),
            None => return Err(Refusal::not_found("tenant")),
        }),
        None => chain.map(|_| Chain::System),
    };
    if let Some(chain) = chain {
        let verdict = verify_chain(&registry, chain, head).await?;
        return Ok(Json(Listing::of(vec![verdict], 1, |_| String::new(), ChainView::from)));
    }
    let after = match &window.after {
        Some(cursor) => Some(Uuid::try_parse(cursor.key()).map_err(|_| {
            Problem::invalid("cursor", "must be the `nextCursor` of an earlier page of the same list")
        })?),
        None => None,
    };
    let mut chains = registry.audit_chains().await?;
    chains.retain(|chain| after.is_none_or(|after| chain.as_uuid() > after));
    chains.truncate(window.size() + 1);
    let mut verdicts = Vec::with_capacity(chains.len());
    for (at, chain) in chains.into_iter().enumerate() {
        // The one more only says that there are more.
        let verdict = if at < window.size() {
            verify_chain(&registry, chain, None).await?
        } else {
            ChainVerdict::unread(chain)
        };
        verdicts.push(verdict);
    }
    let key = |verdict: &ChainVerdict| verdict.chain.as_uuid().to_string();
    Ok(Json(Listing::of(verdicts, window.size(), key, ChainView::from)))
}
