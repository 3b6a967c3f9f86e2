//! Connecting to the registry, as one of its parts.

use std::{str::FromStr, time::Duration};

use apalis_postgres::PostgresStorage;
use sqlx::{
    ConnectOptions, PgPool,
    migrate::MigrateDatabase,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{RegistryError, Transaction};

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
    const fn role(self) -> Option<&'static str> {
        match self {
            Self::Owner => None,
            Self::ControlPlane => Some("tenantry_control_plane"),
            Self::Worker => Some("tenantry_worker"),
            Self::DataPlane => Some("tenantry_data_plane"),
        }
    }
}

/// The registry, as one part of Tenantry sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    /// Commits wait for the disk.
    pub(crate) pool: PgPool,
    /// Commits do not wait for the disk: for what is repeated when a crash of the registry loses it.
    /// Commits reach the disk in order, so a later durable one makes all before it durable too.
    pub(crate) relaxed: PgPool,
}

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/registry");

impl Registry {
    /// A registry that connects when it is first used; `max_connections` bounds its pool.
    ///
    /// # Errors
    /// The URL cannot be read.
    pub fn connect_lazy(url: &str, part: Part, max_connections: u32) -> Result<Self, RegistryError> {
        let mut options = PgConnectOptions::from_str(url)?
            .application_name(part.role().unwrap_or("tenantry"))
            .log_statements(tracing::log::LevelFilter::Trace)
            .log_slow_statements(tracing::log::LevelFilter::Debug, Duration::from_secs(1));
        if let Some(role) = part.role() {
            options = options.options([("role", role)]);
        }
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(Duration::from_secs(5))
            // A ping per use would double the round trips; a dead connection shows on first use.
            .test_before_acquire(false)
            .max_lifetime(Duration::from_mins(30));
        let relaxed = options.clone().options([("synchronous_commit", "off")]);
        Ok(Self { relaxed: pool.clone().connect_lazy_with(relaxed), pool: pool.connect_lazy_with(options) })
    }

    /// The pool for apalis' own traffic. What it fetches and acknowledges is repeated when it is
    /// lost, so its commits do not wait for the disk.
    pub fn queue_pool(&self) -> &PgPool {
        &self.relaxed
    }

    /// A pool of its own for a consumer of the queue, with the options of [`Registry::queue_pool`].
    pub fn new_queue_pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(5))
            .test_before_acquire(false)
            .connect_lazy_with((*self.relaxed.connect_options()).clone())
    }

    /// Connections for a listener and for tests that look behind the API.
    pub fn pool(&self) -> &PgPool {
        &self.pool
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
    /// The database cannot be reached, or refuses.
    pub async fn migrate(url: &str) -> Result<(), RegistryError> {
        let registry = Self::connect_lazy(url, Part::Owner, 2)?;
        sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS hstore").execute(&registry.pool).await?;
        PostgresStorage::setup(&registry.pool).await.map_err(RegistryError::Queue)?;
        MIGRATIONS.run(&registry.pool).await?;
        sqlx::raw_sql(
            "GRANT USAGE ON SCHEMA apalis TO tenantry_control_plane, tenantry_worker;
             GRANT INSERT, SELECT ON apalis.jobs TO tenantry_control_plane;
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA apalis TO tenantry_worker;
             GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA apalis TO tenantry_control_plane, tenantry_worker;",
        )
        .execute(&registry.pool)
        .await?;
        registry.close().await;
        Ok(())
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// The registry cannot be reached.
    pub async fn begin(&self) -> Result<Transaction, RegistryError> {
        Ok(self.pool.begin().await?)
    }

    /// Whether the registry answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), RegistryError> {
        sqlx::query!("SELECT 1 AS one").fetch_one(&self.pool).await?;
        Ok(())
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
        futures::join!(self.pool.close(), self.relaxed.close());
    }
}
