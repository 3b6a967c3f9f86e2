//! Whether a server can hold tenants, and all that keeps it from it. Changes nothing on it.

use std::time::Duration;

use sqlx::{PgConnection, Row, postgres::PgRow};
use tenantry_domain::{
    inquiry::{ServerCheck, ServerFinding, ServerFindingCode as Code},
    names::{EXTENSIONS_SCHEMA, ObjectName},
};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::{
    AdminError, AdminLimits, MAINTENANCE, OWNER_ROLE, SYSTEM_SCHEMA, ServerAddress, ServerAdmin,
    connections::AdminConnection,
};
use crate::{tenant::LinkError, tls::TlsError};

const TASK: &str = "check the server";

/// The oldest version that is supported.
const OLDEST: i32 = 15;

/// How long the server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long it may take to let somebody in.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(8);

/// A database that must not hold tenants: the registry.
#[derive(Debug, Clone, Copy)]
pub struct ForbiddenDatabase<'a> {
    /// The number of its cluster.
    pub system_identifier: &'a str,
    /// Its name.
    pub database: &'a str,
}

/// Tries connection, rights, version and settings of a server, of which one data plane may open
/// `max_connections`.
pub async fn check_server(
    address: &ServerAddress<'_>,
    max_connections: u32,
    registry: ForbiddenDatabase<'_>,
) -> ServerCheck {
    let limits = AdminLimits { acquire_timeout: LOGIN_TIMEOUT, ..AdminLimits::default() };
    let check = Check {
        admin: ServerAdmin::new(address, limits),
        address,
        max_connections,
        registry,
        found: ServerCheck::default(),
    };
    check.run().await
}

struct Check<'a> {
    admin: ServerAdmin,
    address: &'a ServerAddress<'a>,
    max_connections: u32,
    registry: ForbiddenDatabase<'a>,
    found: ServerCheck,
}

impl Check<'_> {
    async fn run(mut self) -> ServerCheck {
        if let Some(mut session) = self.connect().await
            && let Err(error) = self.look(&mut session).await
        {
            let message = self.admin.failed(TASK, error).to_string();
            self.problem(Code::Unreachable, message);
        }
        self.admin.close().await;
        self.found
    }

    fn problem(&mut self, code: Code, message: String) {
        self.found.problems.push(ServerFinding { code, message });
    }

    fn warning(&mut self, code: Code, message: String) {
        self.found.warnings.push(ServerFinding { code, message });
    }

    /// Name, port and login, one after the other: each needs the one before.
    async fn connect(&mut self) -> Option<AdminConnection> {
        let (host, port) = (self.address.host, self.address.port);
        let addresses: Vec<_> = match timeout(CONNECT_TIMEOUT, lookup_host((host, port))).await {
            Ok(Ok(addresses)) => addresses.collect(),
            _ => Vec::new(),
        };
        if addresses.is_empty() {
            self.problem(
                Code::HostUnknown,
                format!(
                    "{host} has no address where the worker runs; check the spelling, or name the address"
                ),
            );
            return None;
        }
        let listens = timeout(CONNECT_TIMEOUT, TcpStream::connect(&addresses[..])).await;
        let refused = match listens {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())),
        };
        if let Some(reason) = refused {
            self.problem(
                Code::Unreachable,
                format!(
                    "nothing answers the worker at {host}:{port} ({reason}); check port, listen_addresses and firewalls"
                ),
            );
            return None;
        }
        let maintenance = ObjectName::parse(MAINTENANCE).ok()?;
        match self.admin.session(&maintenance, TASK).await {
            Ok(session) => Some(session),
            Err(error) => {
                let (code, message) = self.login_problem(&error);
                self.problem(code, message);
                None
            }
        }
    }

    fn login_problem(&self, error: &AdminError) -> (Code, String) {
        let user = self.address.user;
        if let Some(error) = error.unprotected() {
            return self.protection_problem(error);
        }
        let AdminError::Refused { code, message, .. } = error else {
            return (
                Code::Unreachable,
                format!("what listens there does not answer as PostgreSQL does: {error}"),
            );
        };
        match code.as_str() {
            "28P01" => (
                Code::PasswordRefused,
                format!("PostgreSQL does not accept this password of {user}, or has no such login"),
            ),
            code if code.starts_with("28") => (
                Code::LoginRefused,
                format!("PostgreSQL does not let {user} in ({message}); see its pg_hba.conf"),
            ),
            "42501" => (
                Code::Rights,
                format!(
                    "{user} may not connect to database {MAINTENANCE}, from which others are made; as a superuser: \
                     GRANT CONNECT ON DATABASE {MAINTENANCE} TO \"{user}\""
                ),
            ),
            "3D000" => (
                Code::LoginRefused,
                format!(
                    "there is no database {MAINTENANCE}, from which others are made; CREATE DATABASE {MAINTENANCE}"
                ),
            ),
            _ => {
                (Code::Unreachable, format!("PostgreSQL does not let {user} in: {message} (SQLSTATE {code})"))
            }
        }
    }

    fn protection_problem(&self, error: &LinkError) -> (Code, String) {
        let code = match error {
            LinkError::PasswordExposed(_) => Code::PasswordExposed,
            LinkError::Tls(TlsError::NotOffered) => Code::TlsMissing,
            LinkError::Tls(TlsError::WrongName(_)) => Code::CertificateName,
            LinkError::Tls(TlsError::UnknownIssuer) => Code::CertificateIssuer,
            LinkError::Tls(TlsError::Expired | TlsError::NotYetValid) => Code::CertificateExpired,
            _ => Code::Tls,
        };
        let (host, port, mode) = (self.address.host, self.address.port, self.address.tls.mode());
        (code, format!("the server at {host}:{port} is not used with sslMode {mode}: {error}"))
    }

    async fn look(&mut self, session: &mut PgConnection) -> Result<(), sqlx::Error> {
        let shared = self.address.shared_database;
        let facts = sqlx::query(FACTS).persistent(false).bind(shared.as_str()).fetch_one(session).await?;
        self.version(&facts)?;
        self.rights(&facts)?;
        self.settings(&facts)?;
        let here: Option<String> = facts.try_get("system_identifier")?;
        if here.as_deref() == Some(self.registry.system_identifier)
            && shared.as_str() == self.registry.database
        {
            self.problem(
                Code::RegistryDatabase,
                format!("{shared} is the registry's own database, which holds no tenants; name another one"),
            );
        } else if [MAINTENANCE, "template0", "template1"].contains(&shared.as_str()) {
            self.problem(
                Code::SharedDatabase,
                format!(
                    "{shared} is PostgreSQL's own; name another database, it is made when it is not there"
                ),
            );
        } else if facts.try_get("shared_exists")? {
            self.shared_database().await?;
        }
        Ok(())
    }

    fn version(&mut self, facts: &PgRow) -> Result<(), sqlx::Error> {
        let version: String = facts.try_get("version")?;
        if facts.try_get::<i32, _>("version_number")? / 10_000 < OLDEST {
            self.problem(
                Code::Version,
                format!("it is PostgreSQL {version}; {OLDEST} is the oldest that is supported"),
            );
        }
        // Distributions add their own to it: `15.8 (Debian 15.8-1)`.
        self.found.version = version.split_whitespace().next().map(str::to_owned);
        if facts.try_get("in_recovery")? {
            self.problem(Code::ReadOnly, "it is a standby and cannot be written to; name its primary".into());
        }
        Ok(())
    }

    fn rights(&mut self, facts: &PgRow) -> Result<(), sqlx::Error> {
        let user = self.address.user;
        if facts.try_get("superuser")? {
            return Ok(());
        }
        let lacks: Vec<&str> = [("create_role", "CREATEROLE"), ("create_db", "CREATEDB")]
            .into_iter()
            .filter_map(|(column, right)| match facts.try_get::<bool, _>(column) {
                Ok(true) => None,
                _ => Some(right),
            })
            .collect();
        if !lacks.is_empty() {
            self.problem(
                Code::Rights,
                format!(
                    "{user} lacks {}; as a superuser: ALTER ROLE \"{user}\" {}",
                    lacks.join(" and "),
                    lacks.join(" ")
                ),
            );
        }
        // From 16 on an admin may grant only what it made itself, or was given with the admin option.
        let newer = facts.try_get::<i32, _>("version_number")? >= 160_000;
        if newer && facts.try_get("prepared")? && !facts.try_get::<bool, _>("owns_owner")? {
            self.problem(
                Code::Rights,
                format!(
                    "another login has prepared this server, and {user} may not use what it made; register that login, \
                     or as it, or as a superuser: GRANT {OWNER_ROLE} TO \"{user}\" WITH ADMIN OPTION, and the same for \
                     every role whose name begins with tenant_ or tenantry_"
                ),
            );
        }
        Ok(())
    }

    fn settings(&mut self, facts: &PgRow) -> Result<(), sqlx::Error> {
        let wal_level: String = facts.try_get("wal_level")?;
        if wal_level != "logical" {
            self.warning(
                Code::WalLevel,
                format!(
                    "wal_level is {wal_level}: tenants cannot be moved away while they are written to; \
                     ALTER SYSTEM SET wal_level = 'logical' and restart it"
                ),
            );
        }
        let allowed: i32 = facts.try_get("max_connections")?;
        let reserved: i32 = facts.try_get("reserved_connections")?;
        let free = u32::try_from(allowed - reserved).unwrap_or(0);
        let limits = AdminLimits::default();
        let own = limits.shared_connections + u32::try_from(limits.sessions).unwrap_or(u32::MAX);
        let wanted = self.max_connections;
        if wanted > free {
            self.problem(
                Code::MaxConnections,
                format!(
                    "a data plane may open {wanted} connections, and the server admits {free} (max_connections is \
                     {allowed}, {reserved} are reserved for superusers); lower the one or raise the other"
                ),
            );
        } else if wanted.saturating_add(own) > free {
            self.warning(
                Code::MaxConnections,
                format!(
                    "a data plane ({wanted} connections) and a worker ({own}) together need more than the {free} \
                     connections that the server admits"
                ),
            );
        }
        Ok(())
    }

    /// A shared database that is there: it must be for tenants, and for nothing else.
    async fn shared_database(&mut self) -> Result<(), sqlx::Error> {
        let shared = self.address.shared_database;
        let mut session = match self.admin.session(shared, TASK).await {
            Ok(session) => session,
            Err(AdminError::Refused { message, .. }) => {
                self.problem(
                    Code::SharedDatabase,
                    format!("{} cannot connect to database {shared}: {message}", self.address.user),
                );
                return Ok(());
            }
            Err(error) => {
                self.problem(Code::Unreachable, error.to_string());
                return Ok(());
            }
        };
        let strangers: Vec<String> = sqlx::query_scalar(STRANGERS)
            .persistent(false)
            .bind([EXTENSIONS_SCHEMA, SYSTEM_SCHEMA].map(str::to_owned))
            .bind(i64::try_from(SHOWN + 1).unwrap_or(i64::MAX))
            .fetch_all(&mut *session)
            .await?;
        if !strangers.is_empty() {
            let more = if strangers.len() > SHOWN { " and more" } else { "" };
            let some: Vec<&str> = strangers.iter().take(SHOWN).map(String::as_str).collect();
            self.problem(
                Code::SharedDatabase,
                format!(
                    "database {shared} holds what is not Tenantry's ({}{more}); name another database, it is made when \
                     it is not there",
                    some.join(", ")
                ),
            );
        }
        Ok(())
    }
}

/// How many of a stranger's objects are named.
const SHOWN: usize = 5;

const FACTS: &str = "SELECT current_setting('server_version') AS version,
        current_setting('server_version_num')::int AS version_number,
        rolsuper AS superuser, rolcreaterole AS create_role, rolcreatedb AS create_db,
        pg_is_in_recovery() AS in_recovery, current_setting('wal_level') AS wal_level,
        current_setting('max_connections')::int AS max_connections,
        current_setting('superuser_reserved_connections')::int AS reserved_connections,
        (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
        to_regrole('tenantry_owner') IS NOT NULL AS prepared,
        coalesce(pg_has_role(to_regrole('tenantry_owner')::oid, 'USAGE WITH ADMIN OPTION'), false) AS owns_owner,
        EXISTS (SELECT FROM pg_database WHERE datname = $1) AS shared_exists
    FROM pg_roles WHERE rolname = current_user";

const STRANGERS: &str = "SELECT format('schema %I', nspname) FROM pg_namespace
        WHERE NOT starts_with(nspname, 'pg_') AND nspname NOT IN ('information_schema', 'public')
            AND nspname <> ALL ($1)
            AND NOT starts_with(coalesce(obj_description(oid, 'pg_namespace'), ''), 'tenantry:')
    UNION ALL
    SELECT format('table public.%I', relname) FROM pg_class
        WHERE relnamespace = to_regnamespace('public') AND relkind IN ('r', 'p', 'v', 'm', 'f')
            AND NOT EXISTS (SELECT FROM pg_depend
                WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
    ORDER BY 1 LIMIT $2";
