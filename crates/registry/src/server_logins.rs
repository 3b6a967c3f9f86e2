//! Table `server_logins`: the data plane's logins on each server.

use tenantry_domain::{
    ids::{ServerId, TenantId},
    names::ObjectName,
};
use uuid::Uuid;

use crate::{Registry, RegistryError, TimedConnection};

/// A login of the data plane on a server.
#[derive(Debug, Clone)]
pub struct ServerLogin {
    /// The server.
    pub server_id: ServerId,
    /// The login's name.
    pub name: ObjectName,
    /// Its password, sealed.
    pub password: Vec<u8>,
    /// Only one tenant may have it.
    pub own: bool,
}

impl Registry {
    /// One login.
    pub async fn server_login_get(
        &self,
        server: ServerId,
        name: &ObjectName,
    ) -> Result<Option<ServerLogin>, RegistryError> {
        let row = sqlx::query!(
            "SELECT password, own FROM server_logins WHERE server_id = $1 AND name = $2",
            server.as_uuid(),
            name.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        let login = |password, own| ServerLogin { server_id: server, name: name.clone(), password, own };
        Ok(row.map(|row| login(row.password, row.own)))
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

    /// Adds a login, unless it is there.
    pub async fn server_login_add(&self, login: &ServerLogin) -> Result<(), RegistryError> {
        sqlx::query!(
            "INSERT INTO server_logins (server_id, name, password, own) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            login.server_id.as_uuid(),
            login.name.as_str(),
            login.password,
            login.own,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
