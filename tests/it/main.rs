//! Integration tests: one binary, one server.

#![allow(clippy::unwrap_used, reason = "functions that tests share fail as tests do")]

mod already_so;
mod bad_input;
mod bootstrap_key;
mod crashes;
mod dev;
mod domains;
mod enqueue;
mod idempotency;
mod isolation;
mod keys;
mod lifecycle;
mod operations;
mod plan_changes;
mod plans_servers_apps;
mod postgrest_client;
mod public_signup;
mod reconcilers;
mod registry_outage;
mod resolution;
mod resource_api;
mod signup;
mod steps;
mod versions;
mod walkthroughs;
