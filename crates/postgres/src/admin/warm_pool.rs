//! Warm pools: copies of a template that nobody has yet, so that signing a tenant up takes a new
//! name instead of a copy.
//!
//! A copy's name says which template it is of, and nothing else about it is known or needed: it is
//! complete from the moment that it is there. Any worker of any registry with the same template may
//! take it. Nobody may connect to it meanwhile (a new database is open to every role of the server).

use rand::Rng;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantry_domain::names::ObjectName;

use super::{
    AdminError, MAINTENANCE, OWNER_ROLE, ServerAdmin, database,
    template::{TEMPLATE_PREFIX, Template, UNFINISHED_PREFIX, build_lock, name},
};
use crate::sql;

const TASK: &str = "keep databases ready for tenants";

impl ServerAdmin {
    /// Makes copies until a template has `size` that nobody has; answers how many were made.
    /// Two that fill one pool at once may make a few more than that.
    pub async fn fill_warm_pool(&self, template: &Template, size: usize) -> Result<usize, AdminError> {
        let there = self.warm(template).await?.len();
        for _ in there..size {
            let copy = self.add_warm(template).await?;
            // The first session in a database writes down what all later ones read at their start. Only a
            // superuser gets one, and a sign-up may have taken the copy by now; it does without. Not of a
            // pool, which would ask again and again.
            match PgConnection::connect_with(&self.connect.clone().database(copy.as_str())).await {
                Ok(session) => drop(session.close().await),
                Err(error) => tracing::debug!(%error, "{copy} was not warmed up"),
            }
        }
        Ok(size.saturating_sub(there))
    }

    /// Makes one copy.
    pub(super) async fn add_warm(&self, template: &Template) -> Result<ObjectName, AdminError> {
        let copy = name(format!("{}{:08x}", prefix(template), rand::rng().next_u32()))?;
        let create = format!(
            "CREATE DATABASE {} OWNER {OWNER_ROLE} TEMPLATE {} STRATEGY WAL_LOG CONNECTION LIMIT 0",
            copy.quoted(),
            template.database.quoted()
        );
        self.run(MAINTENANCE, TASK, create).await?;
        Ok(copy)
    }

    /// Makes a warm copy the tenant's, if there is one that nobody is at.
    pub(super) async fn take_warm(
        &self,
        template: &Template,
        database: &ObjectName,
        owner_mark: &str,
    ) -> Result<bool, AdminError> {
        for copy in self.warm(template).await? {
            match self.run(MAINTENANCE, TASK, hand_over(&copy, database, owner_mark)).await {
                Ok(_) => return Ok(true),
                Err(error) if error.is_missing_database() || error.is_in_use() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Makes a copy the tenant's that was made just now; false if somebody else was faster.
    pub(super) async fn take_copy(
        &self,
        copy: &ObjectName,
        database: &ObjectName,
        owner_mark: &str,
    ) -> Result<bool, AdminError> {
        match self.when_unused(&hand_over(copy, database, owner_mark)).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_missing_database() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A template's copies that nobody has, in any order, so that two who take one seldom take the same.
    async fn warm(&self, template: &Template) -> Result<Vec<ObjectName>, AdminError> {
        let copies = "SELECT datname::text FROM pg_database WHERE starts_with(datname, $1) ORDER BY random()";
        self.database_names(copies, &prefix(template)).await
    }

    /// Drops the templates of a label that are not among `current`, finished or not, and the warm copies of
    /// templates that are gone; answers how many databases.
    pub async fn drop_outdated_templates(
        &self,
        label: &str,
        current: &[Template],
    ) -> Result<usize, AdminError> {
        let marked = "SELECT datname::text FROM pg_database WHERE shobj_description(oid, 'pg_database') = $1";
        let mut kept = Vec::with_capacity(2 * current.len());
        for template in current {
            kept.extend([template.database.clone(), template.unfinished()?]);
        }
        let mut outdated = self.database_names(marked, &Template::mark(label)).await?;
        outdated.retain(|database| !kept.contains(database));
        let mut dropped = 0;
        for database in &outdated {
            let gone = match database.as_str().strip_prefix(UNFINISHED_PREFIX) {
                Some(hash) => self.drop_unfinished(database, hash).await?,
                None => self.remove_database(database, TASK).await.map(|()| true)?,
            };
            dropped += usize::from(gone);
        }
        let named = "SELECT datname::text FROM pg_database WHERE starts_with(datname, $1)";
        let mut copies = self.database_names(named, PREFIX).await?;
        // Read after the copies: one that is younger than this has a template that is.
        let templates = self.database_names(named, TEMPLATE_PREFIX).await?;
        copies.retain(|copy| {
            let hash = copy.as_str()[PREFIX.len()..].split('_').next();
            templates.iter().all(|template| template.as_str().rsplit('_').next() != hash)
        });
        for copy in &copies {
            self.remove_database(copy, TASK).await?;
        }
        Ok(dropped + copies.len())
    }

    /// Drops a template that nobody is building; false if somebody is.
    async fn drop_unfinished(&self, database: &ObjectName, hash: &str) -> Result<bool, AdminError> {
        let mut connection = self.connection(MAINTENANCE, TASK).await?;
        // The lock lives as long as its session.
        connection.close_on_drop();
        let free: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
            .persistent(false)
            .bind(build_lock(hash))
            .fetch_one(&mut *connection)
            .await
            .map_err(|e| self.failed(TASK, e))?;
        if free {
            self.remove_database(database, TASK).await?;
        }
        Ok(free)
    }

    async fn database_names(&self, query: &'static str, param: &str) -> Result<Vec<ObjectName>, AdminError> {
        let mut connection = self.connection(MAINTENANCE, TASK).await?;
        let names: Vec<String> = sqlx::query_scalar(AssertSqlSafe(query))
            .persistent(false)
            .bind(param)
            .fetch_all(&mut *connection)
            .await
            .map_err(|e| self.failed(TASK, e))?;
        names.into_iter().map(name).collect()
    }
}

const PREFIX: &str = "tenantry_warm_";

/// `tenantry_warm_<template's hash>_`.
fn prefix(template: &Template) -> String {
    format!("{PREFIX}{}_", template.hash)
}

/// Gives a copy its tenant's mark and name, in one transaction.
fn hand_over(copy: &ObjectName, database: &ObjectName, owner_mark: &str) -> String {
    let (from, to, mark) = (copy.quoted(), database.quoted(), sql::literal(owner_mark));
    // PostgreSQL copies contents, not the rights on the database itself.
    format!(
        "SELECT {copy_lock}; SELECT {lock}; REVOKE ALL ON DATABASE {from} FROM PUBLIC; COMMENT ON DATABASE {from} IS {mark}; \
         ALTER DATABASE {from} CONNECTION LIMIT -1; ALTER DATABASE {from} RENAME TO {to}",
        // Of two who want one copy the second finds it gone, instead of a row that is being changed.
        copy_lock = database::lock(copy),
        lock = database::lock(database)
    )
}
