//! `/api/v1/plans`: what tenants buy. A plan has no id: its name, which never changes, is its key.

pub(crate) mod body;
mod change;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod patch;
pub(crate) mod put;
pub(crate) mod view;
