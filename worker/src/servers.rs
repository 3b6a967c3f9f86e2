//! Admin connections to tenant servers, by server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tenantry_domain::{envelope::Key, ids::ServerId, purpose::Purpose};
use tenantry_postgres::admin::{AdminError, AdminLimits, ServerAddress, ServerAdmin};
use tenantry_registry::{Registry, ServerAccess};

use crate::step_error::StepError;

/// See the module.
pub struct Servers {
    registry: Registry,
    kek: Key,
    limits: AdminLimits,
    known: Mutex<HashMap<ServerId, Known>>,
}

struct Known {
    server: Arc<Server>,
    /// Something failed there: see [`Servers::doubt`].
    doubted: bool,
}

/// A server with its admin connections.
pub(crate) struct Server {
    pub(crate) id: ServerId,
    pub(crate) admin: ServerAdmin,
    /// What the connections were made with; a later one makes new ones.
    revision: i64,
}

impl Server {
    /// Waits for work on the server, looking meanwhile whether the server is there.
    pub(crate) async fn call<T>(
        &self,
        work: impl Future<Output = Result<T, AdminError>>,
    ) -> Result<T, StepError> {
        // On the heap: it holds all that the work holds, in every step that calls.
        Box::pin(self.admin.watch(work)).await.map_err(|error| StepError::on_server(self.id, &error))
    }
}

impl Servers {
    pub(crate) fn new(registry: Registry, kek: Key, limits: AdminLimits) -> Self {
        Self { registry, kek, limits, known: Mutex::default() }
    }

    /// A server, prepared to hold tenants. `revision` is the one that the registry has: connections of an
    /// earlier one lead to where the server was.
    pub(crate) async fn get(&self, id: ServerId, revision: i64) -> Result<Arc<Server>, StepError> {
        let server = self.unprepared(id, revision).await?;
        server.call(server.admin.prepare()).await?;
        Ok(server)
    }

    /// A server as it is.
    pub(crate) async fn unprepared(&self, id: ServerId, revision: i64) -> Result<Arc<Server>, StepError> {
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&id).filter(|known| !known.doubted).map(|known| Arc::clone(&known.server))
        };
        match known.filter(|known| known.revision >= revision) {
            Some(server) => Ok(server),
            None => self.load(id).await,
        }
    }

    async fn load(&self, id: ServerId) -> Result<Arc<Server>, StepError> {
        let found = self.registry.server_get(id).await?;
        let ServerAccess { server, admin_user, admin_password, shared_database } =
            found.ok_or_else(|| StepError::permanent(format!("server {id} is not registered any more")))?;
        let password =
            self.kek.open_text(&Purpose::ServerAdmin(id).to_string(), &admin_password).map_err(|error| {
                StepError::permanent(format!("the admin password of server {}: {error}", server.name))
            })?;
        let address = ServerAddress {
            host: &server.host,
            port: server.port,
            tls: &server.tls,
            user: &admin_user,
            password: &password,
            shared_database: &shared_database,
        };
        let loaded = Arc::new(Server {
            id,
            admin: ServerAdmin::new(&address, self.limits),
            revision: server.revision,
        });
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two that loaded at once the first stays, so that there is one set of connections.
        let kept = known.entry(id).or_insert_with(|| Known { server: Arc::clone(&loaded), doubted: false });
        if kept.server.revision < loaded.revision {
            kept.server = loaded;
        } else if kept.doubted {
            kept.server.admin.forget_prepared();
        }
        kept.doubted = false;
        Ok(Arc::clone(&kept.server))
    }

    /// Something failed on a server: what was prepared there may be gone, and its address and login are read anew.
    /// Its connections stay unless those have changed: new ones for each failure would be more than its budget.
    pub(crate) fn doubt(&self, id: ServerId) {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&id) {
            known.doubted = true;
        }
    }

    /// Forgets a server's connections: it is away, or was, and they lead nowhere.
    pub(crate) fn forget(&self, id: ServerId) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    pub(crate) async fn close(&self) {
        let known: Vec<_> = self.known.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        for (_, known) in known {
            known.server.admin.close().await;
        }
    }
}
