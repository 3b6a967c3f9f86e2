//! Access tokens that come with requests: those that the tenant's own keys signed, and those of issuers that it trusts. No I/O.

mod key_asks;
mod revoked;
mod trusted;
mod verify;

pub(crate) use key_asks::KeyAsks;
pub(crate) use revoked::RevokedSessions;
pub(crate) use trusted::source_of_unknown_key;
pub(crate) use verify::{Bearer, TokenRefused, Verified, verify};
