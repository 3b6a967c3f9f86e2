//! What a registry is given when a control plane starts: the first key, the built-in plans, apps from a
//! folder, and the server of `tenantry dev`.

use std::sync::Arc;

use secrecy::SecretString;
use tenantry_dns::TxtResolver;
use tenantry_domain::{
    Invalid,
    api_key::{ApiKey, NewKey, Scope, WeakKey},
    app::{App, AppName, AppVersion},
    ids::{ApiKeyId, ServerId},
    names::ObjectName,
    plan::{Plan, Tier},
    server::{Provider, Server, ServerHealth, ServerName, ServerState},
    server_tls::ServerTls,
};
use tenantry_registry::{
    NewApiKey, NewServer, PushVersionError, RegistryError, ServerCreateError, ServerEdit,
};

use crate::ControlPlane;

/// A PostgreSQL server that is to hold tenants.
#[derive(Debug, Clone)]
pub struct TenantServer {
    /// Its name.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// A login that may create roles and databases.
    pub admin_user: String,
    /// Its password.
    pub admin_password: SecretString,
    /// The database that tenants of tier `schema` share.
    pub shared_database: String,
    /// Connections that one data plane may open to it.
    pub max_connections: u32,
}

/// The first key cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapKeyError {
    /// It could be guessed, or cannot be used.
    #[error("the bootstrap key (TENANTRY_BOOTSTRAP_KEY) is refused: {0}")]
    Weak(#[from] WeakKey),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// An app could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadAppError {
    /// One of its versions was refused.
    #[error("version {version} of app {app} cannot be loaded")]
    Version {
        /// The app.
        app: AppName,
        /// The version.
        version: AppVersion,
        /// Why.
        #[source]
        reason: PushVersionError,
    },
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// A server could not be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterServerError {
    /// Its name, or that of its shared database.
    #[error("a name of the server is not valid: {0}")]
    Name(#[from] Invalid),
    /// The registry refused it.
    #[error(transparent)]
    Refused(#[from] ServerCreateError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Tenants on a server that nobody gave a capacity.
const CAPACITY: u32 = 10_000;

impl ControlPlane {
    /// Stores a key that may do everything an operator may. Doing so again changes nothing.
    ///
    /// # Errors
    /// The key is not as strong as those that are made here, or the registry fails.
    pub async fn install_bootstrap_key(&self, key: &SecretString) -> Result<(), BootstrapKeyError> {
        let hash = NewKey::given(key)?.hash;
        let now = self.state.clock.now();
        let new = NewApiKey {
            key: ApiKey {
                id: ApiKeyId::generate(now, &mut rand::rng()),
                tenant_id: None,
                name: "bootstrap".to_owned(),
                scopes: Scope::operator(),
                expires_at: None,
                created_at: now,
            },
            hash,
        };
        self.state.registry.api_key_create(&new).await?;
        Ok(())
    }

    /// Looks up DNS records by this resolver instead of the machine's.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn TxtResolver>) -> Self {
        self.state.resolver = resolver;
        self
    }

    /// Creates those of the built-in plans that are missing; leaves the others as they are.
    pub async fn install_built_in_plans(&self) -> Result<(), RegistryError> {
        let now = self.state.clock.now();
        for plan in Plan::built_in() {
            self.state.registry.plan_create(&plan, now).await?;
        }
        Ok(())
    }

    /// Puts apps and their versions into the registry; versions that are there already stay.
    pub async fn install_apps(&self, apps: &[App]) -> Result<(), LoadAppError> {
        let (registry, clock) = (&self.state.registry, &self.state.clock);
        for app in apps {
            registry.app_put(&app.name, &app.manifest, app.seed.as_deref(), clock.now()).await?;
            for migration in &app.migrations {
                let pushed = registry.app_version_push(&app.name, migration, clock.now()).await;
                pushed.map_err(|reason| LoadAppError::Version {
                    app: app.name.clone(),
                    version: migration.version,
                    reason,
                })?;
            }
            self.state.catalogue.forget_app(&app.name);
        }
        Ok(())
    }

    /// Registers a server, or renews address and admin login of the one with its name.
    pub async fn install_server(&self, given: &TenantServer) -> Result<(), RegisterServerError> {
        let (registry, vault) = (&self.state.registry, &self.state.vault);
        let name = ServerName::parse(&given.name)?;
        let admin_user = given.admin_user.clone();
        if let Some(known) = registry.server_find(&name).await? {
            let password = vault.seal_admin_password(known.server.id, &given.admin_password);
            let edit = ServerEdit {
                host: Some(given.host.clone()),
                port: Some(given.port),
                admin_user: Some(admin_user),
                admin_password: Some(password),
                ..ServerEdit::default()
            };
            registry.server_edit(known.server.id, &edit).await?;
            return Ok(());
        }
        let now = self.state.clock.now();
        let id = ServerId::generate(now, &mut rand::rng());
        let server = Server {
            id,
            name,
            region: "local".into(),
            host: given.host.clone(),
            port: given.port,
            tls: ServerTls::default(),
            state: ServerState::Active,
            provider: Provider::Static,
            owner: None,
            class: None,
            tiers: vec![Tier::Schema, Tier::Database],
            capacity: CAPACITY,
            tenants: 0,
            max_connections: given.max_connections,
            revision: 1,
            health: ServerHealth::default(),
            created_at: now,
        };
        let admin_password = vault.seal_admin_password(id, &given.admin_password);
        let shared_database = ObjectName::parse(&given.shared_database)?;
        registry.server_create(&NewServer { server, admin_user, admin_password, shared_database }).await?;
        Ok(())
    }
}
