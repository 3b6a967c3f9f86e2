//! The data plane's connections: each is logged in as a role without rights, and becomes one
//! tenant for the length of one transaction, so that nothing can leak to the next.

mod answer;
mod cancel;
mod connection;
mod error;
pub(crate) mod login;
mod request;
mod server_error;
mod statements;
pub(crate) mod wire;

pub use answer::QueryRow;
pub use connection::TenantConnection;
pub(crate) use error::MOVING;
pub use error::{ConnectError, LinkError, QueryErrorKind, TenantQueryError};
pub use login::{ConnectOptions, LoginTarget};
pub use request::{Access, Extras};
pub use server_error::ServerError;

/// The role that sees what Tenantry keeps of the users of all tenants of a server, and nothing else. A login of the data
/// plane becomes it as others become a tenant.
pub const USERS_ROLE: &str = "tenantry_users";

#[cfg(test)]
mod tests;
