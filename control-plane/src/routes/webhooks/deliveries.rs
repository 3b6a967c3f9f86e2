//! `/api/v1/webhooks/{webhook}/deliveries`: what has become of events at a webhook.

pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod replay;
