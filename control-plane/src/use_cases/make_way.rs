//! An urgent operation asks the one that is at work on its subject to stop.

use std::time::Duration;

use tenantry_registry::{CancelError, NewOperation, OperationStartError, Registry, RegistryError};

use super::await_operation::await_operation;
use crate::operation_watch::OperationWatch;

/// How long the one that is to stop may take to undo what it did.
const PATIENCE: Duration = Duration::from_secs(10);

/// Stops what is in the way of an operation that was refused, if it gives way; true if the way is free now.
pub(super) async fn make_way(
    registry: &Registry,
    watch: &OperationWatch,
    new: &NewOperation,
    refused: &OperationStartError,
) -> Result<bool, RegistryError> {
    if !matches!(refused, OperationStartError::Busy(_) | OperationStartError::Refused(_)) {
        return Ok(false);
    }
    let urgent = new.input.kind();
    let unfinished = registry.operation_unfinished(new.subject).await?;
    let Some(busy) = unfinished.filter(|operation| operation.kind().gives_way_to(urgent)) else {
        return Ok(false);
    };
    let mut subscription = watch.subscribe(busy.id);
    match registry.operation_cancel(busy.id).await {
        Ok(_) => tracing::info!(
            operation.id = %busy.id, "operation {} is asked to stop: {} is urgent", busy.id, urgent
        ),
        // It has just ended by itself.
        Err(CancelError::Finished(_)) => return Ok(true),
        Err(CancelError::NotFound | CancelError::PastNoReturn) => return Ok(false),
        Err(CancelError::Registry(error)) => return Err(error),
    }
    let stopped = await_operation(registry, &mut subscription, PATIENCE).await;
    Ok(stopped.is_some_and(|operation| operation.state.is_finished()))
}
