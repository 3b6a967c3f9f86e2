//! Table `public_signups`: who asked for a public sign-up, so that they may repeat it when it failed.

use chrono::{DateTime, Utc};
use tenantry_domain::{Slug, ids::OperationId};

use crate::{Registry, RegistryError};

impl Registry {
    /// Notes that a visitor asks for a sign-up, before it is begun.
    pub async fn public_signup_note(
        &self,
        operation: OperationId,
        visitor: &str,
        now: DateTime<Utc>,
    ) -> Result<(), RegistryError> {
        sqlx::query!(
            "INSERT INTO public_signups (operation_id, visitor, created_at) VALUES ($1, $2, $3)
             ON CONFLICT (operation_id) DO NOTHING",
            operation.as_uuid(),
            visitor,
            now
        )
        .execute(&self.relaxed)
        .await?;
        Ok(())
    }

    /// The failed operation of the visitor's own that was to provision the tenant with this slug.
    pub async fn public_signup_failed(
        &self,
        slug: &Slug,
        visitor: &str,
    ) -> Result<Option<OperationId>, RegistryError> {
        let id = sqlx::query_scalar!(
            "SELECT operations.id FROM tenant_labels
             JOIN tenants ON tenants.id = tenant_labels.tenant_id AND tenants.status = 'failed'
             JOIN operations ON operations.tenant_id = tenants.id AND operations.state = 'failed'
             JOIN public_signups ON public_signups.operation_id = operations.id AND visitor = $2
             WHERE label = $1 ORDER BY operations.id DESC LIMIT 1",
            slug.as_str(),
            visitor
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(id.map(OperationId::from_uuid))
    }

    /// Forgets who asked before a time, but for sign-ups that failed and may be repeated still; answers how
    /// many.
    pub async fn public_signup_forget(&self, before: DateTime<Utc>) -> Result<u64, RegistryError> {
        let forgotten = sqlx::query!(
            "DELETE FROM public_signups WHERE created_at < $1 AND NOT EXISTS (
                 SELECT FROM operations JOIN tenants ON tenants.id = operations.tenant_id
                 WHERE operations.id = public_signups.operation_id AND tenants.status IN ('provisioning', 'failed')
             )",
            before
        )
        .execute(&self.housekeeping)
        .await?;
        Ok(forgotten.rows_affected())
    }
}
