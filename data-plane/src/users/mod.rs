//! The users of tenants: registering, logging in and out. What is kept of them is in the tenant's own schema; see
//! [`crate::serve`] for how it is reached.

mod change_password;
mod directory;
mod invite;
mod login;
mod logout;
mod one_time;
mod password;
mod refresh;
mod register;
mod session;
mod told;

use std::time::{Duration, Instant};

use bytes::Bytes;
use quick_cache::sync::Cache;
use serde::Deserialize;
use tenantry_domain::{
    envelope,
    ids::TenantId,
    user::{Role, USERS_TABLE},
};
use tenantry_postgres::tenant::Access;
use tenantry_tokens::{IssueError, Issuer};

use crate::{
    routes::CachedRoute,
    serve::{Failure, Locks, UsersStatement},
    state::Plane,
};
pub(crate) use change_password::change_password;
pub(crate) use directory::{UserChange, UserView, change, one, page};
pub(crate) use invite::{Invitation, invite};
pub(crate) use login::{Login, login};
pub(crate) use logout::{Ended, logout};
pub(crate) use one_time::{change_email, confirm_email, forgot_password, reset_password};
use password::Passwords;
pub(crate) use refresh::refresh;
pub(crate) use register::{NewUser, Registered, register};
pub(crate) use session::Tokens;

/// What all of it shares.
#[derive(Debug)]
pub(crate) struct Users {
    passwords: Passwords,
    issuer: Issuer,
    kek: envelope::Key,
    /// When users were last sent a message that anybody may ask for.
    sent: Cache<(TenantId, i64), Instant>,
}

/// Users of whom that is known.
const SENT: usize = 100_000;

impl Users {
    /// `kek` opens the tenants' keys, and seals one-time tokens.
    pub(crate) fn new(kek: envelope::Key) -> Self {
        Self { passwords: Passwords::new(), issuer: Issuer::new(kek.clone()), kek, sent: Cache::new(SENT) }
    }

    fn kek(&self) -> &envelope::Key {
        &self.kek
    }

    /// Whether a user was not sent a message since so long; notes that he is.
    fn may_be_sent(&self, user: (TenantId, i64), since: Duration) -> bool {
        let now = Instant::now();
        let may = self.sent.get(&user).is_none_or(|sent| now.duration_since(sent) >= since);
        if may {
            self.sent.insert(user, now);
        }
        may
    }
}

/// Why it was not done.
#[derive(Debug)]
pub(crate) enum UsersError {
    /// The app's tenants have no users.
    None,
    /// The tenant was made before its app had users, and has no tables for them.
    NotReady,
    /// Name or password is wrong, the user is disabled, or was locked out: which, nobody is told.
    Credentials,
    /// He was sent a message less than a minute ago.
    SentBefore,
    /// The one-time token is none, has expired, was used, or is for something else.
    OneTimeToken,
    /// The refresh token is none, has ended, or was used before.
    Refresh,
    UsernameTaken,
    EmailTaken,
    /// The tenant has as many users as it may have.
    Limit(u32),
    /// Nobody else would be an owner who may log in.
    LastOwner,
    /// Somebody else has changed the user meanwhile.
    Changed,
    /// Others' passwords are being hashed.
    Busy,
    Failure(Box<Failure>),
    Issue(IssueError),
    /// What was kept cannot be read.
    Stored(serde_json::Error),
}

/// A statement met a name or an address that another user has, or failed otherwise.
fn taken(failure: Failure) -> UsersError {
    match failure {
        Failure::Statement { error, .. } if error.code.as_deref() == Some("23505") => {
            let email = format!("{USERS_TABLE}_email");
            let is_email = error.constraint.as_deref() == Some(email.as_str());
            if is_email { UsersError::EmailTaken } else { UsersError::UsernameTaken }
        }
        failure => failure.into(),
    }
}

impl From<Failure> for UsersError {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure.into())
    }
}

impl From<IssueError> for UsersError {
    fn from(error: IssueError) -> Self {
        Self::Issue(error)
    }
}

impl From<serde_json::Error> for UsersError {
    fn from(error: serde_json::Error) -> Self {
        Self::Stored(error)
    }
}

/// Who logs in, as it is kept.
#[derive(Debug, Deserialize)]
struct StoredUser {
    id: i64,
    username: String,
    roles: Vec<Role>,
}

/// Runs a statement that waits for nobody; see [`UsersStatement`].
async fn ask(
    plane: &Plane,
    route: &CachedRoute,
    access: Access,
    sql: &str,
    params: &[Option<String>],
) -> Result<Option<Bytes>, UsersError> {
    let statement = UsersStatement { access, sql, params, locks: Locks::default() };
    Ok(plane.runner.ask_users(route, statement).await?)
}
