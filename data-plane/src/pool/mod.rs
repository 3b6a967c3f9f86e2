//! Connections to tenant servers. `budget` says who may have one, by what `statements` knows of each tenant's,
//! `connections` keeps them, `login` knows the passwords. Nothing else in the process opens connections to tenant servers.

mod budget;
mod connections;
mod login;
mod statements;

pub(crate) use budget::Claim;
pub(crate) use connections::{Lease, PoolError, Pools};
