//! `/api/v1/tenants/{tenant}/domains`: custom domains, proven by a DNS TXT record.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod verify;
pub(crate) mod view;
