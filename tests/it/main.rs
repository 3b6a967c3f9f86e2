//! Integration tests: one binary, one server.

#![allow(clippy::unwrap_used, reason = "functions that tests share fail as tests do")]

mod already_so;
mod bad_input;
mod bootstrap_key;
mod cli_apps;
mod cli_errors;
mod cli_login;
mod cli_tenants;
mod crashes;
mod dev;
mod domains;
mod enqueue;
mod freezing;
mod idempotency;
mod isolation;
mod keys;
mod lifecycle;
mod observability;
mod operations;
mod plan_changes;
mod plans_servers_apps;
mod postgrest_client;
mod public_signup;
mod readiness;
mod readme;
mod reconcilers;
mod registry_hangs;
mod registry_outage;
mod registry_restart;
mod resolution;
mod resource_api;
mod rolling_restart;
mod signup;
mod start_errors;
mod steps;
mod versions;
mod walkthroughs;
