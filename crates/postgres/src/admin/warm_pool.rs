//! Warm pools: copies of a template that nobody has yet, so that signing a tenant up takes a new
//! name instead of a copy.
//!
//! A copy's name says which template it is of, and nothing else about it is known or needed: it is
//! complete from the moment that it is there. Any worker of any registry with the same template may
//! take it.

use rand::Rng;
use sqlx::AssertSqlSafe;
use tenantry_domain::names::ObjectName;

use super::{
    AdminError, MAINTENANCE, OWNER_ROLE, ServerAdmin,
    database::TASK,
    template::{Template, name},
};
use crate::sql;

impl ServerAdmin {
    /// Makes copies until a template has `size` that nobody has; answers how many were made.
    /// Two that fill one pool at once may make a few more than that.
    pub async fn fill_warm_pool(&self, template: &Template, size: usize) -> Result<usize, AdminError> {
        let there = self.warm(template).await?.len();
        for _ in there..size {
            let copy = self.add_warm(template).await?;
            // The first session in a database writes down what all later ones read at their start.
            self.run(copy.as_str(), TASK, "SELECT 1".into()).await?;
            self.leave(&copy).await;
        }
        Ok(size.saturating_sub(there))
    }

    /// Makes one copy.
    pub(super) async fn add_warm(&self, template: &Template) -> Result<ObjectName, AdminError> {
        let copy = name(format!("{}{:08x}", prefix(template), rand::rng().next_u32()))?;
        let create = format!(
            "CREATE DATABASE {} OWNER {OWNER_ROLE} TEMPLATE {} STRATEGY WAL_LOG",
            copy.quoted(),
            template.database.quoted()
        );
        self.run(MAINTENANCE, TASK, create).await?;
        Ok(copy)
    }

    /// Makes a warm copy the tenant's, if there is one.
    pub(super) async fn take_warm(
        &self,
        template: &Template,
        database: &ObjectName,
        owner_mark: &str,
    ) -> Result<bool, AdminError> {
        for copy in self.warm(template).await? {
            match self.hand_over(&copy, database, owner_mark).await {
                Ok(false) => {}
                // Somebody is at it; there may be others.
                Err(error) if error.is_in_use() => {}
                result => return result,
            }
        }
        Ok(false)
    }

    /// Gives a copy its tenant's mark and name; false if somebody else was faster.
    pub(super) async fn hand_over(
        &self,
        copy: &ObjectName,
        database: &ObjectName,
        owner_mark: &str,
    ) -> Result<bool, AdminError> {
        let (from, to, mark) = (copy.quoted(), database.quoted(), sql::literal(owner_mark));
        // PostgreSQL copies contents, not the rights on the database itself.
        let hand_over = format!(
            "REVOKE ALL ON DATABASE {from} FROM PUBLIC; COMMENT ON DATABASE {from} IS {mark}; \
             ALTER DATABASE {from} RENAME TO {to}"
        );
        match self.when_unused(&hand_over).await {
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

    /// Drops the templates of a label that are not among `current`, and the warm copies of templates
    /// that are gone; answers how many databases.
    pub async fn drop_outdated_templates(
        &self,
        label: &str,
        current: &[Template],
    ) -> Result<usize, AdminError> {
        let templates = "SELECT datname::text FROM pg_database \
                         WHERE starts_with(datname, 'tenantry_template_') AND shobj_description(oid, 'pg_database') = $1";
        let mut outdated = self.database_names(templates, &Template::mark(label)).await?;
        outdated.retain(|found| current.iter().all(|template| template.database != *found));
        let copies = "SELECT copy.datname::text FROM pg_database copy WHERE starts_with(copy.datname, $1)
            AND NOT EXISTS (SELECT FROM pg_database template WHERE starts_with(template.datname, 'tenantry_template_')
                AND split_part(copy.datname, '_', 3) = right(template.datname, 10))";
        let mut dropped = 0;
        for database in outdated {
            self.drop_unused(&database).await?;
            dropped += 1;
        }
        for database in self.database_names(copies, PREFIX).await? {
            self.drop_unused(&database).await?;
            dropped += 1;
        }
        Ok(dropped)
    }

    async fn drop_unused(&self, database: &ObjectName) -> Result<(), AdminError> {
        self.leave(database).await;
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", database.quoted());
        self.run(MAINTENANCE, "drop an outdated template", drop).await.map(std::mem::drop)
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
