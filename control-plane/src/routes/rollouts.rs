//! `/api/v1/rollouts`: versions of apps that are carried to all tenants.

pub(crate) mod abort;
mod answer;
pub(crate) mod create;
pub(crate) mod events;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod pause;
pub(crate) mod resume;
pub(crate) mod rollback;
pub(crate) mod tenants;
mod trial;
mod view;
