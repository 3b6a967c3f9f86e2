//! Warm pools: copies of a template that nobody has yet, so that signing a tenant up takes a new
//! name instead of a copy.
//!
//! A copy's name says which template it is of, and nothing else about it is known or needed: it is
//! complete from the moment that it is there. Any worker of any registry with the same template may
//! take it. Nobody may connect to it meanwhile (a new database is open to every role of the server).

use rand::Rng;
use tenantry_domain::names::ObjectName;

use super::{
    AdminError, OWNER_ROLE, ServerAdmin,
    template::{TEMPLATE_PREFIX, Template, UNFINISHED_PREFIX, build_lock, name},
};

const TASK: &str = "keep databases ready for tenants";

impl ServerAdmin {
    /// Makes copies until a template has `size` that nobody has; answers how many were made.
    /// Two that fill one pool at once may make a few more than that.
    pub async fn fill_warm_pool(&self, template: &Template, size: usize) -> Result<usize, AdminError> {
        let there = self.warm(template).await?.len();
        for _ in there..size {
            let copy = self.add_warm(template).await?;
            // The first session in a database writes down what all later ones read at their start. Only a
            // superuser gets one, and a sign-up may have taken the copy by now; it does without.
            if let Err(error) = self.session(&copy, TASK).await {
                tracing::debug!(%error, "{copy} was not warmed up");
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
        self.run(TASK, create).await?;
        Ok(copy)
    }

    /// A template's copies that nobody has, in any order, so that two who take one seldom take the same.
    pub(super) async fn warm(&self, template: &Template) -> Result<Vec<ObjectName>, AdminError> {
        // Not one whose drop was interrupted.
        let copies = "SELECT datname::text FROM pg_database
            WHERE starts_with(datname, $1) AND datconnlimit <> -2 ORDER BY random()";
        self.database_names(copies, &prefix(template)).await
    }

    /// Drops the templates of a label that are not among `current`, finished or not, and the warm copies of
    /// templates that are gone; answers how many databases.
    pub async fn drop_outdated_templates(
        &self,
        label: &str,
        current: &[Template],
    ) -> Result<usize, AdminError> {
        // By the description, which has no index on its text; but by name first: there are as many databases
        // as tenants, and few templates.
        let marked = "SELECT datname::text FROM pg_database
            WHERE (starts_with(datname, 'tenantry_template_') OR starts_with(datname, 'tenantry_unfinished_'))
                AND shobj_description(oid, 'pg_database') = $1";
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
        let mut guard = self.guard(TASK).await?;
        let free: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))")
            .persistent(false)
            .bind(build_lock(hash))
            .fetch_one(&mut *guard)
            .await
            .map_err(|e| self.failed(TASK, e))?;
        if free {
            self.remove_database(database, TASK).await?;
        }
        Ok(free)
    }
}

const PREFIX: &str = "tenantry_warm_";

/// `tenantry_warm_<template's hash>_`.
fn prefix(template: &Template) -> String {
    format!("{PREFIX}{}_", template.hash)
}
