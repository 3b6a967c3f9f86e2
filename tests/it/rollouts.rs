//! Rollouts: a version of an app, carried to all of its tenants.

mod beside;
mod command_line;
mod failures;
pub(crate) mod fleet;
mod guard_rails;
mod rollback;
mod sessions;
mod steering;
mod waves;
mod workers;
