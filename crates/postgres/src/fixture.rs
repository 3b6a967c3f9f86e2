//! What this crate's tests share: one embedded server per test binary, and tenants on it.

use secrecy::SecretString;
use tenantry_domain::{
    app::{App, AppName, Manifest, Migration},
    names::ObjectName,
    server_tls::ServerTls,
};
use tokio::sync::OnceCell;

use crate::{
    admin::{AdminLimits, Fence, Owner, RoleLimits, RoleSpec, ServerAddress, ServerAdmin},
    embedded::{EmbeddedConfig, EmbeddedPostgres, SearchPath},
    tenant::{ConnectOptions, LoginTarget, TenantConnection},
    tls::Tls,
};

static SERVER: OnceCell<EmbeddedPostgres> = OnceCell::const_new();

/// The server of this test binary; its guard removes it.
pub(crate) async fn server() -> &'static EmbeddedPostgres {
    SERVER
        .get_or_init(async || {
            let dir = std::env::temp_dir().join(format!("tenantry-postgres-{}", std::process::id()));
            let config = EmbeddedConfig::throwaway(dir, SearchPath::default());
            EmbeddedPostgres::start(config).await.unwrap()
        })
        .await
}

pub(crate) fn name(text: &str) -> ObjectName {
    ObjectName::parse(text).unwrap()
}

pub(crate) fn admin(server: &EmbeddedPostgres, database: &ObjectName, limits: AdminLimits) -> ServerAdmin {
    let address = ServerAddress {
        host: server.host(),
        port: server.port(),
        tls: &ServerTls::Prefer,
        user: server.user(),
        password: server.password(),
        shared_database: database,
    };
    ServerAdmin::new(&address, limits)
}

/// A test's own shared database and login, and admin connections to them.
pub(crate) struct Bench {
    pub(crate) admin: ServerAdmin,
    pub(crate) database: ObjectName,
    pub(crate) login: ObjectName,
    pub(crate) password: SecretString,
    port: u16,
}

impl Bench {
    /// `label` tells the tests of one server apart.
    pub(crate) async fn new(label: &str) -> Self {
        Self::on(server().await, label).await
    }

    /// With one admin connection to its shared database.
    pub(crate) async fn with_one_connection(label: &str) -> Self {
        let mut bench = Self::new(label).await;
        let one = AdminLimits { shared_connections: 1, ..AdminLimits::default() };
        bench.admin = admin(server().await, &bench.database, one);
        bench
    }

    pub(crate) async fn on(server: &EmbeddedPostgres, label: &str) -> Self {
        let database = name(&format!("shared_{label}"));
        let bench = Self {
            admin: admin(server, &database, AdminLimits::default()),
            database,
            login: name(&format!("login_{label}")),
            password: "correct horse battery staple".into(),
            port: server.port(),
        };
        bench.admin.prepare().await.unwrap();
        bench.admin.ensure_login(&bench.login, &bench.password).await.unwrap();
        bench
    }

    /// A tenant in the shared database with an app's tables, empty.
    pub(crate) async fn tenant(&self, tenant: &str, app: &App) -> ObjectName {
        let tenant = name(tenant);
        self.admin.ensure_extensions(&self.database, &app.manifest.extensions).await.unwrap();
        let (mark, app) = (mark(&tenant), App { seed: None, ..app.clone() });
        self.admin.create_schema(owner(&tenant, &mark), &self.role(&"pw".into()), &app).await.unwrap();
        tenant
    }

    /// A tenant with a role and an empty schema.
    pub(crate) async fn tenant_without_tables(&self, tenant: &str) -> ObjectName {
        self.tenant(tenant, &app(&[])).await
    }

    /// A role that this test's login may become.
    pub(crate) fn role<'a>(&'a self, secret: &'a SecretString) -> RoleSpec<'a> {
        RoleSpec { secret, login: &self.login, limits: RoleLimits::default(), may_log_in: true }
    }

    pub(crate) fn target(&self, database: &ObjectName) -> LoginTarget {
        LoginTarget {
            host: "127.0.0.1".into(),
            port: self.port,
            tls: Tls::new(&ServerTls::Prefer),
            database: database.clone(),
            login: self.login.clone(),
            password: self.password.clone(),
        }
    }

    pub(crate) async fn connect(&self, database: &ObjectName) -> TenantConnection {
        TenantConnection::connect(&self.target(database), &ConnectOptions::default()).await.unwrap()
    }

    /// A session of somebody with a password, in a database.
    pub(crate) async fn log_in(
        &self,
        user: &str,
        password: &str,
        database: &ObjectName,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user(user).password(password).dbname(database.as_str());
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

pub(crate) fn mark(tenant: &ObjectName) -> String {
    format!("tenantry:{tenant}")
}

/// The owner of a tenant's objects, whose fence nobody raises.
pub(crate) fn owner<'a>(tenant: &'a ObjectName, mark: &'a str) -> Owner<'a> {
    owner_at(tenant, mark, 1)
}

/// The owner of a tenant's objects with a fencing token.
pub(crate) fn owner_at<'a>(tenant: &'a ObjectName, mark: &'a str, token: i64) -> Owner<'a> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut subject = DefaultHasher::new();
    tenant.hash(&mut subject);
    Owner { name: tenant, mark, fence: Some(Fence { subject: subject.finish().into(), token }) }
}

/// An app of the given migrations, each up and down.
pub(crate) fn app(migrations: &[(&str, Option<&str>)]) -> App {
    App {
        name: AppName::parse("notes").unwrap(),
        manifest: Manifest::default(),
        seed: Some("INSERT INTO notes (word) VALUES ('seeded') ON CONFLICT DO NOTHING".into()),
        migrations: migrations
            .iter()
            .zip(1..)
            .map(|((up, down), version)| Migration {
                version: version.try_into().unwrap(),
                name: format!("step_{version}"),
                up: (*up).into(),
                down: down.map(String::from),
            })
            .collect(),
        promoted: None,
    }
}

/// Two tables, one with a sequence.
pub(crate) fn notes() -> App {
    app(&[
        (
            "CREATE TABLE notes (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, word text NOT NULL UNIQUE)",
            Some("DROP TABLE notes"),
        ),
        (
            "CREATE TABLE tags (id bigserial PRIMARY KEY, note bigint REFERENCES notes)",
            Some("DROP TABLE tags"),
        ),
    ])
}
