//! Inquiries: questions that only a worker can answer, because they need a tenant server.
//!
//! They change nothing that stays. So they need no lease, may be answered twice, and are forgotten.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{
    app::{AppName, AppVersion, Manifest, Migration},
    drift::{TenantToVerify, TenantsVerified},
    ids::{ServerId, TenantId},
    names::ObjectName,
    plan::Tier,
    server::ServerName,
    server_tls::ServerTls,
};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Question {
    /// Can this be the app's next version?
    TryVersion {
        /// The app.
        app: AppName,
        /// What it asks for, which need not be what the registry has.
        manifest: Manifest,
        /// Its default data, likewise.
        seed: Option<String>,
        /// The version.
        migration: Migration,
    },
    /// What are an app's tables and functions, as types of a programming language?
    DescribeVersion {
        /// The app.
        app: AppName,
        /// In this version.
        version: AppVersion,
    },
    /// Can this server hold tenants?
    CheckServer(ServerToCheck),
    /// Does a server hold what the registry knows?
    AuditServer {
        /// The server.
        server: ServerId,
    },
    /// Can a tenant be moved?
    PreflightMove {
        /// The tenant.
        tenant: TenantId,
        /// How its data is to be isolated.
        tier: Tier,
        /// The server that it is to go to; none: any.
        server: Option<ServerId>,
        /// Writes may wait for as long as it takes.
        offline: bool,
    },
    /// What would a rollout meet?
    TryRollout {
        /// The app.
        app: AppName,
        /// The version that all tenants are to have.
        target: AppVersion,
        /// The SQL is run at some tenants and rolled back, with this limit for locks; none: only look at the largest one.
        lock_timeout_ms: Option<u32>,
    },
    /// Are tenants' schemas as their versions say?
    VerifyTenants {
        /// Their app.
        app: AppName,
        /// They.
        tenants: Vec<TenantToVerify>,
    },
}

impl Question {
    /// Its name, for logs and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::TryVersion { .. } => "try_version",
            Self::DescribeVersion { .. } => "describe_version",
            Self::CheckServer(_) => "check_server",
            Self::AuditServer { .. } => "audit_server",
            Self::PreflightMove { .. } => "preflight_move",
            Self::TryRollout { .. } => "try_rollout",
            Self::VerifyTenants { .. } => "verify_tenants",
        }
    }
}

/// A server, registered or not yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerToCheck {
    /// Its id, or the one that it will have: the password is sealed for it.
    pub id: ServerId,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How connections to it are protected.
    #[serde(default)]
    pub tls: ServerTls,
    /// The admin login.
    pub admin_user: String,
    /// Its password.
    pub admin_password: Sealed,
    /// The database that tenants of tier `schema` share, whether it is there yet or not.
    pub shared_database: ObjectName,
    /// Connections that one data plane may open to it.
    pub max_connections: u32,
}

/// A sealed value, in JSON as base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(D::Error::custom)
    }
}

/// What a worker found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Question::TryVersion`].
    VersionTried(VersionTrial),
    /// To [`Question::DescribeVersion`].
    VersionDescribed {
        /// TypeScript types.
        typescript: String,
    },
    /// To [`Question::CheckServer`].
    ServerChecked(ServerCheck),
    /// To [`Question::AuditServer`].
    ServerAudited(ServerAudit),
    /// To [`Question::PreflightMove`].
    MovePreflighted(MovePreflight),
    /// To [`Question::TryRollout`].
    RolloutTried(RolloutTrial),
    /// To [`Question::VerifyTenants`].
    TenantsVerified(TenantsVerified),
    /// It could not be found out; later it may.
    Failed {
        /// Why, for a person.
        message: String,
    },
}

/// What a rollout would meet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutTrial {
    /// The tables of the largest tenant that is to be migrated, with their rows, estimated.
    pub tables: Vec<(String, u64)>,
    /// Which of its views use which columns: view, table, column.
    pub views: Vec<(String, String, String)>,
    /// What was run and rolled back.
    pub statements: Vec<StatementTrial>,
}

/// A statement that was run at a tenant and rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementTrial {
    /// The tenant's slug.
    pub tenant: String,
    /// The version that it is of.
    pub version: AppVersion,
    /// Its first line, from 1.
    pub line: u32,
    /// How long it took.
    pub microseconds: u64,
    /// The locks that it took and that others can meet: `AccessExclusiveLock on items`.
    pub locks: Vec<String>,
    /// Why it failed, or was not run.
    pub error: Option<String>,
}

/// What became of a version that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum VersionTrial {
    /// It can be applied, taken back where it has SQL for that, and applied again.
    Passed {
        /// Where it was tried.
        server: ServerName,
        /// What to know about it, in sentences.
        warnings: Vec<String>,
    },
    /// It cannot.
    Refused(VersionFault),
}

/// Why a version cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionFault {
    /// Which SQL fails.
    pub part: VersionPart,
    /// The version that it is of: the one that was tried, or an earlier one. None for the seed and the manifest.
    pub version: Option<AppVersion>,
    /// The line of that SQL, from 1, where PostgreSQL says where it is.
    pub line: Option<u32>,
    /// PostgreSQL's message, with its detail and hint.
    pub message: String,
}

/// A piece of an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VersionPart {
    /// The SQL that applies a version.
    Up,
    /// The SQL that takes it back.
    Down,
    /// The SQL that applies it, after it was taken back.
    UpAgain,
    /// The default data.
    Seed,
    /// The extensions that the manifest names.
    Extensions,
}

impl std::fmt::Display for VersionFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.part, self.version) {
            (VersionPart::Up, Some(version)) => write!(f, "version {version} fails")?,
            (VersionPart::Down, Some(version)) => write!(f, "the down SQL of version {version} fails")?,
            (VersionPart::UpAgain, Some(version)) => {
                write!(f, "version {version} fails after its own down SQL, which leaves something behind")?;
            }
            (VersionPart::Extensions, _) => {
                f.write_str("the extensions of the manifest cannot be installed")?;
            }
            _ => f.write_str("the seed fails")?,
        }
        if let Some(line) = self.line {
            write!(f, " in line {line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// What a check of a server found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServerCheck {
    /// PostgreSQL's version, if anybody got in.
    pub version: Option<String>,
    /// What keeps it from holding tenants: all of it.
    pub problems: Vec<ServerFinding>,
    /// What it can do without.
    pub warnings: Vec<ServerFinding>,
}

impl ServerCheck {
    /// Whether it can hold tenants.
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One thing about a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFinding {
    /// Stable, for programs.
    pub code: ServerFindingCode,
    /// What is so, and what to do.
    pub message: String,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerFindingCode {
    /// The host has no address.
    HostUnknown,
    /// Nothing that speaks PostgreSQL's protocol answers at host and port.
    Unreachable,
    /// The server offers no TLS, which is asked for.
    TlsMissing,
    /// The server's certificate is for another name.
    CertificateName,
    /// The server's certificate is signed by an unknown authority.
    CertificateIssuer,
    /// The server's certificate has expired, or is not valid yet.
    CertificateExpired,
    /// Encryption cannot be agreed upon.
    Tls,
    /// The server asks for the password in a form that gives it away.
    PasswordExposed,
    /// The server does not know the admin login or its password.
    PasswordRefused,
    /// The server does not let the admin login in.
    LoginRefused,
    /// The admin login may not do what is needed.
    Rights,
    /// PostgreSQL is older than is supported.
    Version,
    /// It cannot be written to.
    ReadOnly,
    /// `wal_level`
    WalLevel,
    /// `max_connections`
    MaxConnections,
    /// The shared database holds something else, or is not a database for tenants.
    SharedDatabase,
    /// The shared database is the registry's own.
    RegistryDatabase,
}

crate::names_of! { ServerFindingCode {
    HostUnknown = "host_unknown", Unreachable = "unreachable", TlsMissing = "tls_missing",
    CertificateName = "certificate_name", CertificateIssuer = "certificate_issuer",
    CertificateExpired = "certificate_expired", Tls = "tls", PasswordExposed = "password_exposed",
    PasswordRefused = "password_refused",
    LoginRefused = "login_refused", Rights = "rights", Version = "version", ReadOnly = "read_only",
    WalLevel = "wal_level", MaxConnections = "max_connections", SharedDatabase = "shared_database",
    RegistryDatabase = "registry_database",
} }

/// How a server differs from what the registry knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServerAudit {
    /// On the server, and unknown to the registry.
    pub unknown: Vec<UnknownObject>,
    /// Known to the registry, and not on the server.
    pub missing: Vec<MissingObject>,
    /// What to do, in sentences.
    pub advice: Vec<String>,
}

/// What a move of a tenant would meet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MovePreflight {
    /// The server that it would go to as things are; none: one that would be made for it, or there is none.
    pub server: Option<ServerName>,
    /// Bytes that its tables take.
    pub bytes: u64,
    /// Its tables.
    pub tables: u64,
    /// It would be copied while it is written to.
    pub live: bool,
    /// About how many seconds it would take.
    pub seconds: u64,
    /// What keeps it from being moved, each as a sentence that says what to do.
    pub obstacles: Vec<String>,
}

/// What kind of object of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerObjectKind {
    /// A database.
    Database,
    /// A login of the data plane.
    Login,
    /// A tenant's role.
    Role,
    /// A schema.
    Schema,
}

crate::names_of! { ServerObjectKind { Database = "database", Login = "login", Role = "role", Schema = "schema" } }

/// An object that the registry does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownObject {
    /// What it is.
    pub kind: ServerObjectKind,
    /// Its name.
    pub name: String,
    /// The database that it is in; none for what belongs to the whole server.
    pub database: Option<String>,
    /// The tenant that it was made for, as the mark on it says.
    pub tenant_id: Option<TenantId>,
}

/// An object that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingObject {
    /// What it is.
    pub kind: ServerObjectKind,
    /// Its name.
    pub name: String,
    /// The tenant that it is of; none for what tenants share, or what waits for one.
    pub tenant_id: Option<TenantId>,
    /// The tenant's slug.
    pub tenant: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_version_line_and_message() {
        let mut fault = VersionFault {
            part: VersionPart::Up,
            version: Some(AppVersion::try_from(7).unwrap()),
            line: Some(3),
            message: "syntax error".into(),
        };
        assert_eq!(fault.to_string(), "version 7 fails in line 3: syntax error");
        fault.part = VersionPart::Seed;
        fault.version = None;
        fault.line = None;
        assert_eq!(fault.to_string(), "the seed fails: syntax error");
    }

    #[test]
    fn questions_and_answers_are_read_as_they_were_written() {
        let question = Question::CheckServer(ServerToCheck {
            id: ServerId::from_uuid(uuid::Uuid::from_u128(1)),
            host: "db".into(),
            port: 5432,
            tls: ServerTls::Require { ca: None },
            admin_user: "postgres".into(),
            admin_password: Sealed(vec![0, 255, 7]),
            shared_database: ObjectName::parse("tenants").unwrap(),
            max_connections: 50,
        });
        let text = serde_json::to_string(&question).unwrap();
        assert_eq!(serde_json::from_str::<Question>(&text).unwrap(), question);
        let answer = Answer::VersionTried(VersionTrial::Passed {
            server: ServerName::parse("main").unwrap(),
            warnings: vec!["w".into()],
        });
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
    }
}
