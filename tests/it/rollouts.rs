//! Rollouts: a version of an app, carried to all of its tenants.

mod fleet;
mod waves;
