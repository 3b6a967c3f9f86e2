//! `/api/v1/signup`: the one endpoint without a key. Off unless configured, limited per address.

pub(crate) mod create;
mod repeat;
