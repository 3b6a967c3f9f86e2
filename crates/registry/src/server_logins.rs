//! Table `server_logins`: the data plane's logins on each server.

use tenantry_domain::{
    ids::{ServerId, TenantId},
    names::ObjectName,
};
use uuid::Uuid;

use crate::{Registry, RegistryError, TimedConnection, error::Stored};

/// A login of the data plane on a server.
#[derive(Debug, Clone)]
pub struct ServerLogin {
    /// The server.
    pub server_id: ServerId,
    /// The login's name.
    pub name: ObjectName,
    /// Its password, sealed.
    pub password: Vec<u8>,
    /// Who may have it.
    pub kind: LoginKind,
}

/// Who may have a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginKind {
    /// Some hundreds of tenants.
    Shared,
    /// One tenant.
    Own,
    /// No tenant: it sees what Tenantry keeps of their users. There is one of each server.
    Users,
}

impl Registry {
    /// One login.
    pub async fn server_login_get(
        &self,
        server: ServerId,
        name: &ObjectName,
    ) -> Result<Option<ServerLogin>, RegistryError> {
        let row = sqlx::query!(
            "SELECT password, own, for_users FROM server_logins WHERE server_id = $1 AND name = $2",
            server.as_uuid(),
            name.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| ServerLogin {
            server_id: server,
            name: name.clone(),
            password: row.password,
            kind: match row {
                _ if row.for_users => LoginKind::Users,
                _ if row.own => LoginKind::Own,
                _ => LoginKind::Shared,
            },
        }))
    }

    /// The name of a server's login for users' records, if it has one.
    pub async fn server_users_login(&self, server: ServerId) -> Result<Option<ObjectName>, RegistryError> {
        let name = sqlx::query_scalar!(
            "SELECT name FROM server_logins WHERE server_id = $1 AND for_users",
            server.as_uuid()
        )
        .fetch_optional(&self.pool)
        .await?;
        name.map(|name| ObjectName::parse(&name)).transpose().stored("server_logins.name")
    }

    /// The logins that are a tenant's own at its placements, as pairs of a server and a name.
    pub(crate) async fn own_logins_in_tx(
        tx: &mut TimedConnection,
        tenant: TenantId,
    ) -> Result<Vec<(Uuid, String)>, RegistryError> {
        let rows = sqlx::query!(
            "SELECT server_logins.server_id, name FROM placements
             JOIN server_logins ON server_logins.server_id = placements.server_id AND name = login
             WHERE tenant_id = $1 AND own",
            tenant.as_uuid(),
        )
        .fetch_all(tx)
        .await?;
        Ok(rows.into_iter().map(|row| (row.server_id, row.name)).collect())
    }

    /// Forgets those of these logins that no placement has any more: they may still become the tenant whose own they were,
    /// and nobody else is to have them.
    pub(crate) async fn own_logins_forget_in_tx(
        tx: &mut TimedConnection,
        logins: Vec<(Uuid, String)>,
    ) -> Result<(), RegistryError> {
        let (servers, names): (Vec<_>, Vec<_>) = logins.into_iter().unzip();
        sqlx::query!(
            "DELETE FROM server_logins USING unnest($1::uuid[], $2::text[]) AS left_behind (server, login)
             WHERE server_id = server AND name = login AND own AND tenants = 0",
            &servers,
            &names,
        )
        .execute(tx)
        .await?;
        Ok(())
    }

    /// Adds a login, unless it is there; one for users' records, unless the server has one.
    pub async fn server_login_add(&self, login: &ServerLogin) -> Result<(), RegistryError> {
        sqlx::query!(
            "INSERT INTO server_logins (server_id, name, password, own, for_users) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING",
            login.server_id.as_uuid(),
            login.name.as_str(),
            login.password,
            login.kind == LoginKind::Own,
            login.kind == LoginKind::Users,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
