//! Template databases: an app's tables at its newest version, ready to be copied.

use std::sync::LazyLock;

use tenantry_domain::{
    app::{App, AppVersion},
    names::ObjectName,
};

use super::{
    AdminError, OWNER_ROLE, ServerAdmin, TEMPLATE_SCHEMA, fence,
    migration::How,
    owner::Owner,
    prepare::Connect,
    schema::{become_owner, holds_its_name},
    users,
};
use crate::sql;

const TASK: &str = "make the app's template database";

/// What the names of all templates begin with.
pub const TEMPLATE_PREFIX: &str = "tenantry_template_";

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

    /// Differs when anything does that an app's tenants are made from.
    pub fn fingerprint(&self) -> &str {
        &self.hash
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
        self.prepare().await?;
        let template = Template::of(app, label)?;
        if self.database_is_usable(&template.database, TASK).await? {
            return Ok(template);
        }
        // Before a connection: those who wait must not keep the one who builds from having one.
        let _one_at_a_time = self.building.lock().await;
        // The lock lives as long as its session, which ends also when this call is given up.
        let mut guard = self.guard(TASK).await?;
        sqlx::query("SELECT pg_advisory_lock(hashtextextended($1, 0))")
            .persistent(false)
            .bind(build_lock(&template.hash))
            .execute(&mut *guard)
            .await
            .map_err(|e| self.failed(TASK, e))?;
        if self.database_is_usable(&template.database, TASK).await? {
            return Ok(template);
        }
        let unfinished = template.unfinished()?;
        self.build_template(app, &unfinished, &template.mark).await?;
        // One whose drop was interrupted.
        self.remove_database(&template.database, TASK).await?;
        self.seal_template(&unfinished, &template).await?;
        Ok(template)
    }

    async fn build_template(&self, app: &App, unfinished: &ObjectName, mark: &str) -> Result<(), AdminError> {
        // What a crash left. That we hold the lock says that nobody works on it.
        self.remove_database(unfinished, TASK).await?;
        let (name, mark) = (unfinished.quoted(), sql::literal(mark));
        let create =
            format!("CREATE DATABASE {name} OWNER {OWNER_ROLE} TEMPLATE template0 ALLOW_CONNECTIONS false");
        self.run(TASK, create).await?;
        // Closed to the public before it is open to anybody. By its mark it is found and dropped, should
        // it never be finished and its version be outdated.
        let open = format!(
            "REVOKE ALL ON DATABASE {name} FROM PUBLIC; COMMENT ON DATABASE {name} IS {mark}; \
             ALTER DATABASE {name} ALLOW_CONNECTIONS true"
        );
        self.run(TASK, open).await?;
        self.harden_database(unfinished, Connect::ByName).await?;
        self.ensure_extensions(unfinished, &app.manifest.extensions).await?;
        let schema = self::name(TEMPLATE_SCHEMA.into())?;
        let owner = Owner { name: &schema, mark: "", fence: None };
        let create = format!("CREATE SCHEMA IF NOT EXISTS {TEMPLATE_SCHEMA} AUTHORIZATION {OWNER_ROLE};");
        let session = self.session(unfinished, TASK).await?;
        self.migrate_on(session, owner, &create, app, None, How::NEW).await?;
        // A schema whose contents hold its name would keep it when it is renamed: each tenant's is made anew.
        let unless_renamable = sql::block(
            "",
            &format!(
                "{}; IF {} THEN DROP SCHEMA {TEMPLATE_SCHEMA} CASCADE; END IF;",
                become_owner(&schema, "SET LOCAL"),
                holds_its_name(&schema)
            ),
        );
        self.run_in(unfinished, TASK, unless_renamable).await?;
        // So that no copy begins with this work.
        self.run_in(unfinished, TASK, "VACUUM (FREEZE, ANALYZE)".into()).await?;
        Ok(())
    }

    /// Closes the finished database and gives it its name, which is one transaction. It has its mark already.
    async fn seal_template(&self, unfinished: &ObjectName, template: &Template) -> Result<(), AdminError> {
        let (from, to) = (unfinished.quoted(), template.database.quoted());
        let seal =
            format!("ALTER DATABASE {from} ALLOW_CONNECTIONS false; ALTER DATABASE {from} RENAME TO {to}");
        self.when_unused(TASK, &seal).await
    }
}

/// The name of the lock that whoever builds a template has for as long.
pub(super) fn build_lock(hash: &str) -> String {
    format!("tenantry:template:{hash}")
}

/// Stands for what every template has beside its app's tables. Made once: every sign-up asks for its app's hash.
static SYSTEM: LazyLock<String> = LazyLock::new(|| sql::fingerprint(&[&fence::install()]));

/// Stands for the tables of users, which some apps' templates have.
static USERS: LazyLock<String> = LazyLock::new(|| {
    let schema = ObjectName::parse(TEMPLATE_SCHEMA).expect("it is a name");
    sql::fingerprint(&[&users::ensure_tables(&schema)])
});

/// Differs when anything does that a template is made of.
pub(super) fn hash(app: &App, label: &str) -> String {
    let versions: Vec<_> = app.migrations.iter().map(|migration| migration.version.to_string()).collect();
    let mut parts = vec![label, SYSTEM.as_str(), app.name.as_str(), app.seed.as_deref().unwrap_or_default()];
    for (migration, version) in app.migrations.iter().zip(&versions) {
        parts.extend([version, migration.up.as_str()]);
        parts.push(migration.down.as_deref().unwrap_or_default());
    }
    parts.extend(app.manifest.extensions.iter().map(String::as_str));
    if app.manifest.registration.is_some() {
        parts.push(USERS.as_str());
    }
    sql::fingerprint(&parts)
}

pub(super) fn name(text: String) -> Result<ObjectName, AdminError> {
    ObjectName::parse(&text).map_err(|reason| AdminError::Name { task: TASK, name: text, reason })
}
