//! `/api/v1/audit`: who did what.

pub(crate) mod export;
pub(crate) mod list;
pub(crate) mod verify;
mod view;
