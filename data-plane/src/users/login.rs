//! Logging in.

use secrecy::SecretString;
use serde::Deserialize;
use tenantry_domain::ids::SessionId;
use tenantry_postgres::tenant::Access;

use super::{
    StoredUser, Tokens, UsersError,
    session::{RefreshToken, idle, tokens},
};
use crate::{routes::CachedRoute, serve::UsersStatement, state::Plane};

/// Who wants to log in.
#[derive(Debug)]
pub(crate) struct Login {
    /// A user name or an e-mail address.
    pub(crate) name: String,
    pub(crate) password: SecretString,
}

/// As it is kept, with what decides whether he may.
#[derive(Debug, Deserialize)]
struct Found {
    #[serde(flatten)]
    user: StoredUser,
    password: String,
    may_log_in: bool,
}

const FIND: &str = "SELECT json_build_object('id', id, 'username', username, 'roles', roles, 'password', password,
        'may_log_in', enabled AND coalesce(locked_until <= now(), true))::text
    FROM {users} WHERE CASE WHEN strpos($1, '@') > 0 THEN lower(email) = lower($1) ELSE lower(username) = lower($1) END";

/// Ten wrong passwords in a row, and nobody logs in as this user for a quarter of an hour. The commit does not wait for the
/// disk, which would take longer than to find that there is no such user; a crash may forget some of them.
const FAILED: &str = "WITH at_once AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
    UPDATE {users} SET failed_logins = failed_logins + 1,
        locked_until = CASE WHEN (failed_logins + 1) % 10 = 0 THEN now() + interval '15 minutes' ELSE locked_until END
    FROM at_once WHERE id = $1::bigint RETURNING 'true'";

/// Only with the password that was compared: it may have been changed meanwhile.
const ENTER: &str = "WITH entered AS (
        UPDATE {users} SET failed_logins = 0, locked_until = NULL, last_login_at = now()
        WHERE id = $1::bigint AND password = $2 AND enabled RETURNING id
    ), ended AS (
        DELETE FROM {sessions} USING entered WHERE user_id = entered.id AND expires_at <= now()
    )
    INSERT INTO {sessions} (id, user_id, refresh_hash, expires_at)
    SELECT $3::uuid, entered.id, decode($4, 'hex'), now() + $5::interval FROM entered
    RETURNING 'true'";

/// Lets a user in. Whoever may not be let in is told no more than that, after the same time.
pub(crate) async fn login(plane: &Plane, route: &CachedRoute, login: Login) -> Result<Tokens, UsersError> {
    let found = ask(plane, route, Access::ReadOnly, FIND, &[Some(login.name)]).await?;
    let found: Option<Found> = found.map(|found| serde_json::from_slice(&found)).transpose()?;
    let hash = found.as_ref().map(|found| found.password.as_str());
    let is_right = plane.users.passwords.is_right(route.tenant_id, &login.password, hash).await?;
    match found {
        Some(Found { user, password, may_log_in: true }) if is_right => {
            let session = SessionId::generate(plane.clock.now(), &mut rand::rng());
            let refresh = RefreshToken::new(session);
            let params = [
                Some(user.id.to_string()),
                Some(password),
                Some(session.to_string()),
                Some(refresh.hash()),
                Some(idle(route)),
            ];
            let entered = ask(plane, route, Access::ReadWrite, ENTER, &params).await?;
            entered.ok_or(UsersError::Credentials)?;
            tokens(plane, route, user, refresh)
        }
        Some(Found { may_log_in: false, .. }) => Err(UsersError::Credentials),
        found => {
            // For nobody too, so that it takes as long.
            let id = found.map_or(0, |found| found.user.id);
            ask(plane, route, Access::ReadWrite, FAILED, &[Some(id.to_string())]).await?;
            Err(UsersError::Credentials)
        }
    }
}

async fn ask(
    plane: &Plane,
    route: &CachedRoute,
    access: Access,
    sql: &str,
    params: &[Option<String>],
) -> Result<Option<bytes::Bytes>, UsersError> {
    let statement = UsersStatement { access, sql, params, one_at_a_time: false };
    Ok(plane.runner.ask_users(route, statement).await?)
}
