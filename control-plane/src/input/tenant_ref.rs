//! Tenants in paths: by id or by slug.

use tenantry_domain::{Slug, ids::TenantId};
use tenantry_registry::{Registry, TenantDetails};

use crate::{audit, refusal::Refusal};

/// By what a client names a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TenantRef {
    /// Its id, with hyphens: 32 bare hexadecimal digits may be a slug.
    Id(TenantId),
    /// Its slug or subdomain.
    Label(Slug),
}

impl TenantRef {
    /// Reads an id or slug; `None` can be no tenant's.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.parse() {
            Ok(id) if text.len() == 36 => Some(Self::Id(id)),
            _ => Slug::parse(text).ok().map(Self::Label),
        }
    }

    /// The tenant, or 404. Its id goes to the request's log lines.
    pub(crate) async fn find(&self, registry: &Registry) -> Result<TenantDetails, Refusal> {
        let found = match self {
            Self::Id(id) => registry.tenant_get(*id).await?,
            Self::Label(label) => registry.tenant_find(label).await?,
        };
        let details = found.ok_or_else(|| Refusal::not_found("tenant"))?;
        audit::note_tenant(details.tenant.id);
        Ok(details)
    }

    /// As [`TenantRef::find`], refusing a tenant of which only the record is left.
    pub(crate) async fn find_kept(&self, registry: &Registry) -> Result<TenantDetails, Refusal> {
        let details = self.find(registry).await?;
        if matches!(details.tenant.status.as_str(), "purging" | "purged") {
            return Err(Refusal::purged());
        }
        Ok(details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_told_from_a_slug() {
        assert!(matches!(TenantRef::parse("019a0000-0000-7000-8000-000000000000"), Some(TenantRef::Id(_))));
        let bare = "019a0000000070008000000000000000";
        assert!(matches!(TenantRef::parse(bare), Some(TenantRef::Label(_))));
        assert!(matches!(TenantRef::parse("Dental_Clinic"), Some(TenantRef::Label(_))));
        for text in ["", "a b", "../x", "a'--", "{019a0000-0000-7000-8000-000000000000}"] {
            assert_eq!(TenantRef::parse(text), None, "{text}");
        }
    }
}
