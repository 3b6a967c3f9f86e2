//! The users of tenants: registering, logging in and out. What is kept of them is in the tenant's own schema; see
//! [`crate::serve`] for how it is reached.

mod change_password;
mod directory;
mod login;
mod logout;
mod password;
mod refresh;
mod register;
mod session;

use bytes::Bytes;
use serde::Deserialize;
use tenantry_domain::user::Role;
use tenantry_postgres::tenant::Access;
use tenantry_tokens::{IssueError, Issuer};

use crate::{
    routes::CachedRoute,
    serve::{Failure, Locks, UsersStatement},
    state::Plane,
};
pub(crate) use change_password::change_password;
pub(crate) use directory::{UserChange, UserView, change, one, page};
pub(crate) use login::{Login, login};
pub(crate) use logout::{Ended, logout};
use password::Passwords;
pub(crate) use refresh::refresh;
pub(crate) use register::{NewUser, Registered, register};
pub(crate) use session::Tokens;

/// What all of it shares.
#[derive(Debug)]
pub(crate) struct Users {
    passwords: Passwords,
    issuer: Issuer,
}

impl Users {
    pub(crate) fn new(issuer: Issuer) -> Self {
        Self { passwords: Passwords::new(), issuer }
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
