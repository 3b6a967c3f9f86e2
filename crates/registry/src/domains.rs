//! Table `domains`: custom domains and their proof. Several tenants may claim one; whoever proves it
//! first has it.

use chrono::{DateTime, Utc};
use tenantry_domain::{domain_name::DomainName, ids::TenantId};
use uuid::Uuid;

use crate::{
    Registry, RegistryError,
    error::{Stored, broken_constraint},
};

/// A custom domain of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantDomain {
    /// The host name.
    pub name: DomainName,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// What the TXT record must hold.
    pub token: String,
    /// When the record was seen; not routed before.
    pub verified_at: Option<DateTime<Utc>>,
    /// When it was last looked for.
    pub checked_at: Option<DateTime<Utc>>,
    /// When it was added.
    pub created_at: DateTime<Utc>,
}

/// A domain cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum DomainAddError {
    /// Another tenant has proven it.
    #[error("the domain is taken")]
    Taken,
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// The index, and the trigger before it, that give a domain to one tenant.
const PROVEN: &str = "domains_proven";

struct DomainRow {
    name: String,
    tenant_id: Uuid,
    token: String,
    verified_at: Option<DateTime<Utc>>,
    checked_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl TryFrom<DomainRow> for TenantDomain {
    type Error = RegistryError;

    fn try_from(row: DomainRow) -> Result<Self, RegistryError> {
        Ok(Self {
            name: DomainName::parse(&row.name).stored("domains.name")?,
            tenant_id: TenantId::from_uuid(row.tenant_id),
            token: row.token,
            verified_at: row.verified_at,
            checked_at: row.checked_at,
            created_at: row.created_at,
        })
    }
}

impl Registry {
    /// Adds a domain that is to be proven with a token. One that the tenant has already stays as it is, with
    /// the token that it has.
    pub async fn domain_add(
        &self,
        tenant: TenantId,
        name: &DomainName,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<TenantDomain, DomainAddError> {
        if let Some(own) = self.domain_get(tenant, name).await? {
            return Ok(own);
        }
        let added = sqlx::query!(
            "INSERT INTO domains (name, tenant_id, token, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (name, tenant_id) DO NOTHING",
            name.as_str(),
            tenant.as_uuid(),
            token,
            now
        )
        .execute(&self.pool)
        .await;
        match added {
            Ok(_) => Ok(self.domain_get(tenant, name).await?.ok_or(DomainAddError::Taken)?),
            Err(error) if broken_constraint(&error) == Some(PROVEN) => Err(DomainAddError::Taken),
            Err(error) => Err(DomainAddError::Registry(error.into())),
        }
    }

    /// One domain of a tenant.
    pub async fn domain_get(
        &self,
        tenant: TenantId,
        name: &DomainName,
    ) -> Result<Option<TenantDomain>, RegistryError> {
        let row = sqlx::query_as!(
            DomainRow,
            "SELECT name, tenant_id, token, verified_at, checked_at, created_at FROM domains
             WHERE name = $1 AND tenant_id = $2",
            name.as_str(),
            tenant.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(TenantDomain::try_from).transpose()
    }

    /// A tenant's domains, by name.
    pub async fn domain_list(&self, tenant: TenantId) -> Result<Vec<TenantDomain>, RegistryError> {
        let rows = sqlx::query_as!(
            DomainRow,
            "SELECT name, tenant_id, token, verified_at, checked_at, created_at FROM domains
             WHERE tenant_id = $1 ORDER BY name",
            tenant.as_uuid()
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(TenantDomain::try_from).collect()
    }

    /// Removes a tenant's domain; false if it has none of that name.
    pub async fn domain_remove(&self, tenant: TenantId, name: &DomainName) -> Result<bool, RegistryError> {
        let done = sqlx::query!(
            "DELETE FROM domains WHERE name = $1 AND tenant_id = $2",
            name.as_str(),
            tenant.as_uuid()
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Unproven domains, those not looked at for longest first.
    pub async fn domain_unverified(&self, limit: i64) -> Result<Vec<TenantDomain>, RegistryError> {
        let rows = sqlx::query_as!(
            DomainRow,
            "SELECT name, tenant_id, token, verified_at, checked_at, created_at FROM domains
             WHERE verified_at IS NULL ORDER BY checked_at NULLS FIRST LIMIT $1",
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(TenantDomain::try_from).collect()
    }

    /// Notes that a domain's record was looked for, and whether it was there. A proof ends the claims of
    /// other tenants; a claim whose domain another tenant has proven meanwhile ends itself.
    pub async fn domain_checked(
        &self,
        name: &DomainName,
        token: &str,
        proven: bool,
        now: DateTime<Utc>,
    ) -> Result<(), RegistryError> {
        let checked = sqlx::query!(
            "WITH checked AS (
                 UPDATE domains SET checked_at = $3, verified_at = CASE WHEN $4 THEN $3::timestamptz END
                 WHERE name = $1 AND token = $2 AND verified_at IS NULL
                 RETURNING name, token
             )
             DELETE FROM domains USING checked
             WHERE $4 AND domains.name = checked.name AND domains.token <> checked.token AND verified_at IS NULL",
            name.as_str(),
            token,
            now,
            proven
        )
        .execute(&self.pool)
        .await;
        match checked {
            Ok(_) => Ok(()),
            Err(error) if broken_constraint(&error) == Some(PROVEN) => {
                sqlx::query!(
                    "DELETE FROM domains WHERE name = $1 AND token = $2 AND verified_at IS NULL",
                    name.as_str(),
                    token
                )
                .execute(&self.pool)
                .await?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets domains that were added before a time and not proven since; answers how many.
    pub async fn domain_forget_unproven(&self, added_before: DateTime<Utc>) -> Result<u64, RegistryError> {
        let forgotten =
            sqlx::query!("DELETE FROM domains WHERE verified_at IS NULL AND created_at < $1", added_before)
                .execute(&self.relaxed)
                .await?;
        Ok(forgotten.rows_affected())
    }
}
