//! Connecting to the registry, as one of its parts.

use std::{str::FromStr, time::Duration};

use apalis_postgres::PostgresStorage;
use sqlx::{
    PgPool,
    migrate::{MigrateDatabase, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    RegistryError, Transaction, reach,
    timed::{Health, Timed},
};

/// Which part of Tenantry connects. The session runs as that part's database role, so that the
/// database itself refuses what the part must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Migrates the registry; runs as the login itself.
    Owner,
    /// The API.
    ControlPlane,
    /// The worker.
    Worker,
    /// Tenant traffic: reads routes, appends usage.
    DataPlane,
}

impl Part {
    /// Its name, e.g. `control_plane`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::ControlPlane => "control_plane",
            Self::Worker => "worker",
            Self::DataPlane => "data_plane",
        }
    }

    pub(crate) const fn role(self) -> Option<&'static str> {
        match self {
            Self::Owner => None,
            Self::ControlPlane => Some("tenantry_control_plane"),
            Self::Worker => Some("tenantry_worker"),
            Self::DataPlane => Some("tenantry_data_plane"),
        }
    }
}

/// How a process connects to the registry.
#[derive(Debug, Clone, Copy)]
pub struct ConnectSettings {
    /// Connections of each of its two pools (durable and relaxed commits).
    pub max_connections: u32,
    /// The longest that a statement may take, waiting for its connection included. After it the
    /// registry counts as unavailable and the connection is closed.
    pub answer_timeout: Duration,
}

impl Default for ConnectSettings {
    fn default() -> Self {
        Self { max_connections: 16, answer_timeout: Duration::from_secs(5) }
    }
}

/// What is fetched and acknowledged, the consumer's listener, its heartbeats.
const QUEUE_CONNECTIONS: u32 = 6;

/// The housekeeping of a large registry takes longer than what somebody waits for.
const HOUSEKEEPING_TIMES: u32 = 12;

/// The registry, as one part of Tenantry sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    /// Commits wait for the disk.
    pub(crate) pool: Timed,
    /// Commits do not wait for the disk: for what is repeated when a crash of the registry loses it.
    /// Commits reach the disk in order, so a later durable one makes all before it durable too.
    pub(crate) relaxed: Timed,
    /// As `relaxed`, with a longer limit: for statements on whole tables.
    pub(crate) housekeeping: Timed,
    pub(crate) part: Part,
    pub(crate) options: PgConnectOptions,
    pub(crate) health: Health,
    /// What pools for the queue are made with.
    queue: (PgPoolOptions, PgConnectOptions),
}

/// How full one of a registry's pools is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    /// `durable` or `relaxed`.
    pub pool: &'static str,
    /// Connections that are open.
    pub open: u32,
    /// Those of them that nobody uses.
    pub idle: u32,
    /// The most that may be open.
    pub max: u32,
}

pub(crate) static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/registry");

impl Registry {
    /// A registry that connects when it is first used; `max_connections` bounds each of its pools.
    ///
    /// # Errors
    /// The URL cannot be read.
    pub fn connect_lazy(url: &str, part: Part, max_connections: u32) -> Result<Self, RegistryError> {
        Self::connect_with(url, part, ConnectSettings { max_connections, ..ConnectSettings::default() })
    }

    /// As [`Registry::connect_lazy`], with all that can be set.
    ///
    /// # Errors
    /// The URL cannot be read.
    pub fn connect_with(url: &str, part: Part, settings: ConnectSettings) -> Result<Self, RegistryError> {
        let options = reach::session_options(PgConnectOptions::from_str(url)?, part);
        let health = Health::new(settings.answer_timeout);
        let relaxed = options.clone().options([("synchronous_commit", "off")]);
        let pool = |max| pool_options(part, &health, max);
        let timed = |pool: PgPool| Timed::new(pool, health.clone());
        let queue = (pool(QUEUE_CONNECTIONS), relaxed.clone());
        let relaxed = timed(pool(settings.max_connections).connect_lazy_with(relaxed));
        Ok(Self {
            housekeeping: relaxed.with_limit(settings.answer_timeout * HOUSEKEEPING_TIMES),
            relaxed,
            pool: timed(pool(settings.max_connections).connect_lazy_with(options.clone())),
            part,
            options,
            queue,
            health,
        })
    }

    /// A pool for apalis' own traffic; the caller closes it. What it fetches and acknowledges is repeated when
    /// it is lost, so its commits do not wait for the disk. Its statements have no limit: the consumer that is
    /// stuck on one is to be begun anew, with a new pool.
    pub fn new_queue_pool(&self) -> PgPool {
        let (pool, connect) = self.queue.clone();
        pool.connect_lazy_with(connect)
    }

    /// How full the pools are.
    pub fn pool_use(&self) -> [PoolUse; 2] {
        let of = |name, pool: &PgPool| {
            let open = pool.size();
            let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX).min(open);
            PoolUse { pool: name, open, idle, max: pool.options().get_max_connections() }
        };
        [of("durable", self.pool.pool()), of("relaxed", self.relaxed.pool())]
    }

    /// Makes the database that a URL names, if it is not there.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub async fn create_database(url: &str) -> Result<(), RegistryError> {
        if !sqlx::Postgres::database_exists(url).await? {
            sqlx::Postgres::create_database(url).await?;
        }
        Ok(())
    }

    /// Brings the registry to this version, the queue's tables included. Needs a login that may
    /// create roles and the extension `hstore`. Safe to run from several processes at once.
    ///
    /// # Errors
    /// The database cannot be reached, or refuses; the message names it and says why.
    pub async fn migrate(url: &str) -> Result<(), RegistryError> {
        let registry = Self::connect_lazy(url, Part::Owner, 2)?;
        registry.reach().await?;
        // Without a limit: a migration takes as long as it takes.
        let pool = registry.pool.pool();
        sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS hstore").execute(pool).await?;
        PostgresStorage::setup(pool).await.map_err(RegistryError::Queue)?;
        MIGRATIONS.run(pool).await?;
        sqlx::raw_sql(
            "GRANT USAGE ON SCHEMA apalis TO tenantry_control_plane, tenantry_worker;
             GRANT INSERT, SELECT ON apalis.jobs TO tenantry_control_plane;
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA apalis TO tenantry_worker;
             GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA apalis TO tenantry_control_plane, tenantry_worker;
             CREATE INDEX IF NOT EXISTS tenantry_jobs_done_at ON apalis.jobs (done_at);
             DO $$ BEGIN
                 -- Tenants of a server that holds the registry too must not get in: they would hear its notifications.
                 EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
                 EXECUTE format('GRANT CONNECT ON DATABASE %I TO tenantry_control_plane, tenantry_worker,
                     tenantry_data_plane', current_database());
                 -- The login that migrates is often the one that all parts use; it may become each of them.
                 IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
                     EXECUTE 'GRANT tenantry_control_plane, tenantry_worker, tenantry_data_plane TO CURRENT_USER' || CASE
                         WHEN current_setting('server_version_num')::int >= 160000
                         THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END;
                 END IF;
             END $$;",
        )
        .execute(pool)
        .await?;
        registry.close().await;
        Ok(())
    }

    /// Begins a transaction, of which every statement and the commit end within the limit.
    ///
    /// # Errors
    /// The registry cannot be reached.
    pub async fn begin(&self) -> Result<Transaction, RegistryError> {
        Ok(self.pool.begin().await?)
    }

    /// The registry's time.
    ///
    /// # Errors
    /// The registry cannot be reached.
    pub async fn now(&self) -> Result<chrono::DateTime<chrono::Utc>, RegistryError> {
        let row = sqlx::query!(r#"SELECT now() AS "now!""#).fetch_one(&self.relaxed).await?;
        Ok(row.now)
    }

    /// Closes the connections, waiting for those in use.
    pub async fn close(&self) {
        let all = async { futures::join!(self.pool.pool().close(), self.relaxed.pool().close()) };
        let _ = tokio::time::timeout(self.health.limit(), all).await;
    }
}

fn pool_options(part: Part, health: &Health, max_connections: u32) -> PgPoolOptions {
    let health = health.clone();
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(health.limit())
        // A ping per use would double the round trips: `Health` knows when one is called for.
        .test_before_acquire(false)
        .max_lifetime(Duration::from_mins(30))
        .after_connect(move |connection, _| Box::pin(reach::check_role(connection, part)))
        .before_acquire(move |connection, idle| {
            let health = health.clone();
            Box::pin(async move { Ok(health.is_alive(connection, idle).await) })
        })
}
