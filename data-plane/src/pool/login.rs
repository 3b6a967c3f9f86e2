//! The passwords of the data plane's logins: sealed in the registry, open in memory, so that new
//! connections can be made while the registry is down.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use secrecy::SecretString;
use tenantry_domain::{envelope, ids::ServerId, names::ObjectName, purpose::Purpose};
use tenantry_registry::{Registry, RegistryError};

/// A password that cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoginError {
    /// The registry does not answer.
    #[error("the registry did not give the password of login {login}")]
    Registry {
        /// The login.
        login: ObjectName,
        /// Why not.
        source: RegistryError,
    },
    /// The registry does not know the login.
    #[error("the registry knows no login {login} on server {server}")]
    Unknown {
        /// The server.
        server: ServerId,
        /// The login.
        login: ObjectName,
    },
    /// It was sealed with another key.
    #[error("the password of login {login} cannot be opened")]
    Sealed {
        /// The login.
        login: ObjectName,
        /// Why not.
        source: envelope::Unsealable,
    },
}

pub(super) struct Logins {
    registry: Registry,
    kek: envelope::Key,
    known: RwLock<HashMap<(ServerId, Arc<ObjectName>), SecretString>>,
}

impl Logins {
    pub(super) fn new(registry: Registry, kek: envelope::Key) -> Self {
        Self { registry, kek, known: RwLock::default() }
    }

    /// A login's password, from memory where it is there.
    pub(super) async fn password(
        &self,
        server: ServerId,
        login: &Arc<ObjectName>,
    ) -> Result<SecretString, LoginError> {
        if let Some(password) = self.in_memory(server, login) {
            return Ok(password);
        }
        self.reload(server, login).await
    }

    fn in_memory(&self, server: ServerId, login: &Arc<ObjectName>) -> Option<SecretString> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&(server, Arc::clone(login))).cloned()
    }

    /// A login's password as the registry has it now.
    pub(super) async fn reload(
        &self,
        server: ServerId,
        login: &Arc<ObjectName>,
    ) -> Result<SecretString, LoginError> {
        let name = || ObjectName::clone(login);
        let stored = self
            .registry
            .server_login_get(server, login)
            .await
            .map_err(|source| LoginError::Registry { login: name(), source })?
            .ok_or_else(|| LoginError::Unknown { server, login: name() })?;
        let password = self
            .kek
            .open_text(&Purpose::ServerLogin(server, login).to_string(), &stored.password)
            .map_err(|source| LoginError::Sealed { login: name(), source })?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert((server, Arc::clone(login)), password.clone());
        Ok(password)
    }
}
