//! Integration tests: one binary, one server.

mod bad_input;
mod crashes;
mod enqueue;
mod lifecycle;
mod operations;
mod registry_outage;
mod signup;
mod steps;
