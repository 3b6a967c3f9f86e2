//! Which statements the server ran, by its extension `pg_stat_statements`; nothing where that is not installed.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use sqlx::{PgConnection, Row};
use tenantry_postgres::embedded::EmbeddedPostgres;
use tenantry_tests::server;

/// Loads the extension with the server, which takes a restart.
pub(crate) async fn preload(postgres: &mut EmbeddedPostgres) -> anyhow::Result<()> {
    let mut connection = server::admin(postgres, "postgres").await;
    if is_available(&mut connection).await? {
        for setting in [
            "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'",
            // Each tenant's statements are others.
            "ALTER SYSTEM SET \"pg_stat_statements.max\" = 50000",
            "ALTER SYSTEM SET track_io_timing = on",
        ] {
            // The extension's own settings are known once it is loaded.
            let _ = sqlx::raw_sql(setting).execute(&mut connection).await;
        }
        postgres.restart().await?;
    }
    Ok(())
}

/// Makes the extension's view.
pub(crate) async fn begin(postgres: &EmbeddedPostgres) -> anyhow::Result<()> {
    let mut connection = server::admin(postgres, "postgres").await;
    if is_available(&mut connection).await? {
        sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").execute(&mut connection).await?;
    }
    Ok(())
}

async fn is_available(connection: &mut PgConnection) -> anyhow::Result<bool> {
    let query = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements')";
    Ok(sqlx::query_scalar(query).fetch_one(connection).await?)
}

/// What statements of one text cost since the count began.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) calls: u64,
    /// On the server, in milliseconds.
    pub(crate) total_ms: f64,
}

/// What the server ran since the count began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Statements {
    /// By the worker in the registry.
    pub(crate) worker_in_registry: u64,
    /// In databases of tenants, and in the maintenance database.
    pub(crate) on_server: u64,
    /// By the beginning of its text, with its database.
    pub(crate) by_text: BTreeMap<String, Cost>,
}

/// Counts the statements of one server.
pub(crate) struct Counter {
    connection: PgConnection,
    registry: String,
    counts: bool,
}

impl Counter {
    /// Begins to count.
    pub(crate) async fn begin(
        postgres: &EmbeddedPostgres,
        registry_url: &secrecy::SecretString,
    ) -> anyhow::Result<Self> {
        let mut connection = server::admin(postgres, "postgres").await;
        let counts = is_available(&mut connection).await?;
        let registry = registry_url.expose_secret().rsplit('/').next().unwrap_or_default().to_owned();
        let mut counter = Self { connection, registry, counts };
        counter.again().await?;
        Ok(counter)
    }

    /// Begins anew.
    pub(crate) async fn again(&mut self) -> anyhow::Result<()> {
        if self.counts {
            sqlx::raw_sql("SELECT pg_stat_statements_reset()").execute(&mut self.connection).await?;
        }
        Ok(())
    }

    /// What was run since then.
    pub(crate) async fn read(&mut self) -> anyhow::Result<Statements> {
        if !self.counts {
            return Ok(Statements::default());
        }
        let rows = sqlx::query(
            "SELECT datname::text AS database, rolname::text AS role, query, calls, total_exec_time AS total
             FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid JOIN pg_roles ON pg_roles.oid = userid
             WHERE NOT starts_with(query, 'SELECT pg_stat_statements')
                 AND (datname = $1 OR starts_with(datname, 'tenants_') OR datname = 'postgres')",
        )
        .persistent(false)
        .bind(&self.registry)
        .fetch_all(&mut self.connection)
        .await?;
        let mut read = Statements::default();
        for row in rows {
            let (database, role, text): (String, String, String) =
                (row.get("database"), row.get("role"), row.get("query"));
            let (calls, total_ms): (i64, f64) = (row.get("calls"), row.get("total"));
            let calls = u64::try_from(calls).unwrap_or(0);
            let of_registry = database == self.registry;
            if of_registry && role == "tenantry_worker" {
                read.worker_in_registry += calls;
            } else if !of_registry {
                read.on_server += calls;
            }
            let place = if of_registry { "registry" } else { "server" };
            let words: Vec<&str> = text.split_whitespace().take(14).collect();
            let known = read.by_text.entry(format!("{place}: {}", words.join(" "))).or_default();
            known.calls += calls;
            known.total_ms += total_ms;
        }
        Ok(read)
    }
}
