//! Table `server_logins`: the data plane's logins on each server.

use tenantry_domain::{ids::ServerId, names::ObjectName};

use crate::{Registry, RegistryError};

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
