//! `/api/v1/operations`: durable pieces of work, and how they go.

pub(crate) mod abandon;
pub(crate) mod answer;
pub(crate) mod cancel;
pub(crate) mod events;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod report;
pub(crate) mod retry;
pub(crate) mod view;
