//! Logging in.

use secrecy::SecretString;
use serde::Deserialize;
use tenantry_domain::{event::EventType, ids::SessionId};
use tenantry_postgres::tenant::Access;

use super::{
    StoredUser, Tokens, UsersError, ask,
    session::{RefreshToken, idle, tokens},
    told::{ToldUser, tell},
};
use crate::{routes::CachedRoute, state::Plane};

/// Who wants to log in.
#[derive(Debug)]
pub(crate) struct Login {
    /// A user name or an e-mail address.
    pub(crate) name: String,
    pub(crate) password: SecretString,
}

/// As he is found. What he is to the tenant is read when he is let in: it may have changed meanwhile.
#[derive(Debug, Deserialize)]
struct Found {
    id: i64,
    password: String,
    may_log_in: bool,
}

const FIND: &str = "SELECT json_build_object('id', id, 'password', password,
        'may_log_in', enabled AND coalesce(locked_until <= now(), true))::text
    FROM {users} WHERE CASE WHEN strpos($1, '@') > 0 THEN lower(email) = lower($1) ELSE lower(username) = lower($1) END";

/// Ten wrong passwords in a row, and nobody logs in as this user for a quarter of an hour. The commit does not wait for the
/// disk, which would take longer than to find that there is no such user; a crash may forget some of them.
const FAILED: &str = "WITH at_once AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
    UPDATE {users} SET failed_logins = failed_logins + 1,
        locked_until = CASE WHEN (failed_logins + 1) % 10 = 0 THEN now() + interval '15 minutes' ELSE locked_until END
    FROM at_once WHERE id = $1::bigint
    RETURNING json_build_object('id', id, 'username', username, 'email', email, 'locked', failed_logins % 10 = 0)::text";

/// A user, and whether nobody is let in as him from now on.
#[derive(Debug, Deserialize)]
struct Failed {
    #[serde(flatten)]
    user: ToldUser,
    locked: bool,
}

const PASSWORD: &str = "SELECT to_json(password)::text FROM {users}
    WHERE id = $1::bigint AND enabled AND coalesce(locked_until <= now(), true)";

/// The hash of a user's password, for whom knows it. Whoever has his token is no more let guess than who logs in.
pub(super) async fn right_password(
    plane: &Plane,
    route: &CachedRoute,
    user: i64,
    given: &SecretString,
) -> Result<String, UsersError> {
    let hash = ask(plane, route, Access::ReadOnly, PASSWORD, &[Some(user.to_string())]).await?;
    let hash: String = serde_json::from_slice(&hash.ok_or(UsersError::Credentials)?)?;
    if plane.users.passwords.is_right(route.tenant_id, given, Some(&hash)).await? {
        return Ok(hash);
    }
    failed(plane, route, user).await?;
    Err(UsersError::Credentials)
}

/// Counts a wrong password.
async fn failed(plane: &Plane, route: &CachedRoute, user: i64) -> Result<(), UsersError> {
    let failed = ask(plane, route, Access::ReadWrite, FAILED, &[Some(user.to_string())]).await?;
    let failed: Option<Failed> = failed.map(|failed| serde_json::from_slice(&failed)).transpose()?;
    if let Some(Failed { user, locked: true }) = failed {
        tell(plane, route, EventType::UserLockedOut, &user);
    }
    Ok(())
}

/// Only with the password that was compared, and unless too many were wrong: either may have changed meanwhile. A session
/// that has ended stays until its last access token has, so that there is something to revoke.
const ENTER: &str = "WITH entered AS (
        UPDATE {users} SET failed_logins = 0, locked_until = NULL, last_login_at = now()
        WHERE id = $1::bigint AND password = $2 AND enabled AND coalesce(locked_until <= now(), true)
        RETURNING id, username, roles
    ), ended AS (
        DELETE FROM {sessions} USING entered WHERE user_id = entered.id AND expires_at <= now() - interval '20 minutes'
    )
    INSERT INTO {sessions} (id, user_id, refresh_hash, expires_at)
    SELECT $3::uuid, entered.id, decode($4, 'hex'), now() + $5::interval FROM entered
    RETURNING (SELECT json_build_object('id', id, 'username', username, 'roles', roles)::text FROM entered)";

/// Lets a user in. Whoever may not be let in is told no more than that, after the same time.
pub(crate) async fn login(plane: &Plane, route: &CachedRoute, login: Login) -> Result<Tokens, UsersError> {
    let found = ask(plane, route, Access::ReadOnly, FIND, &[Some(login.name)]).await?;
    let found: Option<Found> = found.map(|found| serde_json::from_slice(&found)).transpose()?;
    let hash = found.as_ref().map(|found| found.password.as_str());
    let is_right = plane.users.passwords.is_right(route.tenant_id, &login.password, hash).await?;
    match found {
        Some(Found { id, password, may_log_in: true }) if is_right => {
            // Before it is a session that somebody may end: what is signed ends before that is forgotten.
            let now = plane.clock.now();
            let session = SessionId::generate(now, &mut rand::rng());
            let refresh = RefreshToken::new(session);
            let params = [
                Some(id.to_string()),
                Some(password),
                Some(session.to_string()),
                Some(refresh.hash()),
                Some(idle(route)),
            ];
            let entered = ask(plane, route, Access::ReadWrite, ENTER, &params).await?;
            let user: StoredUser = serde_json::from_slice(&entered.ok_or(UsersError::Credentials)?)?;
            tokens(plane, route, user, refresh, now)
        }
        found => {
            // Counted for nobody where there is no such user, or he is kept out already: it takes as long.
            let id = found.filter(|found| found.may_log_in).map_or(0, |found| found.id);
            failed(plane, route, id).await?;
            Err(UsersError::Credentials)
        }
    }
}
