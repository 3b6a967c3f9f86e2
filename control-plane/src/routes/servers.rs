//! `/api/v1/servers`: PostgreSQL servers that hold tenants.

pub(crate) mod audit;
pub(crate) mod body;
mod change;
pub(crate) mod check;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod drain;
pub(crate) mod get;
pub(crate) mod hibernate;
pub(crate) mod list;
pub(crate) mod orders;
pub(crate) mod patch;
pub(crate) mod put;
pub(crate) mod rebalance;
pub(crate) mod resize;
pub(crate) mod view;
pub(crate) mod wake;
