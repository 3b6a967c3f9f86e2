//! One server of each supported version of PostgreSQL and kind of admin, started when a test asks for it.
//!
//! The programs are those of `TENANTRY_TEST_POSTGRES`, a folder with `<major>/bin`, which `.ci/postgres` fills, or
//! those that are installed. A version that is found in neither is skipped, and the test says so.

use std::{
    collections::HashMap,
    fmt,
    io::Write,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, Connection};
use tenantry_postgres::embedded::{Durability, EmbeddedPostgres, SearchPath, installed, is_root};
use tokio::sync::OnceCell;

use crate::{
    TestApp,
    app::{TestAppBuilder, random_suffix},
    server,
};

/// Whom Tenantry administers a tenant server as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Admin {
    /// The cluster's superuser.
    Superuser,
    /// A login with `CREATEROLE` and `CREATEDB`: what a managed service lends its customers, or less.
    Plain,
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superuser => "superuser",
            Self::Plain => "plain admin",
        })
    }
}

/// The login that a server is registered with.
#[derive(Debug, Clone)]
pub struct AdminLogin {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: SecretString,
}

impl AdminLogin {
    /// The superuser of an embedded server.
    pub fn superuser(server: &EmbeddedPostgres) -> Self {
        Self { user: server.user().to_owned(), password: server.password().clone() }
    }
}

/// A server of one version, and who administers it.
#[derive(Debug, Clone)]
pub struct VersionedServer {
    /// The server, shared by the tests of this binary.
    pub postgres: Arc<EmbeddedPostgres>,
    /// Tenantry's login.
    pub admin: AdminLogin,
}

impl VersionedServer {
    /// A Tenantry with registry and tenants on this server.
    pub fn app(&self) -> TestAppBuilder {
        TestApp::build().on_server(Arc::clone(&self.postgres)).administered_by(self.admin.clone())
    }
}

type Cell = Arc<OnceCell<Option<VersionedServer>>>;

/// A server each: the roles that Tenantry makes belong to the whole server, so an admin would meet the other's.
static SERVERS: LazyLock<Mutex<HashMap<(u32, Admin), Cell>>> = LazyLock::new(Mutex::default);

/// The server of a major version and kind of admin. `None`, and a line on stderr, where that version is missing.
///
/// # Panics
/// It is missing in CI, where it could have been fetched.
pub async fn server(major: u32, admin: Admin) -> Option<VersionedServer> {
    let cell = {
        let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(servers.entry((major, admin)).or_default())
    };
    let server = cell
        .get_or_init(async || {
            let bin_dir = programs(major)?;
            let server = server::RUNTIME.spawn(start(bin_dir, admin)).await;
            Some(server.expect("the server starts"))
        })
        .await;
    if server.is_none() {
        let missing = format!("PostgreSQL {major} is not here; `bash .ci/postgres` fetches it");
        assert!(!fetchable_must_be_there(), "{missing}");
        skipped(&missing);
    }
    server.clone()
}

/// Says that a test was skipped, on stderr itself: what `eprintln!` says is shown only of tests that fail.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

async fn start(bin_dir: PathBuf, admin: Admin) -> VersionedServer {
    let search = SearchPath { bin_dir: Some(bin_dir), path: None };
    let postgres = server::start_from(search, Durability::Volatile, server::MAX_CONNECTIONS)
        .await
        .expect("a PostgreSQL server");
    let login = match admin {
        Admin::Superuser => AdminLogin::superuser(&postgres),
        Admin::Plain => {
            let login = AdminLogin { user: "plain_admin".into(), password: random_suffix().into() };
            let create = format!(
                "CREATE ROLE {} LOGIN CREATEROLE CREATEDB PASSWORD '{}'",
                login.user,
                login.password.expose_secret()
            );
            let mut connection = server::admin(&postgres, "postgres").await;
            sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.expect("a login");
            connection.close().await.expect("the connection closes");
            login
        }
    };
    VersionedServer { postgres: Arc::new(postgres), admin: login }
}

/// The folder with the programs of a version.
fn programs(major: u32) -> Option<PathBuf> {
    let fetched = fetched_dir().map(|dir| dir.join(major.to_string()).join("bin"));
    fetched.filter(|dir| dir.join("postgres").is_file()).or_else(|| {
        let path = std::env::var_os("PATH");
        installed(path.as_ref()).into_iter().find_map(|(found, dir)| (found == major).then_some(dir))
    })
}

/// Where `.ci/postgres` puts what it fetches.
fn fetched_dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("TENANTRY_TEST_POSTGRES") {
        return Some(dir.into());
    }
    let cache = if is_root() {
        "/var/cache".into()
    } else {
        match std::env::var_os("XDG_CACHE_HOME") {
            Some(dir) => PathBuf::from(dir),
            None => PathBuf::from(std::env::var_os("HOME")?).join(".cache"),
        }
    };
    Some(cache.join("tenantry/postgres"))
}

/// CI with npm could have fetched it: what silently drops out there would not be missed.
pub(crate) fn fetchable_must_be_there() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::var_os("CI").is_some_and(|ci| ci == "true")
        && std::env::split_paths(&path).any(|dir| dir.join("npm").is_file())
}
