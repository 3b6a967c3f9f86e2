//! Steps that several operations share.

use async_trait::async_trait;
use tenantry_domain::tenant::TenantStatus;
use tenantry_postgres::admin::AdminError;

use crate::engine::{Step, StepError, Work};

/// What has the tenant's name and not its mark is somebody else's: nothing of the tenant's is left to drop.
pub(super) fn unless_another_s(dropped: Result<(), AdminError>) -> Result<(), StepError> {
    match dropped {
        Err(error @ AdminError::Taken { .. }) => {
            tracing::warn!(%error, "left alone: {error}");
            Ok(())
        }
        dropped => Ok(dropped?),
    }
}

/// Sets the tenant's status, by which data planes serve it or refuse.
pub(super) struct SetStatus {
    pub(super) name: &'static str,
    pub(super) doing: &'static str,
    pub(super) to: TenantStatus,
    /// What undoing sets.
    pub(super) back: TenantStatus,
}

#[async_trait]
impl Step for SetStatus {
    fn name(&self) -> &'static str {
        self.name
    }

    fn doing(&self) -> &'static str {
        self.doing
    }

    async fn run(&self, work: &Work) -> Result<(), StepError> {
        Ok(work.resources.registry.tenant_set_status(&work.lease, self.to).await?)
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        Ok(work.resources.registry.tenant_set_status(&work.lease, self.back).await?)
    }
}

/// Forbids the tenant's role to log in and ends its sessions, so that credentials handed out stop working too.
pub(super) struct CloseLogin {
    /// Whether undoing allows it again: not for a tenant that was suspended before.
    pub(super) reopen: bool,
}

#[async_trait]
impl Step for CloseLogin {
    fn name(&self) -> &'static str {
        "close_login"
    }

    fn doing(&self) -> &'static str {
        "ending the tenant's own connections"
    }

    async fn run(&self, work: &Work) -> Result<(), StepError> {
        set_login(work, false).await
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        if self.reopen { set_login(work, true).await } else { Ok(()) }
    }
}

/// Lets the tenant's role log in again.
pub(super) struct OpenLogin;

#[async_trait]
impl Step for OpenLogin {
    fn name(&self) -> &'static str {
        "open_login"
    }

    fn doing(&self) -> &'static str {
        "allowing the tenant's own connections"
    }

    async fn run(&self, work: &Work) -> Result<(), StepError> {
        set_login(work, true).await
    }

    async fn undo(&self, work: &Work) -> Result<(), StepError> {
        set_login(work, false).await
    }
}

async fn set_login(work: &Work, enabled: bool) -> Result<(), StepError> {
    // A tenant whose provisioning failed has no role.
    if work.placement().is_none() {
        return Ok(());
    }
    let (placement, server) = work.placed().await?;
    server.admin.set_role_login(placement.role(), enabled).await?;
    Ok(())
}
