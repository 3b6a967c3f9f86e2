//! Orders servers of classes whose servers have less room than the class says, before the last one is full.

use tenantry_domain::{
    ids::{OperationId, ServerId},
    operation::{OperationInput, Subject},
};
use tenantry_registry::NewOperation;

use super::Reconciled;
use crate::{Resources, operations::name_of, step_error::StepError};

/// Servers of a class that are ordered in one round.
const AT_ONCE: u32 = 5;

/// Runs it once.
pub async fn run(resources: &Resources) -> Reconciled {
    let registry = &resources.registry;
    let mut ordered = 0;
    for (class, missing) in registry.server_classes_short().await? {
        for _ in 0..missing.min(AT_ONCE) {
            let now = resources.clock.now();
            let id = ServerId::generate(now, &mut rand::rng());
            let new = NewOperation {
                id: OperationId::generate(now, &mut rand::rng()),
                subject: Subject::Server(id),
                subject_name: name_of(class.as_str(), id),
                input: OperationInput::OrderServer { class: class.clone() },
                created_at: now,
            };
            let started = registry.server_order(&class, new).await;
            if !started.map_err(|error| StepError::transient(error.to_string()))? {
                break;
            }
            ordered += 1;
        }
    }
    Ok(ordered)
}
