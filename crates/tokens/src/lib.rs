//! Access tokens that open a tenant's data: JWTs that the tenant's own key signs (`EdDSA`). What they say, and their making:
//! data planes sign those of users who log in, control planes those of support. And the checking of tokens that somebody else has signed.
//! No I/O.

mod claims;
mod issue;
mod of_others;
mod one_time;

use chrono::TimeDelta;
pub use claims::{
    AUDIENCE, Actor, Claims, claimed_tenant, is_support_by_operator, is_token, issuer, payload,
};
pub use issue::{Holder, IssueError, Issuer, Subject, Supporter, lifetime};
pub use of_others::{ClaimsOfOthers, Expected, RefusedOfOthers, is_name, named_key, verify_of_others};
pub use one_time::{OneTimeToken, OneTimeUse};

/// For how long one is good at most.
pub const LIFETIME: TimeDelta = TimeDelta::minutes(15);

/// The clocks of two processes may differ by as much.
pub const SKEW: TimeDelta = TimeDelta::seconds(30);
