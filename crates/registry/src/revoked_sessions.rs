//! Table `revoked_sessions`: log-ins that ended before their access tokens.

use chrono::{DateTime, Utc};
use tenantry_domain::ids::{SessionId, TenantId};

use crate::{Registry, RegistryError};

/// A log-in whose access tokens are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokedSession {
    /// Which.
    pub id: SessionId,
    /// When the last of its tokens ends by itself.
    pub expires_at: DateTime<Utc>,
}

impl Registry {
    /// Revokes log-ins of a tenant at all data planes.
    pub async fn sessions_revoke(
        &self,
        tenant: TenantId,
        sessions: &[SessionId],
        expires_at: DateTime<Utc>,
    ) -> Result<(), RegistryError> {
        let ids: Vec<_> = sessions.iter().map(|session| session.as_uuid()).collect();
        sqlx::query!(
            "INSERT INTO revoked_sessions (session_id, tenant_id, expires_at)
             SELECT revoked, $1, $3 FROM unnest($2::uuid[]) AS revoked ON CONFLICT (session_id) DO NOTHING",
            tenant.as_uuid(),
            &ids,
            expires_at,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// All whose tokens have not ended by themselves.
    pub async fn sessions_revoked(&self) -> Result<Vec<RevokedSession>, RegistryError> {
        let rows =
            sqlx::query!("SELECT session_id, expires_at FROM revoked_sessions WHERE expires_at > now()")
                .fetch_all(&self.pool)
                .await?;
        let sessions = rows.into_iter().map(|row| RevokedSession {
            id: SessionId::from_uuid(row.session_id),
            expires_at: row.expires_at,
        });
        Ok(sessions.collect())
    }

    /// Forgets those whose tokens have ended by themselves; how many.
    pub async fn sessions_forget_revoked(&self) -> Result<u64, RegistryError> {
        let done = sqlx::query!("DELETE FROM revoked_sessions WHERE expires_at <= now()")
            .execute(&self.housekeeping)
            .await?;
        Ok(done.rows_affected())
    }
}
