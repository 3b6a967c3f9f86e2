//! A tenant's own database: a copy of a template.
//!
//! `CREATE DATABASE` is its own transaction, so a crash could leave a database without a mark, which
//! nobody could tell from a stranger's. So every copy begins as one of the template's warm pool
//! (see `warm_pool`) and becomes the tenant's by its mark and its name, in one transaction: a
//! database that has the tenant's name has its mark too, and one without is not ours. A copy whose
//! maker died before that is a warm one more.

use sqlx::AssertSqlSafe;
use tenantry_domain::{app::App, names::ObjectName};

use super::{AdminError, Done, MAINTENANCE, ObjectKind, ServerAdmin};
use crate::sql;

const TASK: &str = "make the tenant's database";
const DROP: &str = "drop the tenant's database";

impl ServerAdmin {
    /// Makes a tenant's database, with the app's tables at their newest version: a warm copy of the
    /// app's template where there is one, else a new one. "The template is in use" is transient.
    pub async fn create_database(
        &self,
        app: &App,
        label: &str,
        database: &ObjectName,
        owner_mark: &str,
    ) -> Result<(), AdminError> {
        loop {
            if self.has_database(database, owner_mark).await? {
                return Ok(());
            }
            let template = self.ensure_template(app, label).await?;
            if self.take_warm(&template, database, owner_mark).await? {
                return Ok(());
            }
            let copy = match self.add_warm(&template).await {
                Ok(copy) => copy,
                // Outdated, and dropped since the look.
                Err(error) if error.is_missing_database() => continue,
                Err(error) => return Err(error),
            };
            // Unless somebody took it from the pool just now.
            if self.take_copy(&copy, database, owner_mark).await? {
                return Ok(());
            }
        }
    }

    /// Drops a tenant's database, whoever is connected. That it is gone already is fine.
    pub async fn drop_database(&self, database: &ObjectName, owner_mark: &str) -> Result<(), AdminError> {
        // Should somebody be handing a copy over, who was given up: it is seen afterwards.
        self.run(MAINTENANCE, DROP, format!("SELECT {}", lock(database))).await?;
        if self.has_database(database, owner_mark).await? {
            return self.remove_database(database, DROP).await;
        }
        self.leave(database).await;
        self.forget(database);
        Ok(())
    }

    /// Drops a database, whosever it is and whoever is connected. That it is gone already is fine.
    pub(super) async fn remove_database(
        &self,
        database: &ObjectName,
        task: &'static str,
    ) -> Result<(), AdminError> {
        self.leave(database).await;
        self.forget(database);
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", database.quoted());
        self.run(MAINTENANCE, task, drop).await.map(std::mem::drop)
    }

    /// Whether there is a database of a name, whosever it is.
    pub(super) async fn database_exists(
        &self,
        database: &ObjectName,
        task: &'static str,
    ) -> Result<bool, AdminError> {
        let mut connection = self.connection(MAINTENANCE, task).await?;
        let exists = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .persistent(false)
            .bind(database.as_str())
            .fetch_one(&mut *connection);
        exists.await.map_err(|e| self.failed(task, e))
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

/// Held while a database gets, or loses, its tenant's name.
pub(super) fn lock(database: &ObjectName) -> String {
    sql::advisory_lock(&format!("tenantry:database:{database}"))
}
