//! Connections to tenant servers. `budget` says who may have one, `connections` keeps them,
//! `login` knows the passwords. Nothing else in the process opens connections to tenant servers.

mod budget;
mod connections;
mod login;

pub(crate) use budget::Claim;
pub(crate) use connections::{Lease, PoolError, Pools};
