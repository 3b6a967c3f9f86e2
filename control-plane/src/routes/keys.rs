//! `/api/v1/keys`: keys of operators and SaaS back ends.

pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod rotate;
pub(crate) mod view;
