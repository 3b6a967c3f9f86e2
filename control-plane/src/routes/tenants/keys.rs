//! `/api/v1/tenants/{tenant}/keys`: keys that open one tenant's data on the data plane.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod rotate;
