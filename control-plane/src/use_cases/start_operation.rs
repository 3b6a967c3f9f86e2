//! Starting an operation on a tenant that is there, or an operation that failed once more.

use std::sync::Arc;

use chrono::{Days, SecondsFormat};
use serde_json::{Map, Value};
use tenantry_domain::{Clock, ids::OperationId, operation::OperationKind};
use tenantry_registry::{NewOperation, OperationStartError, Registry, RetryError, TenantDetails};

use super::Begun;
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
    /// Starts an operation of a kind that needs no input.
    pub(crate) async fn run(
        &self,
        tenant: TenantDetails,
        kind: OperationKind,
        claim: Claim,
    ) -> Result<Begun, OperationStartError> {
        let begin = self.with_input(tenant, kind, Map::new(), claim);
        Begun::once(claim, &self.registry, &self.watch, begin).await
    }

    /// Starts a deletion that can be taken back for as long as the tenant's plan says.
    pub(crate) async fn deactivate(&self, tenant: TenantDetails) -> Result<Begun, OperationStartError> {
        let plan = self.catalogue.plan(&tenant.tenant.plan).await?;
        // The foreign key keeps the plan there for as long as a tenant has it.
        let days = plan.map_or(0, |plan| plan.retention_days);
        let now = self.clock.now();
        let purge_at = now.checked_add_days(Days::new(days.into())).unwrap_or(now);
        let purge_at = purge_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let input = Map::from_iter([("purgeAt".to_owned(), purge_at.into())]);
        self.with_input(tenant, OperationKind::Deactivate, input, Claim::default()).await
    }

    async fn with_input(
        &self,
        tenant: TenantDetails,
        kind: OperationKind,
        input: Map<String, Value>,
        claim: Claim,
    ) -> Result<Begun, OperationStartError> {
        let now = self.clock.now();
        let id = OperationId::from_uuid(claim.id_or_new(now));
        let subscription = self.watch.subscribe(id);
        let new = NewOperation {
            id,
            tenant_id: tenant.tenant.id,
            kind,
            input: Value::Object(input),
            created_at: now,
        };
        let operation = self.registry.operation_start(new).await?;
        Ok(Begun { tenant, operation, subscription })
    }

    /// Starts a failed or cancelled operation again.
    pub(crate) async fn again(&self, id: OperationId) -> Result<Begun, RetryError> {
        let subscription = self.watch.subscribe(id);
        let operation = self.registry.operation_retry(id, self.clock.now()).await?;
        let tenant =
            self.registry.tenant_get(operation.tenant_id).await.map_err(OperationStartError::from)?;
        let tenant = tenant.ok_or(RetryError::Start(OperationStartError::UnknownTenant))?;
        Ok(Begun { tenant, operation, subscription })
    }
}
