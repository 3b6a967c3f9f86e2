//! The server that all tests of a binary share.

use std::{
    collections::BTreeMap,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantry_cli::embedded::database_url;
use tenantry_postgres::embedded::{Durability, EmbeddedConfig, EmbeddedPostgres, SearchPath};
use tenantry_registry::Registry;
use tokio::{
    runtime::Runtime,
    sync::{Mutex, OnceCell},
};

use crate::within::in_time;

/// Outlives the runtimes of single tests, which a server's own tasks would die with.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .thread_name("server")
        .build()
        .expect("a runtime for the server")
});

static SERVER: OnceCell<EmbeddedPostgres> = OnceCell::const_new();

/// Enough for the tests that run beside each other.
pub(crate) const MAX_CONNECTIONS: u32 = 600;

/// A migrated registry that each test's is copied from.
const TEMPLATE: &str = "registry_template";

/// The shared server, started by whoever comes first. It ends with the test binary, however that ends.
pub async fn shared() -> &'static EmbeddedPostgres {
    SERVER
        .get_or_init(async || {
            RUNTIME
                .spawn(async {
                    let postgres =
                        start(Durability::Volatile).await.expect("a PostgreSQL server for the tests");
                    let url = database_url(&postgres, TEMPLATE);
                    Registry::create_database(url.expose_secret())
                        .await
                        .expect("a database for the template");
                    Registry::migrate(url.expose_secret()).await.expect("a migrated registry");
                    postgres
                })
                .await
                .expect("the server starts")
        })
        .await
}

/// A server for a test that freezes processes: one that stands still while it logs in holds up every `DROP DATABASE`
/// of the server until its log-in has timed out, and one in the middle of a `COPY` until its session is ended.
pub async fn of_frozen_workers() -> EmbeddedPostgres {
    // Every frozen worker keeps its connections.
    let started = RUNTIME.spawn(start_from(search(), Durability::Volatile, 3_000));
    let postgres = started.await.expect("no panic").expect("a PostgreSQL server for the tests");
    let mut connection = admin(&postgres, "postgres").await;
    for statement in ["ALTER SYSTEM SET authentication_timeout = '5s'", "SELECT pg_reload_conf()"] {
        sqlx::raw_sql(statement).execute(&mut connection).await.expect("a setting");
    }
    postgres
}

/// A server of one's own, removed when it is dropped: for tests that stop it, and for benchmarks.
///
/// # Errors
/// PostgreSQL is not found or does not start.
pub async fn start(durability: Durability) -> anyhow::Result<EmbeddedPostgres> {
    start_from(search(), durability, MAX_CONNECTIONS).await
}

/// The same with few connections, to be used up.
///
/// # Errors
/// PostgreSQL is not found or does not start.
pub async fn start_small(max_connections: u32) -> anyhow::Result<EmbeddedPostgres> {
    start_from(search(), Durability::Volatile, max_connections).await
}

/// The same with the programs of a folder.
pub(crate) async fn start_from(
    search: SearchPath,
    durability: Durability,
    max_connections: u32,
) -> anyhow::Result<EmbeddedPostgres> {
    let config = EmbeddedConfig { durability, max_connections, ..throwaway(search) };
    Ok(EmbeddedPostgres::start(config).await?)
}

/// One that somebody else than a test has ordered, with settings.
pub(crate) async fn start_with(parameters: BTreeMap<String, String>) -> anyhow::Result<EmbeddedPostgres> {
    let config = EmbeddedConfig {
        durability: Durability::Volatile,
        max_connections: 150,
        parameters,
        ..throwaway(search())
    };
    Ok(EmbeddedPostgres::start(config).await?)
}

fn throwaway(search: SearchPath) -> EmbeddedConfig {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let data_dir = std::env::temp_dir().join(format!("tenantry-tests-{}-{number}", std::process::id()));
    EmbeddedConfig::throwaway(data_dir, search)
}

/// Where the tests look for PostgreSQL: as the binary does.
pub fn search() -> SearchPath {
    SearchPath {
        bin_dir: std::env::var_os("TENANTRY_POSTGRES_BIN").map(Into::into),
        path: std::env::var_os("PATH"),
    }
}

/// A registry of one's own on the shared server.
pub async fn fresh_registry(name: &str) -> SecretString {
    let server = shared().await;
    let mut connection = admin(server, "postgres").await;
    let copy = format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}");
    // Another test may be copying just now, and a copy wants its template for itself.
    let copied = async {
        loop {
            match sqlx::raw_sql(AssertSqlSafe(copy.clone())).execute(&mut connection).await {
                Ok(_) => return,
                Err(error) if error.to_string().contains("being accessed by other users") => {
                    tokio::task::yield_now().await;
                }
                Err(error) => panic!("the registry {name} cannot be made: {error}"),
            }
        }
    };
    in_time("the template of the registry is free", copied).await;
    database_url(server, name)
}

/// What went wrong in the operations of a test that fails, the latest first, for who reads its output; none: the registry did not
/// answer.
pub(crate) fn trouble_of(registry: &SecretString) -> Option<Vec<String>> {
    const EVENTS: &str = "SELECT concat_ws(' ', at, operation_id, kind, step, message) FROM operation_events
        WHERE kind IN ('retrying', 'waiting', 'stuck', 'failed') ORDER BY id DESC LIMIT 20";
    let (tell, told) = mpsc::channel();
    let registry = registry.clone();
    RUNTIME.spawn(async move {
        let mut connection = PgConnection::connect(registry.expose_secret()).await.ok()?;
        tell.send(sqlx::query_scalar(EVENTS).fetch_all(&mut connection).await.ok()?).ok()
    });
    told.recv_timeout(Duration::from_secs(5)).ok()
}

/// Drops in the background what a test has left on the shared server: the databases whose names end so.
pub(crate) fn drop_databases_of(suffix: &str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
    let names = format!("SELECT datname::text FROM pg_database WHERE datname LIKE '%\\_{suffix}'");
    RUNTIME.spawn(async move {
        let _one = ONE_AT_A_TIME.lock().await;
        let url = database_url(SERVER.get()?, "postgres");
        let mut connection = PgConnection::connect(url.expose_secret()).await.ok()?;
        let names: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(names)).fetch_all(&mut connection).await.ok()?;
        for name in names {
            let drop = format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)");
            // What cannot be dropped goes with the server.
            let _ = sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await;
        }
        Some(())
    });
}

/// A connection as superuser, for looks behind the API.
pub async fn admin(server: &EmbeddedPostgres, database: &str) -> PgConnection {
    PgConnection::connect(database_url(server, database).expose_secret()).await.expect("the server answers")
}
