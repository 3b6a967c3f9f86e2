//! What there is on a server, to find what should not be.

use sqlx::Row;
use tenantry_domain::names::ObjectName;

use super::{AdminError, ServerAdmin};

/// An object and the mark on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkedObject {
    /// Its name.
    pub name: String,
    /// Whose it is, as in `owner_mark`.
    pub owner_mark: Option<String>,
}

/// Objects by kind, each list by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantObjects {
    /// Roles of the server.
    pub roles: Vec<MarkedObject>,
    /// Schemas of the database.
    pub schemas: Vec<MarkedObject>,
    /// Databases of the server.
    pub databases: Vec<MarkedObject>,
}

impl TenantObjects {
    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.schemas.is_empty() && self.databases.is_empty()
    }
}

impl ServerAdmin {
    /// Roles and databases of the server and schemas of one database whose names match a `LIKE`
    /// pattern, e.g. `tenant\_%`. A database that does not exist has no schemas.
    pub async fn tenant_objects(
        &self,
        database: &ObjectName,
        like: &str,
    ) -> Result<TenantObjects, AdminError> {
        let roles = "SELECT rolname::text, shobj_description(oid, 'pg_authid') FROM pg_roles \
                     WHERE rolname LIKE $1 ORDER BY 1";
        let databases = "SELECT datname::text, shobj_description(oid, 'pg_database') FROM pg_database \
                         WHERE datname LIKE $1 ORDER BY 1";
        let schemas = "SELECT nspname::text, obj_description(oid, 'pg_namespace') FROM pg_namespace \
                       WHERE nspname LIKE $1 ORDER BY 1";
        let shared = self.shared_database().clone();
        Ok(TenantObjects {
            roles: self.objects(&shared, roles, like).await?,
            databases: self.objects(&shared, databases, like).await?,
            schemas: match self.objects(database, schemas, like).await {
                Err(error) if error.is_missing_database() => Vec::new(),
                result => result?,
            },
        })
    }

    async fn objects(
        &self,
        database: &ObjectName,
        query: &'static str,
        like: &str,
    ) -> Result<Vec<MarkedObject>, AdminError> {
        let task = "list the tenants' objects";
        let mut connection = self.connection_to(database, task).await?;
        let rows = sqlx::query(query)
            .persistent(false)
            .bind(like)
            .fetch_all(&mut *connection)
            .await
            .map_err(|e| self.failed(task, e))?;
        rows.into_iter()
            .map(|row| Ok(MarkedObject { name: row.try_get(0)?, owner_mark: row.try_get(1)? }))
            .collect::<Result<_, sqlx::Error>>()
            .map_err(|e| self.failed(task, e))
    }
}
