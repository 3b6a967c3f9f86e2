//! Provider `local`: PostgreSQL servers as processes on this machine, for development, the demo and tests.
//!
//! Each has a folder named by its id. A server ends with the worker that started it, however that ends; another worker
//! with the same folder, or the next one, starts it again. A deleted one leaves an empty folder with a mark for a day, so
//! that a worker which wakes up late cannot make it again.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::join_all;
use tenantry_domain::{ids::ServerId, server, server_tls::ServerTls};
use tenantry_postgres::embedded::{
    self, Durability, EmbeddedConfig, EmbeddedError, EmbeddedPostgres, RunningServer, SearchPath,
};
use tenantry_registry::Registry;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{Endpoint, Look, Order, Provider, ProviderError};

/// Where servers are made, and of what.
#[derive(Debug, Clone)]
pub struct LocalSettings {
    /// A folder of its own, the same for all workers of this machine.
    pub dir: PathBuf,
    /// Where to look for PostgreSQL.
    pub search: SearchPath,
    /// What survives a crash of the machine.
    pub durability: Durability,
}

/// How often servers are looked at that should run.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long a deleted server is remembered.
const REMEMBERED: Duration = Duration::from_hours(24);

/// The mark in the folder of a deleted server.
const DELETED: &str = "deleted";

/// Connections that a data plane may open to such a server, and that it has for all.
const DATA_PLANE_CONNECTIONS: u32 = 40;
const MAX_CONNECTIONS: u32 = 150;

/// See the module.
pub struct Local {
    settings: LocalSettings,
    /// Those that this process has started.
    running: Mutex<HashMap<ServerId, EmbeddedPostgres>>,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("dir", &self.settings.dir).finish_non_exhaustive()
    }
}

impl Local {
    /// In a folder.
    pub fn new(settings: LocalSettings) -> Arc<Self> {
        Arc::new(Self { settings, running: Mutex::default() })
    }

    fn folder(&self, id: ServerId) -> PathBuf {
        self.settings.dir.join(id.to_string())
    }

    fn data_dir(&self, id: ServerId) -> PathBuf {
        self.folder(id).join("postgres")
    }

    fn mark(&self, id: ServerId) -> PathBuf {
        self.folder(id).join(DELETED)
    }

    fn is_deleted(&self, id: ServerId) -> bool {
        self.mark(id).exists()
    }

    /// All that have a folder, deleted ones too.
    fn known(&self) -> Vec<ServerId> {
        let Ok(entries) = self.settings.dir.read_dir() else { return Vec::new() };
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
    }

    /// Starts a server unless somebody runs it.
    async fn start(&self, id: ServerId) -> Result<(), EmbeddedError> {
        let mut config = EmbeddedConfig::new(self.data_dir(id), self.settings.search.clone());
        config.durability = self.settings.durability;
        config.max_connections = MAX_CONNECTIONS;
        let server = match EmbeddedPostgres::start(config).await {
            // By another worker, or by another task of this one.
            Err(EmbeddedError::InUse { .. }) => return Ok(()),
            started => started?,
        };
        self.running.lock().await.insert(id, server);
        Ok(())
    }

    /// One look at a server.
    async fn keep(&self, id: ServerId, registry: &Registry) -> Result<(), EmbeddedError> {
        if self.is_deleted(id) {
            return self.forget(id).await;
        }
        if let Some(found) = RunningServer::find(&self.data_dir(id)) {
            // Of another worker's, that one takes care.
            if self.running.lock().await.contains_key(&id) {
                note_address(registry, id, &found).await;
            }
            return Ok(());
        }
        let ours = self.running.lock().await.remove(&id);
        match ours {
            Some(mut ended) => {
                tracing::warn!(server.id = %id, "local server {id} has ended; starting it again");
                ended.restart().await?;
                self.running.lock().await.insert(id, ended);
                Ok(())
            }
            None => self.start(id).await,
        }
    }

    /// Ends what runs of a deleted server, and forgets the deletion after a while.
    async fn forget(&self, id: ServerId) -> Result<(), EmbeddedError> {
        let ours = self.running.lock().await.remove(&id);
        if let Some(server) = ours {
            // The end of the process is what counts.
            let _ = server.stop_immediately().await;
        }
        embedded::remove(&self.data_dir(id)).await?;
        let deleted = self.mark(id).metadata().and_then(|mark| mark.modified());
        let long_ago = deleted.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > REMEMBERED));
        if long_ago {
            // Another worker may have been faster.
            let _ = tokio::fs::remove_dir_all(self.folder(id)).await;
        }
        Ok(())
    }
}

async fn note_address(registry: &Registry, id: ServerId, found: &RunningServer) {
    match registry.own_server_moved(id, found.host, found.port).await {
        Ok(true) => tracing::info!(server.id = %id, "local server {id} is at port {} now", found.port),
        Ok(false) => {}
        Err(error) => tracing::debug!(%error, "the address of local server {id} cannot be noted"),
    }
}

fn transient(error: &impl std::fmt::Display) -> ProviderError {
    ProviderError::Transient(error.to_string())
}

#[async_trait]
impl Provider for Local {
    fn kind(&self) -> server::Provider {
        server::Provider::Local
    }

    async fn order(&self, order: &Order) -> Result<(), ProviderError> {
        tokio::fs::create_dir_all(self.folder(order.id)).await.map_err(|error| transient(&error))?;
        if self.is_deleted(order.id) {
            return Err(ProviderError::Permanent(format!("server {} was deleted", order.id)));
        }
        if RunningServer::find(&self.data_dir(order.id)).is_some() {
            return Ok(());
        }
        self.start(order.id).await.map_err(|error| match error {
            error @ (EmbeddedError::NotFound { .. }
            | EmbeddedError::BadBinDir { .. }
            | EmbeddedError::NoUser
            | EmbeddedError::NotTraversable { .. }) => ProviderError::Permanent(error.to_string()),
            error => transient(&error),
        })
    }

    async fn look(&self, id: ServerId) -> Result<Look, ProviderError> {
        if !self.folder(id).exists() {
            return Ok(Look::Unknown);
        }
        if self.is_deleted(id) {
            return Ok(Look::Deleted);
        }
        let Some(found) = RunningServer::find(&self.data_dir(id)) else {
            return Ok(Look::Making("PostgreSQL is being started".into()));
        };
        Ok(Look::Ready(Endpoint {
            region: "local".into(),
            host: found.host.into(),
            port: found.port,
            tls: ServerTls::default(),
            admin_user: found.user.into(),
            admin_password: found.password,
            max_connections: DATA_PLANE_CONNECTIONS,
        }))
    }

    async fn delete(&self, id: ServerId) -> Result<(), ProviderError> {
        // Marked first: nobody starts it from here on, and whoever is about to sees it on his next look.
        tokio::fs::create_dir_all(self.folder(id)).await.map_err(|error| transient(&error))?;
        tokio::fs::write(self.mark(id), "").await.map_err(|error| transient(&error))?;
        self.forget(id).await.map_err(|error| transient(&error))
    }

    async fn list(&self) -> Result<Vec<ServerId>, ProviderError> {
        Ok(self.known().into_iter().filter(|id| !self.is_deleted(*id)).collect())
    }

    /// Keeps the servers in the folder running, tells the registry where they are, and stops those in the end that this
    /// process has started.
    async fn supervise(self: Arc<Self>, registry: Registry, stop: CancellationToken) {
        let mut failures = HashMap::<ServerId, u32>::new();
        while !stop.is_cancelled() {
            let looks = self.known().into_iter().map(async |id| (id, self.keep(id, &registry).await));
            for (id, kept) in join_all(looks).await {
                match kept {
                    Ok(()) => drop(failures.remove(&id)),
                    Err(error) => {
                        let failed = failures.entry(id).or_default();
                        *failed += 1;
                        // The first time, and each minute.
                        if *failed % 120 == 1 {
                            tracing::warn!(server.id = %id, %error, "local server {id} does not run: {error}");
                        }
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
        let running: Vec<_> = self.running.lock().await.drain().collect();
        for (id, ended) in
            join_all(running.into_iter().map(async |(id, server)| (id, server.stop().await))).await
        {
            if let Err(error) = ended {
                tracing::warn!(server.id = %id, %error, "local server {id} does not stop: {error}");
            }
        }
    }
}
