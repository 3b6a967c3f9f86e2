//! Access tokens of tenants' users: JWTs that the tenant's own key signs (`EdDSA`). No I/O.

mod claims;
mod issue;
mod revoked;
mod verify;

pub(crate) use claims::{claimed_tenant, is_token};
pub(crate) use issue::{IssueError, Issuer, Subject, lifetime};
pub(crate) use revoked::RevokedSessions;
pub(crate) use verify::{TokenRefused, Verified, verify};

use chrono::TimeDelta;

/// For how long one is good at most.
pub(crate) const LIFETIME: TimeDelta = TimeDelta::minutes(15);

/// The clocks of two data planes may differ by as much.
pub(crate) const SKEW: TimeDelta = TimeDelta::seconds(30);
