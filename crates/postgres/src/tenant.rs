//! The data plane's connections: each is logged in as a role without rights, and becomes one
//! tenant for the length of one transaction, so that nothing can leak to the next.

mod connection;
mod error;
mod statements;

pub use connection::{Access, ConnectOptions, LoginTarget, QueryRow, TenantConnection};
pub use error::{ConnectError, QueryErrorKind, TenantQueryError};

#[cfg(test)]
mod tests;
