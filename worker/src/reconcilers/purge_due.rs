//! Starts the purge of deleted tenants whose retention is over.

use tenantry_domain::{ids::OperationId, operation::OperationKind};
use tenantry_registry::{NewOperation, OperationStartError};

use super::Reconciled;
use crate::Resources;

/// Purges started in one round, so that a backlog does not crowd out sign-ups.
const BATCH: i64 = 20;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let now = resources.clock.now();
    let mut started = 0;
    for tenant_id in resources.registry.tenant_due_for_purge(now, BATCH).await? {
        let operation = NewOperation {
            id: OperationId::generate(now, &mut rand::rng()),
            tenant_id,
            kind: OperationKind::Purge,
            input: serde_json::json!({}),
            created_at: now,
        };
        match resources.registry.operation_start(operation).await {
            Ok(_) => started += 1,
            // Restored, purged or taken up by another worker since the look.
            Err(
                OperationStartError::Refused(_)
                | OperationStartError::Busy(_)
                | OperationStartError::UnknownTenant,
            ) => {}
            Err(OperationStartError::Registry(error)) => return Err(error.into()),
        }
    }
    Ok(started)
}
