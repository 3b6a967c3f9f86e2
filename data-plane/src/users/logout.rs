//! Logging out: the refresh token counts no more, nor do the access tokens, here at once and elsewhere when the registry has
//! announced it.

use tenantry_domain::ids::SessionId;
use tenantry_postgres::tenant::Access;
use tenantry_registry::RevokedSession;

use super::UsersError;
use crate::{
    routes::CachedRoute,
    serve::UsersStatement,
    state::Plane,
    tokens::{LIFETIME, SKEW},
};

/// Ends a log-in.
pub(crate) async fn logout(plane: &Plane, route: &CachedRoute, session: SessionId) -> Result<(), UsersError> {
    let statement = UsersStatement {
        access: Access::ReadWrite,
        sql: "DELETE FROM {sessions} WHERE id = $1::uuid RETURNING 'true'",
        params: &[Some(session.to_string())],
        one_at_a_time: false,
    };
    plane.runner.ask_users(route, statement).await?;
    revoke(plane, route, &[session]).await
}

/// Has all data planes refuse the access tokens of log-ins, for as long as there may be any.
pub(super) async fn revoke(
    plane: &Plane,
    route: &CachedRoute,
    sessions: &[SessionId],
) -> Result<(), UsersError> {
    if sessions.is_empty() {
        return Ok(());
    }
    let expires_at = plane.clock.now() + LIFETIME + SKEW;
    for id in sessions {
        plane.revoked.add(RevokedSession { id: *id, expires_at });
    }
    Ok(plane.registry.sessions_revoke(route.tenant_id, sessions, expires_at).await?)
}
