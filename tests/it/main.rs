//! Integration tests: one binary, one server.

mod bad_input;
mod crashes;
mod enqueue;
mod idempotency;
mod isolation;
mod keys;
mod lifecycle;
mod operations;
mod plans_servers_apps;
mod public_signup;
mod registry_outage;
mod signup;
mod steps;
mod walkthroughs;
