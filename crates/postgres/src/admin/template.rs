//! Template databases: an app's tables at its newest version, ready to be copied.

use std::time::Duration;

use tenantry_domain::{
    app::{App, AppVersion},
    names::ObjectName,
};

use super::{AdminError, MAINTENANCE, OWNER_ROLE, ServerAdmin, TEMPLATE_SCHEMA, prepare::Connect};
use crate::sql;

const TASK: &str = "make the app's template database";

/// What the names of all templates begin with.
pub(super) const TEMPLATE_PREFIX: &str = "tenantry_template_";

pub(super) const UNFINISHED_PREFIX: &str = "tenantry_unfinished_";

/// How many characters of an app's name fit into a template's, which has 63 at most.
const APP_LEN: usize = 16;

/// A template database, whether it is there or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its name: `tenantry_template_<app>_<version>_<hash>`.
    pub database: ObjectName,
    /// Differs when anything does that it is made of.
    pub(super) hash: String,
    mark: String,
}

impl Template {
    /// The template of an app's newest version. `label` keeps templates apart that may not be
    /// shared, e.g. those of two registries on one server.
    pub fn of(app: &App, label: &str) -> Result<Self, AdminError> {
        let hash = hash(app, label);
        let mut short: String = app.name.as_str().replace('-', "_");
        short.truncate(APP_LEN);
        let version = app.version().map_or(0, AppVersion::number);
        let database = name(format!("{TEMPLATE_PREFIX}{short}_{version}_{hash}"))?;
        Ok(Self { database, hash, mark: Self::mark(label) })
    }

    /// The name of its database until that is complete.
    pub(super) fn unfinished(&self) -> Result<ObjectName, AdminError> {
        name(format!("{UNFINISHED_PREFIX}{}", self.hash))
    }

    /// The mark on the templates of a label.
    pub(super) fn mark(label: &str) -> String {
        format!("tenantry:template:{label}")
    }
}

impl ServerAdmin {
    /// The template database of an app's newest version, made if it is not there yet.
    ///
    /// It is built under another name and gets its own when it is complete, so what has the name
    /// can be used. Nobody may connect to it: a copy refuses while somebody does.
    pub async fn ensure_template(&self, app: &App, label: &str) -> Result<Template, AdminError> {
        self.prepare_server().await?;
        let template = Template::of(app, label)?;
        if self.database_exists(&template.database, TASK).await? {
            return Ok(template);
        }
        // Before a connection: those who wait must not keep the one who builds from having one.
        let _one_at_a_time = self.building.lock().await;
        let mut connection = self.connection(MAINTENANCE, TASK).await?;
        // The lock lives as long as its session, which ends also when this call is given up.
        connection.close_on_drop();
        sqlx::query("SELECT pg_advisory_lock(hashtextextended($1, 0))")
            .persistent(false)
            .bind(build_lock(&template.hash))
            .execute(&mut *connection)
            .await
            .map_err(|e| self.failed(TASK, e))?;
        if self.database_exists(&template.database, TASK).await? {
            return Ok(template);
        }
        let unfinished = template.unfinished()?;
        self.build_template(app, &unfinished, &template.mark).await?;
        self.leave(&unfinished).await;
        self.seal_template(&unfinished, &template).await?;
        Ok(template)
    }

    async fn build_template(&self, app: &App, unfinished: &ObjectName, mark: &str) -> Result<(), AdminError> {
        // What a crash left. That we hold the lock says that nobody works on it.
        self.remove_database(unfinished, TASK).await?;
        let (name, mark) = (unfinished.quoted(), sql::literal(mark));
        let create =
            format!("CREATE DATABASE {name} OWNER {OWNER_ROLE} TEMPLATE template0 ALLOW_CONNECTIONS false");
        self.run(MAINTENANCE, TASK, create).await?;
        // Closed to the public before it is open to anybody. By its mark it is found and dropped, should
        // it never be finished and its version be outdated.
        let open = format!(
            "REVOKE ALL ON DATABASE {name} FROM PUBLIC; COMMENT ON DATABASE {name} IS {mark}; \
             ALTER DATABASE {name} ALLOW_CONNECTIONS true"
        );
        self.run(MAINTENANCE, TASK, open).await?;
        self.harden_database(unfinished, Connect::ByName).await?;
        self.ensure_extensions(unfinished, &app.manifest.extensions).await?;
        let schema = self::name(TEMPLATE_SCHEMA.into())?;
        let create = format!("CREATE SCHEMA {TEMPLATE_SCHEMA} AUTHORIZATION {OWNER_ROLE}");
        self.run(unfinished.as_str(), TASK, create).await?;
        self.migrate(unfinished, &schema, app, None).await?;
        if let Some(seed) = &app.seed {
            self.seed(unfinished, &schema, seed).await?;
        }
        // So that no copy begins with this work.
        self.run(unfinished.as_str(), TASK, "VACUUM (FREEZE, ANALYZE)".into()).await?;
        Ok(())
    }

    /// Closes the finished database and gives it its name, which is one transaction. It has its mark already.
    async fn seal_template(&self, unfinished: &ObjectName, template: &Template) -> Result<(), AdminError> {
        let (from, to) = (unfinished.quoted(), template.database.quoted());
        let seal =
            format!("ALTER DATABASE {from} ALLOW_CONNECTIONS false; ALTER DATABASE {from} RENAME TO {to}");
        self.when_unused(&seal).await
    }

    /// Runs a statement that refuses while a session is in the database: the backends of
    /// connections that we have closed take a moment to end, and autovacuum comes by itself.
    pub(super) async fn when_unused(&self, statement: &str) -> Result<(), AdminError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.run(MAINTENANCE, TASK, statement.to_owned()).await {
                Err(error) if attempts < 20 && error.is_in_use() => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                result => return result.map(drop),
            }
        }
    }
}

/// The name of the lock that whoever builds a template has for as long.
pub(super) fn build_lock(hash: &str) -> String {
    format!("tenantry:template:{hash}")
}

/// Differs when anything does that a template is made of.
fn hash(app: &App, label: &str) -> String {
    let versions: Vec<_> = app.migrations.iter().map(|migration| migration.version.to_string()).collect();
    let mut parts = vec![label, app.name.as_str(), app.seed.as_deref().unwrap_or_default()];
    for (migration, version) in app.migrations.iter().zip(&versions) {
        parts.extend([version, migration.up.as_str()]);
        parts.push(migration.down.as_deref().unwrap_or_default());
    }
    parts.extend(app.manifest.extensions.iter().map(String::as_str));
    sql::fingerprint(&parts)
}

pub(super) fn name(text: String) -> Result<ObjectName, AdminError> {
    ObjectName::parse(&text).map_err(|reason| AdminError::Name { task: TASK, name: text, reason })
}
