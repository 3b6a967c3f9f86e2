//! A tenant's own database: copied from a template, or empty for data that comes from elsewhere.
//!
//! `CREATE DATABASE` is its own transaction, so a crash could leave a database without a mark,
//! which nobody could tell from a stranger's. So it is made under a name that is derived from
//! database and mark, in a namespace that no tenant's name reaches, then marked and renamed in one
//! transaction: a database that has the tenant's name has its mark too, and one without is not
//! ours.

use sqlx::AssertSqlSafe;
use tenantry_domain::names::ObjectName;

use super::{
    AdminError, Done, MAINTENANCE, OWNER_ROLE, ObjectKind, ServerAdmin, prepare::Connect, template::name,
};
use crate::sql;

const TASK: &str = "make the tenant's database";

impl ServerAdmin {
    /// Makes a tenant's database as a copy of a template. "The template is in use" is transient.
    pub async fn create_database_from_template(
        &self,
        template: &ObjectName,
        database: &ObjectName,
        owner_mark: &str,
    ) -> Result<(), AdminError> {
        if self.has_database(database, owner_mark).await? {
            return Ok(());
        }
        self.make(database, owner_mark, &format!("TEMPLATE {} STRATEGY WAL_LOG", template.quoted())).await
    }

    /// Makes a tenant's database with nothing in it but the schema of extensions: the target of a
    /// move or a restore.
    pub async fn create_empty_database(
        &self,
        database: &ObjectName,
        owner_mark: &str,
    ) -> Result<(), AdminError> {
        self.prepare_server().await?;
        if !self.has_database(database, owner_mark).await? {
            self.make(database, owner_mark, "TEMPLATE template0").await?;
        }
        // Repeated on every call, since a crash may have come before.
        self.harden_database(database, Connect::ByName).await
    }

    /// Drops a tenant's database, whoever is connected. That it is gone already is fine.
    pub async fn drop_database(&self, database: &ObjectName, owner_mark: &str) -> Result<(), AdminError> {
        let exists = self.has_database(database, owner_mark).await?;
        self.leave(database).await;
        self.forget(database);
        let mut names = vec![unfinished(database, owner_mark)?];
        names.extend(exists.then(|| database.clone()));
        for name in names {
            let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", name.quoted());
            self.run(MAINTENANCE, "drop the tenant's database", drop).await?;
        }
        Ok(())
    }

    async fn make(&self, database: &ObjectName, owner_mark: &str, from: &str) -> Result<(), AdminError> {
        let unfinished = unfinished(database, owner_mark)?;
        let (temporary, quoted, mark) = (unfinished.quoted(), database.quoted(), sql::literal(owner_mark));
        // It may be a copy of an older template: not worth knowing, a crash just there is rare.
        let drop = format!("DROP DATABASE IF EXISTS {temporary} WITH (FORCE)");
        self.run(MAINTENANCE, TASK, drop).await?;
        let create = format!("CREATE DATABASE {temporary} OWNER {OWNER_ROLE} {from}");
        self.run(MAINTENANCE, TASK, create).await?;
        // PostgreSQL copies contents, not the rights on the database itself.
        let publish = format!(
            "REVOKE ALL ON DATABASE {temporary} FROM PUBLIC; COMMENT ON DATABASE {temporary} IS {mark}; \
             ALTER DATABASE {temporary} RENAME TO {quoted}"
        );
        self.when_unused(&publish).await
    }

    /// Whether a database is there and the tenant's.
    async fn has_database(&self, database: &ObjectName, owner_mark: &str) -> Result<bool, AdminError> {
        let mut connection = self.connection(MAINTENANCE, TASK).await?;
        let mark = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1";
        let mark: Option<Option<String>> = sqlx::query_scalar(mark)
            .persistent(false)
            .bind(database.as_str())
            .fetch_optional(&mut *connection)
            .await
            .map_err(|e| self.failed(TASK, e))?;
        match mark {
            None => Ok(false),
            Some(mark) if mark.as_deref() == Some(owner_mark) => Ok(true),
            Some(_) => {
                let raise = sql::block("", &ObjectKind::Database.raise_taken(database.as_str()));
                let raised = sqlx::raw_sql(AssertSqlSafe(raise)).execute(&mut *connection).await;
                raised.map(|_| false).map_err(|e| self.failed(TASK, e))
            }
        }
    }

    /// What was prepared in a database that is gone has to be prepared again in the next of its name.
    fn forget(&self, database: &ObjectName) {
        self.done.lock().expect(super::NO_PANIC).retain(|done| match done {
            Done::Database(name) | Done::Extension(name, _) => name != database,
            Done::Server | Done::Login(..) => true,
        });
    }
}

/// Where a tenant's database is made. 40 bits of hash: two tenants that are signed up at the same
/// moment will not share it.
fn unfinished(database: &ObjectName, owner_mark: &str) -> Result<ObjectName, AdminError> {
    name(format!("tenantry_new_{}", sql::fingerprint(&[database.as_str(), owner_mark])))
}
