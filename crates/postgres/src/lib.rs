//! Talking to PostgreSQL servers that hold tenants: an [`embedded`] one for a single machine, the
//! worker's [`admin`] connections, and the data plane's connections that become one [`tenant`] at
//! a time.
//!
//! Knows nothing of the registry, and reads no environment: what it needs is passed in.

pub mod admin;
pub mod embedded;
mod scram;
mod sql;
pub mod tenant;
pub mod tls;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod measure;
