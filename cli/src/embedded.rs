//! The embedded server as `dev`, `demo` and the tests use it: PostgreSQL, the registry's database
//! on it, and the secrets that are kept beside it.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tenantry_control_plane::TenantServer;
use tenantry_domain::{api_key::NewKey, envelope::Key};
use tenantry_postgres::embedded::{EmbeddedConfig, EmbeddedPostgres};
use tenantry_registry::Registry;

/// The registry's database on the embedded server.
const REGISTRY_DATABASE: &str = "tenantry";

/// An embedded server with a registry's database on it.
#[derive(Debug)]
pub struct Embedded {
    /// The server; stop it last.
    pub postgres: EmbeddedPostgres,
    /// The registry's URL.
    pub registry_url: SecretString,
}

impl Embedded {
    /// Starts the server and makes the registry's database if it is not there.
    ///
    /// # Errors
    /// PostgreSQL is not found or does not start; the message says what to do.
    pub async fn start(config: EmbeddedConfig) -> anyhow::Result<Self> {
        let config = EmbeddedConfig { on_fetch: say_that_it_takes_a_while, ..config };
        let postgres = EmbeddedPostgres::start(config).await?;
        let registry_url = database_url(&postgres, REGISTRY_DATABASE);
        Registry::create_database(registry_url.expose_secret()).await?;
        Ok(Self { postgres, registry_url })
    }

    /// The server as one that holds tenants.
    pub fn tenant_server(&self) -> TenantServer {
        TenantServer {
            name: "main".into(),
            host: self.postgres.host().into(),
            port: self.postgres.port(),
            admin_user: self.postgres.user().into(),
            admin_password: self.postgres.password().clone(),
            shared_database: "tenants".into(),
            max_connections: 60,
        }
    }
}

#[expect(clippy::print_stderr, reason = "the user waits for it")]
fn say_that_it_takes_a_while(folder: &Path) {
    eprintln!("No PostgreSQL on this machine: fetching one into {} (once) ...", folder.display());
}

/// The URL of a database on an embedded server.
pub fn database_url(postgres: &EmbeddedPostgres, database: &str) -> SecretString {
    format!(
        "postgres://{}:{}@{}:{}/{database}",
        postgres.user(),
        postgres.password().expose_secret(),
        postgres.host(),
        postgres.port()
    )
    .into()
}

/// Secrets that `dev` makes once and keeps in files that only the user may read.
#[derive(Debug)]
pub(crate) struct KeptSecrets {
    folder: PathBuf,
}

impl KeptSecrets {
    pub(crate) fn in_folder(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The key-encryption key of this folder.
    pub(crate) fn kek(&self) -> anyhow::Result<Key> {
        let text = self.kept("kek", || Key::generate(&mut rand::rng()).to_base64())?;
        Key::from_base64(text.expose_secret()).context("the kept key-encryption key is not valid")
    }

    /// The first API key of this folder.
    pub(crate) fn api_key(&self) -> anyhow::Result<SecretString> {
        self.kept("api-key", || NewKey::operator(&mut rand::rng()).key)
    }

    fn kept(&self, name: &str, make: impl FnOnce() -> SecretString) -> anyhow::Result<SecretString> {
        let path = self.folder.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => return Ok(text.trim().to_owned().into()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
        let secret = make();
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("{} cannot be made", path.display()))?;
        writeln!(file, "{}", secret.expose_secret())?;
        Ok(secret)
    }
}
