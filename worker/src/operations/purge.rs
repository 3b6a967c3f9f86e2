//! Purge: drops a tenant's data for good. No input.
//!
//! Its point of no return is the first drop; cancelled before it, the tenant is what it was.

use async_trait::async_trait;
use tenantry_domain::{operation::OperationKind, plan::Tier, tenant::TenantStatus};

use super::steps::{CloseLogin, SetStatus, unless_another_s};
use crate::engine::{Definition, Step, StepError, Work};

pub(super) fn define(work: &Work) -> Definition {
    let was_served = work.status_before() == TenantStatus::Active;
    Definition {
        kind: OperationKind::Purge,
        steps: vec![
            Box::new(SetStatus {
                name: "close_route",
                doing: "telling the data planes",
                to: TenantStatus::Purging,
                back: work.status_before(),
            }),
            // Else a session of the tenant's own could hold a lock for ever.
            Box::new(CloseLogin { reopen: was_served }),
            Box::new(DropData),
            Box::new(DropRole),
            Box::new(Forget),
        ],
        no_return: 2,
        phase_when_done: None,
        phase_when_undone: None,
        done: "nothing is left of the tenant but its record",
    }
}

/// Drops the tenant's database or schema.
struct DropData;

#[async_trait]
impl Step for DropData {
    fn name(&self) -> &'static str {
        "drop_data"
    }

    fn doing(&self) -> &'static str {
        "dropping the tenant's data"
    }

    async fn run(&self, work: &Work) -> Result<(), StepError> {
        // A tenant whose provisioning failed has no placement, and no data.
        if work.placement().is_none() {
            return Ok(());
        }
        let (placement, server) = work.placed().await?;
        let mark = work.owner_mark();
        unless_another_s(match placement.tier {
            Tier::Schema => server.admin.drop_schema(&placement.database, &placement.schema, &mark).await,
            Tier::Database | Tier::Instance => server.admin.drop_database(&placement.database, &mark).await,
        })
    }
}

/// Drops the tenant's role.
struct DropRole;

#[async_trait]
impl Step for DropRole {
    fn name(&self) -> &'static str {
        "drop_role"
    }

    fn doing(&self) -> &'static str {
        "dropping the tenant's role"
    }

    async fn run(&self, work: &Work) -> Result<(), StepError> {
        if work.placement().is_some() {
            let (placement, server) = work.placed().await?;
            unless_another_s(server.admin.drop_role(placement.role(), &work.owner_mark()).await)?;
        }
        Ok(())
    }
}

/// Forgets the tenant's placement, keys, domains and labels; its slug is free again.
struct Forget;

#[async_trait]
impl Step for Forget {
    fn name(&self) -> &'static str {
        "forget"
    }

    fn doing(&self) -> &'static str {
        "freeing the tenant's names"
    }

    async fn run(&self, work: &Work) -> Result<(), StepError> {
        Ok(work.resources.registry.tenant_forget(&work.lease).await?)
    }
}
