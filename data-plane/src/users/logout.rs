//! Logging out: the refresh token counts no more, nor do the access tokens, here at once and elsewhere when the registry has
//! announced it.

use std::{sync::Arc, time::Duration};

use tenantry_domain::ids::SessionId;
use tenantry_postgres::tenant::Access;
use tenantry_registry::RevokedSession;
use tenantry_tokens::{LIFETIME, SKEW};
use tokio::time::timeout;

use super::{UsersError, ask};
use crate::{routes::CachedRoute, state::Plane};

/// How often the registry is told again what it could not be told.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How long somebody waits for the registry to be told.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// Who refuses the access tokens of a log-in that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Every data plane, as soon as it has heard of it.
    Everywhere,
    /// This one. The registry is told when it can be; until then, and for a quarter of an hour at most, others serve them.
    Here,
}

/// Ends a log-in.
pub(crate) async fn logout(
    plane: &Arc<Plane>,
    route: &CachedRoute,
    session: SessionId,
) -> Result<Ended, UsersError> {
    let delete = "DELETE FROM {sessions} WHERE id = $1::uuid RETURNING 'true'";
    ask(plane, route, Access::ReadWrite, delete, &[Some(session.to_string())]).await?;
    Ok(revoke(plane, route, &[session]).await)
}

/// Has all data planes refuse the access tokens of log-ins, for as long as there may be any.
pub(super) async fn revoke(plane: &Arc<Plane>, route: &CachedRoute, sessions: &[SessionId]) -> Ended {
    if sessions.is_empty() {
        return Ended::Everywhere;
    }
    let (tenant, expires_at) = (route.tenant_id, plane.clock.now() + LIFETIME + SKEW);
    for id in sessions {
        plane.revoked.add(RevokedSession { id: *id, expires_at });
    }
    let (plane, sessions) = (Arc::clone(plane), sessions.to_vec());
    // Goes on when nobody waits for it any more.
    let told = tokio::spawn(async move {
        while let Err(error) = plane.registry.sessions_revoke(tenant, &sessions, expires_at).await {
            tracing::warn!(%error, "that log-ins have ended cannot be announced; trying again");
            tokio::time::sleep(TELL_AGAIN_AFTER).await;
            if plane.clock.now() >= expires_at {
                return;
            }
        }
    });
    match timeout(TOLD_WITHIN, told).await {
        Ok(_) => Ended::Everywhere,
        Err(_) => Ended::Here,
    }
}
