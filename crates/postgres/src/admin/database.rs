//! A tenant's own database: a copy of a template.
//!
//! `CREATE DATABASE` and `DROP DATABASE` run outside of transactions, so no fence can hold them. They act on
//! names that nobody else has: a copy begins in its template's warm pool under a random name (see
//! `warm_pool`) and becomes the tenant's by mark and name in a transaction under the fence; and a database
//! that is to be dropped first gets, under the fence, a name that only this attempt gives
//! (`tenantry_gone_<subject>_<token>`). A worker that wakes up later drops what has that name, or nothing. A
//! copy whose maker died is a warm one more.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use tenantry_domain::{app::App, names::ObjectName};

use super::{AdminError, Done, RoleSpec, SYSTEM_SCHEMA, ServerAdmin, Template, fence, owner::Owner, role};
use crate::sql;

const TASK: &str = "make the tenant's database";
const DROP: &str = "drop the tenant's database";

impl ServerAdmin {
    /// Makes a tenant's role and its database, with the app's tables at their newest version: a warm copy of
    /// the app's template where there is one, else a new one. "The template is in use" is transient.
    pub async fn create_database(
        &self,
        owner: Owner<'_>,
        spec: &RoleSpec<'_>,
        app: &App,
        label: &str,
    ) -> Result<Template, AdminError> {
        let verifier = role::verifier(spec.secret).await;
        let role = role::ensure_role(owner, spec, &verifier);
        loop {
            let template = self.ensure_template(app, label).await?;
            for copy in self.warm(&template).await? {
                if self.take_copy(owner, &role, &copy).await? {
                    return Ok(template);
                }
            }
            match self.add_warm(&template).await {
                // The backend that copied it may take a moment to leave.
                Ok(copy) => {
                    if self.take_copy_when_unused(owner, &role, &copy).await? {
                        return Ok(template);
                    }
                }
                // Outdated, and dropped since the look.
                Err(error) if error.is_missing_database() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes the tenant's role and a copy the tenant's, in one transaction; nothing where the tenant has its
    /// database already. False if the copy is somebody else's by now, or somebody is in it.
    async fn take_copy(&self, owner: Owner<'_>, role: &str, copy: &ObjectName) -> Result<bool, AdminError> {
        let (from, to, mark) = (copy.quoted(), owner.name.quoted(), sql::literal(owner.mark));
        let copy_lock = format!("database:{copy}");
        // PostgreSQL copies contents, not the rights on the database itself.
        let body = format!(
            "{role}
            {look}
            IF found_mark IS NULL THEN
                -- Of two who want one copy the second finds it gone, instead of a row that is being changed.
                PERFORM {copy_lock};
                DELETE FROM {SYSTEM_SCHEMA}.locks WHERE locks.name = {copy_lock_name};
                REVOKE ALL ON DATABASE {from} FROM PUBLIC;
                COMMENT ON DATABASE {from} IS {mark};
                -- Somebody who was about to drop the copy may have closed it.
                ALTER DATABASE {from} ALLOW_CONNECTIONS true CONNECTION LIMIT -1;
                ALTER DATABASE {from} RENAME TO {to};
            END IF;",
            look = owner.check_database(),
            copy_lock = fence::lock(&copy_lock),
            copy_lock_name = sql::literal(&copy_lock),
        );
        match self.run(TASK, fence::block(owner.fence, "found_mark text;", &body)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing_database() || error.is_in_use() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn take_copy_when_unused(
        &self,
        owner: Owner<'_>,
        role: &str,
        copy: &ObjectName,
    ) -> Result<bool, AdminError> {
        for _ in 0..20 {
            if self.take_copy(owner, role, copy).await? {
                return Ok(true);
            }
            if !self.database_exists(copy, TASK).await? {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(false)
    }

    /// Drops a tenant's database, whoever is connected. That it is gone already is fine.
    pub async fn drop_database(&self, owner: Owner<'_>) -> Result<(), AdminError> {
        let Some(fence) = owner.fence else { return self.remove_database(owner.name, DROP).await };
        let (name, quoted, gone) =
            (sql::literal(owner.name.as_str()), owner.name.quoted(), fence.gone_name());
        // Closed first, so that nobody comes back between the end of the sessions and the new name. Databases
        // that it was already taken from, by this attempt or an earlier one, are dropped below.
        let close = format!(
            "{look}
            IF found_mark IS NOT NULL THEN ALTER DATABASE {quoted} ALLOW_CONNECTIONS false; END IF;",
            look = owner.check_database()
        );
        self.run(DROP, fence::block(owner.fence, "found_mark text;", &close)).await?;
        let take = format!(
            "{look}
            IF found_mark IS NOT NULL THEN
                {end_sessions}
                ALTER DATABASE {quoted} RENAME TO {gone};
            END IF;",
            look = owner.check_database(),
            end_sessions = end_sessions(&name),
        );
        let take = fence::block(owner.fence, "found_mark text; who name; lent boolean;", &take);
        self.when_unused(DROP, &take).await?;
        let like = fence.gone_prefix().replace('_', r"\_") + "%";
        let gone = "SELECT datname::text FROM pg_database WHERE datname LIKE $1";
        for database in self.database_names(gone, &like).await? {
            self.remove_database(&database, DROP).await?;
        }
        self.forget(owner.name);
        Ok(())
    }

    /// Drops a database, whosever it is and whoever is connected. That it is gone already is fine.
    pub(super) async fn remove_database(
        &self,
        database: &ObjectName,
        task: &'static str,
    ) -> Result<(), AdminError> {
        self.forget(database);
        if !self.database_exists(database, task).await? {
            return Ok(());
        }
        let (name, quoted) = (sql::literal(database.as_str()), database.quoted());
        // `FORCE` needs the rights of all whose sessions it ends. What an interrupted `DROP DATABASE` has left (since
        // 15.4) can be dropped only; nobody is in it.
        let close = format!(
            "IF EXISTS (SELECT FROM pg_database WHERE datname = {name} AND datconnlimit <> -2) THEN
                ALTER DATABASE {quoted} ALLOW_CONNECTIONS false;
                COMMIT;
                {}
            END IF;",
            end_sessions(&name)
        );
        self.run(task, sql::block("who name; lent boolean;", &close)).await?;
        let drop = format!("DROP DATABASE IF EXISTS {quoted} WITH (FORCE)");
        self.run(task, drop).await.map(std::mem::drop)
    }

    /// Runs a statement that refuses while a session is in a database: those that were ended take a moment,
    /// and autovacuum comes by itself.
    pub(super) async fn when_unused(&self, task: &'static str, statement: &str) -> Result<(), AdminError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.run(task, statement.to_owned()).await {
                Err(error) if attempts < 20 && error.is_in_use() => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                result => return result.map(drop),
            }
        }
    }

    /// Whether there is a database of a name, whosever it is.
    pub(super) async fn database_exists(
        &self,
        database: &ObjectName,
        task: &'static str,
    ) -> Result<bool, AdminError> {
        self.is_database("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database, task).await
    }

    /// Whether it is there, and not what an interrupted `DROP DATABASE` has left.
    pub(super) async fn database_is_usable(
        &self,
        database: &ObjectName,
        task: &'static str,
    ) -> Result<bool, AdminError> {
        let usable = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datconnlimit <> -2)";
        self.is_database(usable, database, task).await
    }

    async fn is_database(
        &self,
        query: &'static str,
        database: &ObjectName,
        task: &'static str,
    ) -> Result<bool, AdminError> {
        let mut connection = self.connection(task).await?;
        let exists =
            sqlx::query_scalar(query).persistent(false).bind(database.as_str()).fetch_one(&mut *connection);
        exists.await.map_err(|e| self.failed(task, e))
    }

    pub(super) async fn database_names(
        &self,
        query: &'static str,
        param: &str,
    ) -> Result<Vec<ObjectName>, AdminError> {
        let task = "list databases";
        let mut connection = self.connection(task).await?;
        let names: Vec<String> = sqlx::query_scalar(AssertSqlSafe(query))
            .persistent(false)
            .bind(param)
            .fetch_all(&mut *connection)
            .await
            .map_err(|e| self.failed(task, e))?;
        names.into_iter().map(super::template::name).collect()
    }

    /// What was prepared in a database that is gone has to be prepared again in the next of its name.
    fn forget(&self, database: &ObjectName) {
        self.done.lock().expect(super::NO_PANIC).retain(|done| match done {
            Done::Extension(name, _) => name != database,
            Done::Server | Done::Login(..) | Done::Namable(_) => true,
        });
    }
}

/// Statements that end all sessions in a database (its name as a literal), as those whose they are. The block has
/// declared `who` and `lent`.
fn end_sessions(name: &str) -> String {
    format!(
        "FOR who IN SELECT DISTINCT usename FROM pg_stat_activity
                WHERE datname = {name} AND usename IS NOT NULL LOOP
            {lend}
            PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
                WHERE datname = {name} AND usename = who AND pid <> pg_backend_pid();
            {give_back}
        END LOOP;",
        lend = sql::lend("who"),
        give_back = sql::give_back("who"),
    )
}
