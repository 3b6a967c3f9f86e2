//! Getting new tokens for a refresh token, which counts once.

use secrecy::SecretString;
use serde::Deserialize;
use tenantry_postgres::tenant::Access;

use super::{
    StoredUser, Tokens, UsersError,
    logout::revoke,
    session::{RefreshToken, idle, tokens},
};
use crate::{routes::CachedRoute, serve::UsersStatement, state::Plane};

/// What became of it.
#[derive(Debug, Deserialize)]
struct Outcome {
    /// The token was used before: one of the two who have it has stolen it, and nobody can tell which.
    reused: bool,
    user: Option<StoredUser>,
}

/// A session whose token is another by now ends.
const ROTATE: &str = "WITH asked AS MATERIALIZED (
        SELECT id, refresh_hash = decode($2, 'hex') AS is_current, expires_at > now() AS is_live
        FROM {sessions} WHERE id = $1::uuid FOR UPDATE
    ), reused AS (
        DELETE FROM {sessions} USING asked WHERE {sessions}.id = asked.id AND NOT is_current RETURNING {sessions}.id
    ), rotated AS (
        UPDATE {sessions} SET refresh_hash = decode($3, 'hex'), expires_at = now() + $4::interval
        FROM asked WHERE {sessions}.id = asked.id AND is_current AND is_live RETURNING user_id
    )
    SELECT json_build_object('reused', EXISTS (SELECT FROM reused), 'user', (
        SELECT json_build_object('id', id, 'username', username, 'roles', roles)
        FROM {users} JOIN rotated ON user_id = id WHERE enabled))::text
    FROM asked";

/// New tokens of the same log-in.
pub(crate) async fn refresh(
    plane: &Plane,
    route: &CachedRoute,
    presented: SecretString,
) -> Result<Tokens, UsersError> {
    let presented = RefreshToken::read(presented).ok_or(UsersError::Refresh)?;
    let next = RefreshToken::new(presented.session);
    let params =
        [Some(presented.session.to_string()), Some(presented.hash()), Some(next.hash()), Some(idle(route))];
    let statement =
        UsersStatement { access: Access::ReadWrite, sql: ROTATE, params: &params, one_at_a_time: false };
    let outcome = plane.runner.ask_users(route, statement).await?.ok_or(UsersError::Refresh)?;
    let outcome: Outcome = serde_json::from_slice(&outcome)?;
    if outcome.reused {
        tracing::warn!(
            tenant = %route.tenant_id,
            session = %presented.session,
            "a refresh token was used twice; its log-in has ended"
        );
        revoke(plane, route, &[presented.session]).await?;
    }
    tokens(plane, route, outcome.user.ok_or(UsersError::Refresh)?, next)
}
