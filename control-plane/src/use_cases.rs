//! What takes more than one call to the registry. Knows neither HTTP nor SQL.

pub(crate) mod await_operation;
pub(crate) mod create_tenant;
pub(crate) mod start_operation;

use tenantry_domain::operation::Operation;
use tenantry_registry::TenantDetails;

use crate::operation_watch::Subscription;

/// Work that was begun on a tenant.
pub(crate) struct Begun {
    /// The tenant, as it was then.
    pub(crate) tenant: TenantDetails,
    /// The operation, queued.
    pub(crate) operation: Operation,
    /// A watch on it that has missed nothing.
    pub(crate) subscription: Subscription,
}
