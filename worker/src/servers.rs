//! Admin connections to tenant servers, by server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use secrecy::ExposeSecret;
use tenantry_domain::{envelope::Key, ids::ServerId, names::ObjectName, purpose::Purpose};
use tenantry_postgres::admin::{AdminLimits, ServerAdmin};
use tenantry_registry::{Registry, ServerAccess};

use crate::engine::StepError;

/// See the module.
pub struct Servers {
    registry: Registry,
    kek: Key,
    limits: AdminLimits,
    known: Mutex<HashMap<ServerId, Arc<Server>>>,
}

/// A server with its admin connections.
pub(crate) struct Server {
    pub(crate) admin: ServerAdmin,
    pub(crate) shared_database: ObjectName,
    access: Access,
}

/// What the connections were made with; a change makes new ones.
#[derive(PartialEq, Eq)]
struct Access {
    host: String,
    port: u16,
    user: String,
    sealed_password: Vec<u8>,
}

impl Servers {
    pub(crate) fn new(registry: Registry, kek: Key, limits: AdminLimits) -> Self {
        Self { registry, kek, limits, known: Mutex::default() }
    }

    /// A server, prepared to hold tenants.
    pub(crate) async fn get(&self, id: ServerId) -> Result<Arc<Server>, StepError> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        // An admin login that was changed shows as a failing step, whose next try reads it anew.
        let server = if let Some(server) = known { server } else { self.load(id).await? };
        server.admin.prepare(&server.shared_database).await?;
        Ok(server)
    }

    async fn load(&self, id: ServerId) -> Result<Arc<Server>, StepError> {
        let found = self.registry.server_get(id).await?;
        let ServerAccess { server, admin_user, admin_password, shared_database } =
            found.ok_or_else(|| StepError::permanent(format!("server {id} is not registered any more")))?;
        let password =
            self.kek.open_text(&Purpose::ServerAdmin(id).to_string(), &admin_password).map_err(|error| {
                StepError::permanent(format!("the admin password of server {}: {error}", server.name))
            })?;
        let admin = ServerAdmin::new(&server.host, server.port, &admin_user, &password, self.limits);
        let access = Access {
            host: server.host,
            port: server.port,
            user: admin_user,
            sealed_password: admin_password,
        };
        debug_assert!(!password.expose_secret().is_empty());
        let loaded = Arc::new(Server { admin, shared_database, access });
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two that loaded at once the first stays, so that there is one set of pools.
        let kept = known.entry(id).or_insert_with(|| Arc::clone(&loaded));
        if kept.access != loaded.access {
            *kept = loaded;
        }
        Ok(Arc::clone(kept))
    }

    /// Forgets a server's connections, because they failed: the next use reads its address and login anew.
    pub(crate) fn forget(&self, id: ServerId) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    pub(crate) async fn close(&self) {
        let known: Vec<_> = self.known.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        for (_, server) in known {
            server.admin.close().await;
        }
    }
}
