//! `/api/v1/webhooks`: endpoints that are told of events, and what has become of events there.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod deliveries;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod patch;
pub(crate) mod replay;
pub(crate) mod rotate_secret;
mod secret;
pub(crate) mod test;
mod view;
