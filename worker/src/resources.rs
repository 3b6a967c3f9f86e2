//! What operations and reconcilers work with.

use std::sync::Arc;

use rand::Rng;
use secrecy::ExposeSecret;
use tenantry_domain::{
    Clock,
    app::{AppName, AppVersion},
    connection::Connection,
    envelope::Key,
    ids::{ServerId, TenantId},
    names::ObjectName,
    purpose::Purpose,
};
use tenantry_outbound::Outbound;
use tenantry_postgres::admin::LOGIN_PREFIX;
use tenantry_registry::{LoginKind, Registry, ServerLogin};

use crate::{
    Settings,
    apps::Apps,
    dns::TxtResolver,
    password::password,
    recent_failures::RecentFailures,
    reconcilers::{audit_data::Audited, fill_warm_databases::Filled, limit_roles::Shares},
    seen::Seen,
    servers::{Server, Servers},
    slots::Slots,
    step_error::StepError,
};

/// A warm pool that could not be filled: its server, its app at a version, and what it holds.
pub(crate) type FailedPool = (ServerId, AppName, Option<AppVersion>, &'static str);

/// What operations and reconcilers work with.
pub struct Resources {
    /// The registry.
    pub registry: Registry,
    /// Opens and seals what the registry keeps secret.
    pub kek: Key,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Settings.
    pub settings: Settings,
    /// Admin connections to tenant servers.
    pub servers: Servers,
    /// Who may work on them.
    pub(crate) slots: Slots,
    /// Looks up the records that prove domains.
    pub resolver: Arc<dyn TxtResolver>,
    /// Sends requests to where others have said.
    pub(crate) outbound: Arc<Outbound>,
    /// What could not be kept warm lately: templates and tenants of an app on a server.
    pub failed_pools: RecentFailures<FailedPool>,
    /// What servers' warm databases were filled with last.
    pub filled: Seen<Filled>,
    /// What plans said when servers' roles were held to it last.
    pub limited: Seen<Shares>,
    /// What was to be audited when servers were last brought to it.
    pub audited: Seen<Audited>,
    /// Apps, kept while they do not change.
    pub apps: Apps,
}

impl Resources {
    pub(crate) fn new(
        registry: Registry,
        kek: Key,
        clock: Arc<dyn Clock>,
        resolver: Arc<dyn TxtResolver>,
        settings: Settings,
    ) -> Self {
        Self {
            servers: Servers::new(registry.clone(), kek.clone(), settings.admin),
            outbound: Arc::new(Outbound::new(
                settings.webhooks.allow_networks.clone(),
                Arc::clone(&settings.webhooks.hosts),
            )),
            slots: Slots::new(settings.concurrency),
            apps: Apps::new(registry.clone()),
            failed_pools: RecentFailures::default(),
            filled: Seen::default(),
            limited: Seen::default(),
            audited: Seen::default(),
            resolver,
            registry,
            kek,
            clock,
            settings,
        }
    }

    /// The mark on a tenant's objects, by which Tenantry knows its own.
    pub(crate) fn owner_mark(tenant: TenantId) -> String {
        format!("tenantry:{tenant}")
    }

    /// Tells everybody that a server cannot be reached, because somebody looked or work on it met it. Logged when
    /// it is news.
    pub(crate) async fn note_away(&self, server: ServerId, error: &str, looked: bool) {
        match self.registry.server_unreachable(server, error, looked).await {
            Ok(true) => {
                tracing::warn!(server.id = %server, error, "server {server} cannot be reached: {error}");
            }
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "the health of server {server} cannot be noted"),
        }
    }

    /// Adds a login of the data plane to a server whose logins are full. It is made on the server with the first tenant's
    /// role that it holds.
    pub(crate) async fn add_login(
        &self,
        server_id: ServerId,
        connection: Connection,
    ) -> Result<ObjectName, StepError> {
        let kind = match connection {
            Connection::Shared => LoginKind::Shared,
            Connection::Own => LoginKind::Own,
        };
        self.new_login(server_id, kind).await
    }

    /// Registers a login of the data plane. It is made where it is first needed.
    async fn new_login(&self, server_id: ServerId, kind: LoginKind) -> Result<ObjectName, StepError> {
        let mut suffix = [0u8; 4];
        rand::rng().fill_bytes(&mut suffix);
        let name = format!("{LOGIN_PREFIX}{}_{:08x}", self.settings.label, u32::from_be_bytes(suffix));
        let name = ObjectName::parse(&name).map_err(|error| StepError::permanent(error.to_string()))?;
        let sealed = self.kek.seal(
            &Purpose::ServerLogin(server_id, &name).to_string(),
            password().expose_secret().as_bytes(),
            &mut rand::rng(),
        );
        let login = ServerLogin { server_id, name: name.clone(), password: sealed, kind };
        self.registry.server_login_add(&login).await?;
        Ok(name)
    }

    /// Makes the login of the data plane that sees what Tenantry keeps of users on a server, unless this process has done so.
    pub(crate) async fn ensure_users_login(&self, server: &Server) -> Result<(), StepError> {
        let mut name = self.registry.server_users_login(server.id).await?;
        if name.is_none() {
            self.new_login(server.id, LoginKind::Users).await?;
            // Another worker's may have come first.
            name = self.registry.server_users_login(server.id).await?;
        }
        let name = name.ok_or_else(|| StepError::transient("the login for users is not registered"))?;
        self.ensure_login(server, &name).await
    }

    /// Makes a data plane's login on a server, unless this process has done so.
    pub(crate) async fn ensure_login(&self, server: &Server, name: &ObjectName) -> Result<(), StepError> {
        if server.admin.has_ensured_login(name) {
            return Ok(());
        }
        let login = self
            .registry
            .server_login_get(server.id, name)
            .await?
            .ok_or_else(|| StepError::permanent(format!("login {name} is not registered")))?;
        let password = self
            .kek
            .open_text(&Purpose::ServerLogin(server.id, name).to_string(), &login.password)
            .map_err(|error| StepError::permanent(error.to_string()))?;
        match login.kind {
            LoginKind::Users => server.call(server.admin.ensure_users_login(name, &password)).await,
            LoginKind::Shared | LoginKind::Own => {
                server.call(server.admin.ensure_login(name, &password)).await
            }
        }
    }
}
