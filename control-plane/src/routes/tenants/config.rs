//! `/api/v1/tenants/{tenant}/config`: what a tenant has set, over the defaults of its plan.

pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod put;
pub(crate) mod set;
mod view;
