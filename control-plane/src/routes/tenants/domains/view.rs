//! A custom domain as clients see it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tenantry_domain::domain_name::{DomainName, challenge_text};
use tenantry_registry::TenantDomain;
use utoipa::ToSchema;

use crate::vocabulary;

/// A custom domain of a tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DomainView {
    /// The host name.
    #[schema(example = "events.customersite.com")]
    domain: String,
    /// Whether it is proven, and so served.
    verified: bool,
    /// The DNS record that proves it.
    record: RecordView,
    /// When the record was seen.
    verified_at: Option<DateTime<Utc>>,
    /// When it was last looked for.
    checked_at: Option<DateTime<Utc>>,
    /// When the domain was added.
    created_at: DateTime<Utc>,
}

/// A DNS record to set.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordView {
    /// TXT.
    #[serde(rename = "type")]
    #[schema(value_type = vocabulary::RecordType)]
    kind: &'static str,
    /// The record's name.
    #[schema(example = "_tenantry.events.customersite.com")]
    pub(super) name: String,
    /// The record's text.
    #[schema(example = "tenantry-verification=5f0c…")]
    pub(super) value: String,
}

impl RecordView {
    pub(crate) fn of(domain: &DomainName, token: &str) -> Self {
        Self { kind: "TXT", name: domain.challenge_name(), value: challenge_text(token) }
    }
}

impl From<TenantDomain> for DomainView {
    fn from(domain: TenantDomain) -> Self {
        Self {
            record: RecordView::of(&domain.name, &domain.token),
            domain: domain.name.to_string(),
            verified: domain.verified_at.is_some(),
            verified_at: domain.verified_at,
            checked_at: domain.checked_at,
            created_at: domain.created_at,
        }
    }
}
