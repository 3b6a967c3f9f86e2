//! Getting new tokens for a refresh token, which counts once.

use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;
use tenantry_postgres::tenant::Access;

use super::{
    StoredUser, Tokens, UsersError, ask,
    logout::revoke,
    session::{RefreshToken, idle, tokens},
};
use crate::{routes::CachedRoute, state::Plane};

/// What became of it.
#[derive(Debug, Deserialize)]
struct Outcome {
    /// The token was used before: one of the two who have it has stolen it, and nobody can tell which.
    reused: bool,
    user: Option<StoredUser>,
}

/// A session ends one of whose tokens before the current one is used. What was never one of them does nothing: the session's
/// id is no secret. The last 64 are known again, of a log-in that is refreshed every quarter of an hour those of 16 hours.
const ROTATE: &str = "WITH asked AS MATERIALIZED (
        SELECT id, refresh_hash = decode($2, 'hex') AS is_current, decode($2, 'hex') = ANY (used_hashes) AS was_used,
            expires_at > now() AS is_live
        FROM {sessions} WHERE id = $1::uuid FOR UPDATE
    ), reused AS (
        DELETE FROM {sessions} USING asked WHERE {sessions}.id = asked.id AND was_used RETURNING {sessions}.id
    ), rotated AS (
        UPDATE {sessions} SET refresh_hash = decode($3, 'hex'), expires_at = now() + $4::interval,
            used_hashes = (refresh_hash || used_hashes)[1:64]
        FROM asked WHERE {sessions}.id = asked.id AND is_current AND is_live RETURNING user_id
    )
    SELECT json_build_object('reused', EXISTS (SELECT FROM reused), 'user', (
        SELECT json_build_object('id', id, 'username', username, 'roles', roles)
        FROM {users} JOIN rotated ON user_id = id WHERE enabled))::text
    FROM asked";

/// New tokens of the same log-in.
pub(crate) async fn refresh(
    plane: &Arc<Plane>,
    route: &CachedRoute,
    presented: SecretString,
) -> Result<Tokens, UsersError> {
    let presented = RefreshToken::read(presented).ok_or(UsersError::Refresh)?;
    let (next, now) = (RefreshToken::new(presented.session), plane.clock.now());
    let params =
        [Some(presented.session.to_string()), Some(presented.hash()), Some(next.hash()), Some(idle(route))];
    let outcome = ask(plane, route, Access::ReadWrite, ROTATE, &params).await?.ok_or(UsersError::Refresh)?;
    let outcome: Outcome = serde_json::from_slice(&outcome)?;
    if outcome.reused {
        tracing::warn!(
            tenant = %route.tenant_id,
            session = %presented.session,
            "a refresh token was used twice; its log-in has ended"
        );
        revoke(plane, route, &[presented.session]).await;
    }
    tokens(plane, route, outcome.user.ok_or(UsersError::Refresh)?, next, now)
}
