//! Integration tests: one binary, one server.

#![allow(clippy::unwrap_used, reason = "functions that tests share fail as tests do")]

mod bad_input;
mod cli_apps;
mod cli_errors;
mod cli_login;
mod cli_tenants;
mod crashes;
mod dev;
mod domains;
mod enqueue;
mod idempotency;
mod isolation;
mod keys;
mod lifecycle;
mod operations;
mod plans_servers_apps;
mod postgrest_client;
mod public_signup;
mod readme;
mod reconcilers;
mod registry_outage;
mod resolution;
mod resource_api;
mod signup;
mod steps;
mod walkthroughs;
