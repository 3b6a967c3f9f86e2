//! `/api/v1/tenants/{tenant}/signing-keys`: what the access tokens of a tenant's users are signed with.

pub(crate) mod list;
pub(crate) mod rotate;
mod view;
