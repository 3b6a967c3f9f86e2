//! Starts the purge of deleted tenants whose retention is over.

use tenantry_domain::{
    ids::OperationId,
    operation::{OperationInput, PurgeReason, Subject},
    tenant::TenantStatus,
};
use tenantry_registry::{NewOperation, OperationStartError};

use super::Reconciled;
use crate::Resources;

/// Purges started in one round, so that a backlog does not crowd out sign-ups.
const BATCH: i64 = 20;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let now = resources.clock.now();
    let mut started = 0;
    for (tenant_id, slug) in resources.registry.tenant_due_for_purge(BATCH).await? {
        let operation = NewOperation {
            id: OperationId::generate(now, &mut rand::rng()),
            subject: Subject::Tenant(tenant_id),
            subject_name: slug,
            // The status is noted as it is when the operation starts.
            input: OperationInput::Purge { was: TenantStatus::Purging, reason: PurgeReason::RetentionOver },
            created_at: now,
        };
        match resources.registry.operation_start(operation).await {
            Ok(_) => started += 1,
            // Restored, purged or taken up by another worker since the look.
            Err(
                OperationStartError::Refused(_)
                | OperationStartError::Busy(_)
                | OperationStartError::UnknownSubject(_),
            ) => {}
            Err(OperationStartError::Registry(error)) => return Err(error.into()),
        }
    }
    Ok(started)
}
