//! Starting an operation on a tenant or server that is there, or an operation that failed once more.

use std::sync::Arc;

use tenantry_domain::{
    Clock,
    ids::OperationId,
    operation::{OperationInput, PurgeReason, Subject},
    server::Server,
    server_class::ServerClassName,
    tenant::TenantPhase,
};
use tenantry_registry::{NewOperation, OperationStartError, Registry, RetryError, TenantDetails};

use super::{Started, make_way::make_way, tenant_of};
use crate::{catalogue::Catalogue, claim::Claim, operation_watch::OperationWatch};

/// Starts operations.
#[derive(Clone)]
pub(crate) struct StartOperation {
    pub(crate) registry: Registry,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) watch: OperationWatch,
    pub(crate) catalogue: Catalogue,
}

impl StartOperation {
    /// Stops serving a tenant.
    pub(crate) async fn suspend(
        &self,
        tenant: TenantDetails,
        claim: Claim,
    ) -> Result<Started, OperationStartError> {
        let was = tenant.tenant.status;
        self.on_tenant(tenant, OperationInput::Suspend { was }, claim).await
    }

    /// Serves a suspended tenant again.
    pub(crate) async fn resume(
        &self,
        tenant: TenantDetails,
        claim: Claim,
    ) -> Result<Started, OperationStartError> {
        let was = tenant.tenant.status;
        self.on_tenant(tenant, OperationInput::Resume { was }, claim).await
    }

    /// Takes a deletion back.
    pub(crate) async fn restore(
        &self,
        tenant: TenantDetails,
        claim: Claim,
    ) -> Result<Started, OperationStartError> {
        let was = tenant.tenant.status;
        self.on_tenant(tenant, OperationInput::Restore { was }, claim).await
    }

    /// Starts a deletion that can be taken back for as long as the tenant's plan says. A tenant whose
    /// provisioning failed has nothing to take back: it is purged.
    pub(crate) async fn deactivate(&self, tenant: TenantDetails) -> Result<Started, OperationStartError> {
        if tenant.tenant.status.phase() == TenantPhase::Failed {
            return self.purge(tenant).await;
        }
        let plan = self.catalogue.plan(&tenant.tenant.plan).await?;
        // The foreign key keeps the plan there for as long as a tenant has it.
        let retention_days = plan.map_or(0, |plan| plan.retention_days);
        let was = tenant.tenant.status;
        let input = OperationInput::Deactivate { was, retention_days };
        self.on_tenant(tenant, input, Claim::default()).await
    }

    /// Drops a tenant's data now.
    pub(crate) async fn purge(&self, tenant: TenantDetails) -> Result<Started, OperationStartError> {
        let input = OperationInput::Purge { was: tenant.tenant.status, reason: PurgeReason::Asked };
        self.on_tenant(tenant, input, Claim::default()).await
    }

    /// Moves a tenant.
    pub(crate) async fn move_tenant(
        &self,
        tenant: TenantDetails,
        input: OperationInput,
        claim: Claim,
    ) -> Result<Started, OperationStartError> {
        self.on_tenant(tenant, input, claim).await
    }

    /// Removes a server that is lost for good, with what it held.
    pub(crate) async fn remove_lost_server(&self, server: &Server) -> Result<Started, OperationStartError> {
        let subject = Subject::Server(server.id);
        self.start(None, subject, server.name.to_string(), OperationInput::RemoveLostServer, Claim::default())
            .await
    }

    /// Deletes an empty server at its provider.
    pub(crate) async fn delete_server(&self, server: &Server) -> Result<Started, OperationStartError> {
        let input = OperationInput::DeleteServer { provider: server.provider };
        let subject = Subject::Server(server.id);
        self.start(None, subject, server.name.to_string(), input, Claim::default()).await
    }

    /// Has a server changed into what its class is now.
    pub(crate) async fn resize_server(
        &self,
        server: &Server,
        class: ServerClassName,
        claim: Claim,
    ) -> Result<Started, OperationStartError> {
        let input = OperationInput::ResizeServer { class };
        self.on_server(server, input, claim).await
    }

    /// Has a server stopped until it is woken.
    pub(crate) async fn hibernate_server(
        &self,
        server: &Server,
        claim: Claim,
    ) -> Result<Started, OperationStartError> {
        let input = OperationInput::HibernateServer { provider: server.provider };
        self.on_server(server, input, claim).await
    }

    /// Has a hibernated server started.
    pub(crate) async fn wake_server(
        &self,
        server: &Server,
        claim: Claim,
    ) -> Result<Started, OperationStartError> {
        let input = OperationInput::WakeServer { provider: server.provider };
        self.on_server(server, input, claim).await
    }

    /// Moves tenants off a server; all of them where none are to stay.
    pub(crate) async fn drain_server(
        &self,
        server: &Server,
        keep: Option<u32>,
        at_once: u16,
        claim: Claim,
    ) -> Result<Started, OperationStartError> {
        let input = OperationInput::DrainServer { keep, at_once };
        self.on_server(server, input, claim).await
    }

    async fn on_server(
        &self,
        server: &Server,
        input: OperationInput,
        claim: Claim,
    ) -> Result<Started, OperationStartError> {
        let (subject, name) = (Subject::Server(server.id), server.name.to_string());
        let start = Box::pin(self.start(None, subject, name, input, claim));
        Started::once(claim, &self.registry, &self.watch, start).await
    }

    async fn on_tenant(
        &self,
        tenant: TenantDetails,
        input: OperationInput,
        claim: Claim,
    ) -> Result<Started, OperationStartError> {
        let subject = Subject::Tenant(tenant.tenant.id);
        let slug = tenant.tenant.slug.to_string();
        // On the heap: it holds all that starting and making way hold.
        let start = Box::pin(self.start(Some(tenant), subject, slug, input, claim));
        Started::once(claim, &self.registry, &self.watch, start).await
    }

    async fn start(
        &self,
        tenant: Option<TenantDetails>,
        subject: Subject,
        subject_name: String,
        input: OperationInput,
        claim: Claim,
    ) -> Result<Started, OperationStartError> {
        let now = self.clock.now();
        let id = OperationId::from_uuid(claim.id_or_new(now));
        let subscription = self.watch.subscribe(id);
        let new = NewOperation { id, subject, subject_name, input, created_at: now };
        let started = self.registry.operation_start(new.clone()).await;
        let operation = match started {
            Err(refused) if make_way(&self.registry, &self.watch, &new, &refused).await? => {
                match self.registry.operation_start(new.clone()).await {
                    Err(OperationStartError::Refused(refused)) if refused.phase == TenantPhase::Failed => {
                        let input = after_a_failed_sign_up(new.input);
                        self.registry.operation_start(NewOperation { input, ..new }).await?
                    }
                    started => started?,
                }
            }
            started => started?,
        };
        Ok(Started { tenant, operation, subscription })
    }

    /// Starts a failed, cancelled or stuck operation again.
    pub(crate) async fn again(&self, id: OperationId) -> Result<Started, RetryError> {
        let subscription = self.watch.subscribe(id);
        let operation = self.registry.operation_retry(id, self.clock.now()).await?;
        let tenant = tenant_of(&self.registry, &operation).await.map_err(OperationStartError::from)?;
        Ok(Started { tenant, operation, subscription })
    }
}

/// What is asked of a tenant whose sign-up was stopped for it: there is nothing that could be restored later, so that
/// deleting it means purging it.
fn after_a_failed_sign_up(input: OperationInput) -> OperationInput {
    match input {
        OperationInput::Deactivate { was, .. } => OperationInput::Purge { was, reason: PurgeReason::Asked },
        input => input,
    }
}
