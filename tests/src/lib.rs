//! The harness: real PostgreSQL, real HTTP, real processes.
//!
//! One embedded server per test binary, one registry database per test. What is cluster-wide on a
//! PostgreSQL server (roles, databases) carries the test's own suffix, so that tests run in parallel.

pub mod api;
pub mod app;
pub mod balancer;
pub mod cli;
pub mod clients;
pub mod clock;
pub mod freezing;
pub mod helm;
pub mod kubernetes;
pub mod leftovers;
mod listen;
pub mod local_servers;
mod logs;
pub mod one_operation;
pub mod openapi;
pub mod orders;
pub mod pooler;
pub mod probe;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod raw_sign_up;
pub mod rds;
pub mod reconciler;
pub mod report;
pub mod server;
pub mod tls;
pub mod translator;
pub mod versions;
pub mod warm_pool;
pub mod within;

pub use api::{Answer, Api};
pub use app::{Signup, TestApp};
