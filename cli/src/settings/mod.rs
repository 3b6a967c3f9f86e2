//! Settings: every one has a flag, an environment variable and a key in a TOML file, in that order.

mod file;
mod providers;
mod reference;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Args, ValueEnum};
use secrecy::SecretString;
use tenantry_domain::envelope::Key;
use tenantry_http::{AccessLog, ConnectionLimits};
use tenantry_registry::ConnectSettings;

use crate::{
    compose::{RegistryConfig, descriptors},
    kek::{Given, KekSource, KmsKey},
};

pub(crate) use file::parse;
pub(crate) use providers::ProviderArgs;
pub(crate) use reference::markdown;

/// How to log.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Every command")]
pub(crate) struct LogArgs {
    /// How log lines look.
    #[arg(long, env = "TENANTRY_LOG_FORMAT", value_enum, default_value = "pretty", global = true)]
    pub(crate) log_format: LogFormat,

    /// Which lines to log, e.g. `info,tenantry_worker=debug`; each command has its own default.
    #[arg(long, env = "TENANTRY_LOG", global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    // For people. No doc comments here: clap would show each value in a paragraph of its own.
    Pretty,
    // For machines: one JSON object per line.
    Json,
}

/// The registry.
#[derive(Debug, Clone, Args)]
pub(crate) struct RegistryArgs {
    /// The registry's PostgreSQL, e.g. `postgres://tenantry@db.internal/tenantry`.
    #[arg(long, env = "TENANTRY_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database_url: SecretString,

    /// Connections to the registry that this process may open, twice (durable and relaxed commits).
    #[arg(long, env = "TENANTRY_REGISTRY_CONNECTIONS", default_value_t = 16, value_name = "COUNT")]
    pub(crate) registry_connections: u32,

    /// Seconds that the registry may take to answer a statement; after them it counts as unavailable.
    #[arg(long, env = "TENANTRY_REGISTRY_TIMEOUT", default_value_t = 5.0, value_name = "SECONDS")]
    pub(crate) registry_timeout: f64,
}

impl RegistryArgs {
    pub(crate) fn config(&self) -> anyhow::Result<RegistryConfig> {
        anyhow::ensure!(self.registry_timeout > 0.0, "--registry-timeout must be more than 0");
        let connect = ConnectSettings {
            max_connections: self.registry_connections,
            answer_timeout: seconds("registry-timeout", self.registry_timeout)?,
        };
        Ok(RegistryConfig { url: self.database_url.clone(), connect })
    }
}

/// What both planes share.
#[derive(Debug, Clone, Args)]
pub(crate) struct EdgeArgs {
    /// Seconds between being told to stop and taking no more requests: unready meanwhile, so that load
    /// balancers look away first.
    #[arg(long, env = "TENANTRY_DRAIN", default_value_t = 5.0, value_name = "SECONDS")]
    drain: f64,

    #[command(flatten)]
    pub(crate) listener: ListenerArgs,
}

impl EdgeArgs {
    pub(crate) fn drain(&self) -> anyhow::Result<Duration> {
        seconds("drain", self.drain)
    }
}

/// How requests are taken.
#[derive(Debug, Clone, Args)]
pub(crate) struct ListenerArgs {
    /// Which requests to log, one line each: off, all, or one in N as 1/N.
    #[arg(long, env = "TENANTRY_ACCESS_LOG", default_value_t = AccessLog::Off, value_name = "WHICH")]
    pub(crate) access_log: AccessLog,

    /// Connections of clients, at most. One more closes that which has waited longest for a request.
    #[arg(long, env = "TENANTRY_MAX_CONNECTIONS", default_value_t = 10_000, value_name = "COUNT")]
    max_connections: usize,

    /// Connections from one address. Behind a load balancer all come from its own.
    #[arg(long, env = "TENANTRY_MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 2_500, value_name = "COUNT")]
    max_connections_per_address: usize,

    /// Seconds that a client may take for the head of a request, or until it sends the next; and in which it must
    /// take some of an answer.
    #[arg(long, env = "TENANTRY_HEAD_TIMEOUT", default_value_t = 30, value_name = "SECONDS")]
    head_timeout: u32,

    /// Bytes per second that a client must at least send of a body, or take of an answer, after the time for a head.
    #[arg(long, env = "TENANTRY_MIN_RATE", default_value_t = 1_024, value_name = "BYTES")]
    min_rate: u32,
}

impl ListenerArgs {
    pub(crate) fn connections(&self) -> ConnectionLimits {
        ConnectionLimits {
            in_all: descriptors::for_clients(self.max_connections),
            per_address: self.max_connections_per_address,
            head_timeout: Duration::from_secs(self.head_timeout.into()),
            min_rate: self.min_rate,
        }
    }
}

fn seconds(setting: &str, value: f64) -> anyhow::Result<Duration> {
    Duration::try_from_secs_f64(value).with_context(|| format!("--{setting} is no number of seconds"))
}

/// The admin port.
#[derive(Debug, Clone, Args)]
pub(crate) struct AdminArgs {
    /// Where `/livez`, `/readyz` and `/metrics` are served; port 0 picks a free one.
    #[arg(long, env = "TENANTRY_ADMIN_ADDR", default_value = "127.0.0.1:9180", value_name = "ADDR")]
    pub(crate) admin_addr: SocketAddr,
}

/// The names that tenants have.
#[derive(Debug, Clone, Args)]
pub(crate) struct DomainArgs {
    /// Tenants are `<slug>.<base domain>`.
    #[arg(long, env = "TENANTRY_BASE_DOMAIN", default_value = "localhost", value_name = "DOMAIN")]
    pub(crate) base_domain: String,
}

/// The embedded PostgreSQL.
#[derive(Debug, Clone, Args)]
pub(crate) struct EmbeddedArgs {
    /// Folder with `postgres` and `initdb`; without it they are searched for.
    #[arg(long, env = "TENANTRY_POSTGRES_BIN", value_name = "DIR")]
    pub(crate) postgres_bin: Option<PathBuf>,
}

impl EmbeddedArgs {
    pub(crate) fn search(&self) -> tenantry_postgres::embedded::SearchPath {
        tenantry_postgres::embedded::SearchPath {
            bin_dir: self.postgres_bin.clone(),
            path: std::env::var_os("PATH"),
        }
    }
}

/// The key-encryption key.
#[derive(Debug, Clone, Args)]
pub(crate) struct KekArgs {
    /// The key-encryption key: 32 bytes in base64 (`openssl rand -base64 32`).
    #[arg(long, env = "TENANTRY_KEK", hide_env_values = true, value_name = "BASE64")]
    pub(crate) kek: Option<SecretString>,

    /// A file that holds it.
    #[arg(long, env = "TENANTRY_KEK_FILE", value_name = "FILE", conflicts_with = "kek")]
    pub(crate) kek_file: Option<PathBuf>,

    /// The key of AWS KMS (its ARN) that has encrypted it: what is given is what `tenantry new-kek` prints.
    #[arg(long, env = "TENANTRY_KEK_KMS_KEY", value_name = "ARN")]
    kek_kms_key: Option<KmsKey>,

    /// A second key-encryption key, which opens too and seals nothing: while one takes the other's place.
    #[arg(long, env = "TENANTRY_KEK_ALSO", hide_env_values = true, value_name = "BASE64")]
    kek_also: Option<SecretString>,

    /// A file that holds it.
    #[arg(long, env = "TENANTRY_KEK_ALSO_FILE", value_name = "FILE", conflicts_with = "kek_also")]
    kek_also_file: Option<PathBuf>,

    /// The key of AWS KMS that has encrypted it.
    #[arg(long, env = "TENANTRY_KEK_ALSO_KMS_KEY", value_name = "ARN")]
    kek_also_kms_key: Option<KmsKey>,
}

/// Where a key comes from, if one is given. `name` is how its settings begin.
fn source(
    name: &str,
    text: Option<&SecretString>,
    file: Option<&PathBuf>,
    kms_key: Option<&KmsKey>,
) -> anyhow::Result<Option<KekSource>> {
    match (Given::one_of(text.cloned(), file.cloned()), kms_key.cloned()) {
        (None, None) => Ok(None),
        (Some(given), None) => Ok(Some(KekSource::Plain(given))),
        (Some(encrypted), Some(key)) => Ok(Some(KekSource::AwsKms { key, encrypted })),
        (None, Some(_)) => {
            anyhow::bail!(
                "{name}_KMS_KEY has encrypted a key that is missing: set {name}_FILE (`tenantry new-kek` makes one)"
            )
        }
    }
}

impl KekArgs {
    /// The key, if one is given.
    pub(crate) async fn given(&self) -> anyhow::Result<Option<Key>> {
        let own =
            source("TENANTRY_KEK", self.kek.as_ref(), self.kek_file.as_ref(), self.kek_kms_key.as_ref())?;
        let also = source(
            "TENANTRY_KEK_ALSO",
            self.kek_also.as_ref(),
            self.kek_also_file.as_ref(),
            self.kek_also_kms_key.as_ref(),
        )?;
        let Some(own) = own else { return Ok(None) };
        let own = own.load().await?;
        Ok(Some(match also {
            Some(also) => own.opening_also(also.load().await?),
            None => own,
        }))
    }

    /// The key; an error that says how to give one.
    pub(crate) async fn required(&self) -> anyhow::Result<Key> {
        self.given()
            .await?
            .context("set TENANTRY_KEK or TENANTRY_KEK_FILE to the key-encryption key (32 bytes in base64)")
    }
}

/// Where things are kept when nobody says: of the user, or as root of the machine.
pub(crate) fn default_data_dir() -> PathBuf {
    // As root the server runs as an unprivileged user, who cannot enter root's home.
    if tenantry_postgres::embedded::is_root() {
        return PathBuf::from("/var/lib/tenantry");
    }
    let home = |relative: &str| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(relative));
    std::env::var_os("XDG_DATA_HOME")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .or_else(|| home(".local/share"))
        .unwrap_or_else(std::env::temp_dir)
        .join("tenantry")
}

/// Where the client keeps its profiles.
pub(crate) fn config_dir() -> anyhow::Result<PathBuf> {
    let given = |name: &str| std::env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    given("XDG_CONFIG_HOME")
        .or_else(|| given("HOME").map(|home| home.join(".config")))
        .map(|dir| dir.join("tenantry"))
        .context("there is no folder for profiles: set XDG_CONFIG_HOME or HOME")
}
