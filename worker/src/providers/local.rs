//! Provider `local`: PostgreSQL servers as processes on this machine, for development, the demo and tests.
//!
//! Each has a folder named by its id. A server ends with the worker that started it, however that ends; another worker
//! with the same folder, or the next one, starts it again. A deleted one leaves an empty folder with a mark for a day, so
//! that a worker which wakes up late cannot make it again.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{File, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;
use tenantry_domain::{ids::ServerId, server, server_tls::ServerTls};
use tenantry_postgres::embedded::{
    self, Durability, EmbeddedConfig, EmbeddedError, EmbeddedPostgres, RunningServer, SearchPath,
};
use tenantry_registry::Registry;
use tokio::{
    sync::{Mutex, Notify},
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{DATA_PLANE_CONNECTIONS, Endpoint, Look, Order, Provider, ProviderError};

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

/// The marks in the folder of a server: somebody ordered it; it was deleted.
const ORDERED: &str = "ordered";
const DELETED: &str = "deleted";

/// Connections that such a server has for all.
const MAX_CONNECTIONS: u32 = 150;

/// See the module.
pub struct Local {
    settings: LocalSettings,
    /// Those that this process has started.
    running: Mutex<HashMap<ServerId, EmbeddedPostgres>>,
    /// Why some do not run.
    failures: Mutex<HashMap<ServerId, String>>,
    wake: Notify,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("dir", &self.settings.dir).finish_non_exhaustive()
    }
}

impl Local {
    /// In a folder.
    pub fn new(settings: LocalSettings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            running: Mutex::default(),
            failures: Mutex::default(),
            wake: Notify::new(),
        })
    }

    fn folder(&self, id: ServerId) -> PathBuf {
        self.settings.dir.join(id.to_string())
    }

    fn data_dir(&self, id: ServerId) -> PathBuf {
        self.folder(id).join("postgres")
    }

    fn mark(&self, id: ServerId, name: &str) -> PathBuf {
        self.folder(id).join(name)
    }

    fn is(&self, id: ServerId, marked: &str) -> bool {
        self.mark(id, marked).exists()
    }

    /// Leaves a mark that outlasts a crash of the machine.
    fn leave(&self, id: ServerId, mark: &str, text: &[u8]) -> std::io::Result<()> {
        for folder in [&self.settings.dir, &self.folder(id)] {
            std::fs::create_dir_all(folder)?;
            // Passed through by the user that PostgreSQL runs as, whatever the umask.
            std::fs::set_permissions(folder, Permissions::from_mode(0o755))?;
        }
        // Whole, or not at all.
        let (new, mark) = (format!("{mark}.{:08x}", rand::random::<u32>()), self.mark(id, mark));
        let new = self.mark(id, &new);
        let mut file = File::create(&new)?;
        file.write_all(text)?;
        file.sync_all()?;
        std::fs::rename(new, mark)?;
        File::open(self.folder(id))?.sync_all()
    }

    /// All that have a folder, deleted ones too.
    fn known(&self) -> Vec<ServerId> {
        let Ok(entries) = self.settings.dir.read_dir() else { return Vec::new() };
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
    }

    /// Notes how a look went.
    async fn note(
        &self,
        looked: Result<(ServerId, Result<(), EmbeddedError>), JoinError>,
        looked_at: &mut HashSet<ServerId>,
    ) {
        let (id, kept) = looked.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        looked_at.remove(&id);
        let mut failures = self.failures.lock().await;
        match kept {
            Ok(()) => drop(failures.remove(&id)),
            Err(error) => {
                let text = error.to_string();
                if failures.insert(id, text.clone()).as_ref() != Some(&text) {
                    tracing::warn!(server.id = %id, %error, "local server {id} does not run: {error}");
                }
            }
        }
    }

    /// What it was ordered with. Older orders have no text.
    fn parameters(&self, id: ServerId) -> std::io::Result<BTreeMap<String, String>> {
        let ordered = std::fs::read(self.mark(id, ORDERED))?;
        if ordered.is_empty() { Ok(BTreeMap::new()) } else { Ok(serde_json::from_slice(&ordered)?) }
    }

    /// Starts a server unless somebody runs it.
    async fn start(&self, id: ServerId) -> Result<(), EmbeddedError> {
        let mut config = EmbeddedConfig::new(self.data_dir(id), self.settings.search.clone());
        config.durability = self.settings.durability;
        config.max_connections = MAX_CONNECTIONS;
        config.parameters = self.parameters(id).map_err(|source| {
            let path = self.mark(id, ORDERED);
            EmbeddedError::Io { action: "read", path, source }
        })?;
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
        if self.is(id, DELETED) {
            return self.forget(id).await;
        }
        let ours = self.running.lock().await.remove(&id);
        if let Some(mut server) = ours {
            let kept = self.keep_ours(id, &mut server, registry).await;
            self.running.lock().await.insert(id, server);
            return kept;
        }
        // What another worker runs it takes care of. Without the order nothing is made: the folder may just be going.
        if RunningServer::find(&self.data_dir(id)).is_none() && self.is(id, ORDERED) {
            self.start(id).await?;
        }
        Ok(())
    }

    async fn keep_ours(
        &self,
        id: ServerId,
        server: &mut EmbeddedPostgres,
        registry: &Registry,
    ) -> Result<(), EmbeddedError> {
        if server.has_ended()? {
            tracing::warn!(server.id = %id, "local server {id} has ended; starting it again");
            server.restart().await?;
        }
        match registry.server_moved(id, self.kind(), server.host(), server.port(), None).await {
            Ok(true) => tracing::info!(server.id = %id, "local server {id} is at port {} now", server.port()),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "the address of local server {id} cannot be noted"),
        }
        Ok(())
    }

    /// Ends what runs of a deleted server, and forgets the deletion after a while.
    async fn forget(&self, id: ServerId) -> Result<(), EmbeddedError> {
        let ours = self.running.lock().await.remove(&id);
        if let Some(server) = ours {
            // The end of the process is what counts.
            let _ = server.stop_immediately().await;
        }
        embedded::remove(&self.data_dir(id)).await?;
        let deleted = self.mark(id, DELETED).metadata().and_then(|mark| mark.modified());
        let long_ago = deleted.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > REMEMBERED));
        if long_ago {
            // Another worker may have been faster.
            let _ = tokio::fs::remove_dir_all(self.folder(id)).await;
        }
        Ok(())
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

    fn look_every(&self) -> Duration {
        LOOK_EVERY
    }

    async fn order(&self, order: &Order) -> Result<(), ProviderError> {
        if self.is(order.id, DELETED) {
            return Err(ProviderError::Permanent(format!("server {} was deleted", order.id)));
        }
        // Whoever looks after the folder makes it.
        if !self.is(order.id, ORDERED) {
            let parameters = serde_json::to_vec(&order.template.parameters).expect("texts are plain data");
            self.leave(order.id, ORDERED, &parameters).map_err(|error| transient(&error))?;
            self.wake.notify_one();
        }
        Ok(())
    }

    async fn resize(&self, _order: &Order) -> Result<(), ProviderError> {
        Err(ProviderError::Permanent(
            "local servers are as large as the machine; there is nothing to change".into(),
        ))
    }

    async fn look(&self, id: ServerId) -> Result<Look, ProviderError> {
        if self.is(id, DELETED) {
            return Ok(Look::Deleted);
        }
        if !self.is(id, ORDERED) {
            return Ok(Look::Unknown);
        }
        if let Some(error) = self.failures.lock().await.get(&id) {
            return Err(ProviderError::Transient(error.clone()));
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
        self.leave(id, DELETED, b"").map_err(|error| transient(&error))?;
        self.forget(id).await.map_err(|error| transient(&error))
    }

    async fn list(&self) -> Result<Vec<ServerId>, ProviderError> {
        Ok(self.known().into_iter().filter(|id| self.is(*id, ORDERED) && !self.is(*id, DELETED)).collect())
    }

    /// Keeps the servers in the folder running, tells the registry where they are, and stops those in the end that this
    /// process has started.
    async fn supervise(self: Arc<Self>, registry: Registry, stop: CancellationToken) {
        let mut looks = JoinSet::new();
        let mut looked_at = HashSet::new();
        loop {
            for id in self.known() {
                // One that takes long, in recovery say, holds up no other.
                if looked_at.insert(id) {
                    let (local, registry) = (Arc::clone(&self), registry.clone());
                    looks.spawn(async move { (id, local.keep(id, &registry).await) });
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = self.wake.notified() => {}
                () = stop.cancelled() => break,
            }
            while let Some(looked) = looks.try_join_next() {
                self.note(looked, &mut looked_at).await;
            }
        }
        while let Some(looked) = looks.join_next().await {
            self.note(looked, &mut looked_at).await;
        }
        let running: Vec<_> = self.running.lock().await.drain().collect();
        let stops = running.into_iter().map(async |(id, server)| (id, server.stop().await));
        for (id, ended) in join_all(stops).await {
            if let Err(error) = ended {
                tracing::warn!(server.id = %id, %error, "local server {id} does not stop: {error}");
            }
        }
    }
}
