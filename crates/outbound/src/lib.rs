//! Requests to URLs that others have chosen: webhooks, and key sets of issuers.
//!
//! Whoever chooses such a URL must not reach what only Tenantry's own processes reach. [`Outbound`] makes clients that go to
//! public addresses only, and to networks that are allowed; [`issuer_keys`] fetches the keys of an issuer with them.

mod addresses;
mod client;
mod hosts;
pub mod issuer_keys;

pub use client::{NoRequest, Outbound, root_cause};
pub use hosts::{HostResolver, SystemHosts};
