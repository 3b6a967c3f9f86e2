//! A row of the audit log as clients see it, and the filters of all that lists rows.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use tenantry_domain::audit::SealedEntry;
use tenantry_registry::{AuditFilter, Registry};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    input::{QueryParams, TenantRef},
    refusal::Refusal,
    vocabulary,
};

/// Something that somebody did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditView {
    /// Its id.
    id: Uuid,
    /// The tenant that it is about.
    tenant_id: Option<Uuid>,
    /// When.
    at: DateTime<Utc>,
    /// Who.
    actor: ActorView,
    /// What.
    #[schema(example = "tenants.suspend")]
    action: String,
    /// To what.
    target: Option<TargetView>,
    /// Method, path and query.
    #[schema(example = "POST /api/v1/tenants/my-org/suspend")]
    request: Option<String>,
    /// The request's id.
    request_id: Option<String>,
    /// Where the request came from.
    #[schema(example = "203.0.113.7")]
    address: Option<String>,
    /// What came of it.
    #[schema(value_type = vocabulary::AuditOutcome)]
    outcome: &'static str,
    /// The answer's HTTP status.
    status_code: Option<u16>,
    /// What was sent; no secrets.
    #[schema(value_type = Object)]
    input: Option<Value>,
    /// What it was before; no secrets.
    #[schema(value_type = Object)]
    before: Option<Value>,
    /// What was answered; no secrets.
    #[schema(value_type = Object)]
    after: Option<Value>,
    /// The block that seals it; null for a few seconds.
    block: Option<i64>,
}

/// Who did it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActorView {
    /// What they are.
    #[schema(value_type = vocabulary::ActorKind)]
    kind: &'static str,
    /// A key's or user's id.
    id: Option<String>,
    /// A key's or user's name.
    name: Option<String>,
}

/// What it was done to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TargetView {
    /// What it is: the API's collection, or a table of the tenant's.
    #[schema(example = "tenants")]
    resource: String,
    /// Which, by its id or name.
    id: Option<String>,
}

impl From<SealedEntry> for AuditView {
    fn from(row: SealedEntry) -> Self {
        let SealedEntry { entry, block } = row;
        let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        Self {
            id: entry.id.as_uuid(),
            tenant_id: entry.tenant_id.map(tenantry_domain::ids::TenantId::as_uuid),
            at: entry.at,
            actor: ActorView { kind: entry.actor.kind.as_str(), id: entry.actor.id, name: entry.actor.name },
            action: entry.action,
            target: entry.target.map(|target| TargetView { resource: target.kind, id: target.id }),
            request: entry.request,
            request_id: entry.request_id,
            address: entry.address,
            outcome: entry.outcome.as_str(),
            status_code: entry.status,
            input: json(entry.input),
            before: json(entry.before),
            after: json(entry.after),
            block,
        }
    }
}

/// The filters of a query, before it is known whether there is such a tenant.
pub(super) struct Filters {
    tenant: Option<String>,
    filter: AuditFilter,
}

impl Filters {
    /// Takes them from a query.
    pub(super) fn take(query: &mut QueryParams) -> Self {
        let filter = AuditFilter {
            tenant: None,
            actor: query.take("actor"),
            action: query.take("action"),
            since: query.take("since"),
            until: query.take("until"),
        };
        for (name, time) in [("since", filter.since), ("until", filter.until)] {
            // What PostgreSQL can hold.
            if time.is_some_and(|time| !(0..=9999).contains(&chrono::Datelike::year(&time))) {
                query.wrong(name, "must be between the years 0 and 9999");
            }
        }
        Self { tenant: query.take("tenant"), filter }
    }

    /// With the tenant that they name.
    pub(super) async fn find(self, registry: &Registry) -> Result<AuditFilter, Refusal> {
        let mut filter = self.filter;
        if let Some(tenant) = self.tenant {
            let tenant = TenantRef::parse(&tenant).ok_or_else(|| Refusal::not_found("tenant"))?;
            filter.tenant = Some(tenant.find(registry).await?.tenant.id);
        }
        Ok(filter)
    }
}
