//! What tenants take on disk.

use sqlx::AssertSqlSafe;
use tenantry_domain::{names::ObjectName, user::USERS_TABLE};

use super::{AdminError, ServerAdmin};

const TASK: &str = "measure the tenants' storage";

impl ServerAdmin {
    /// Bytes of each of some schemas of one database: tables with their indexes and what they keep out
    /// of line. In the order of the names; 0 for a schema that is not there.
    ///
    /// Looks into every table: some hundred schemas at a time are enough.
    pub async fn schema_sizes(
        &self,
        database: &ObjectName,
        schemas: &[ObjectName],
    ) -> Result<Vec<u64>, AdminError> {
        let mut connection = self.connection_to(database, TASK).await?;
        // What a session has touched stays in its memory.
        connection.close_on_drop();
        // By way of `pg_depend`, as `pg_class` has no index on the schema.
        let sizes = "SELECT (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
                FROM pg_namespace n
                JOIN pg_depend d ON d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid
                    AND d.classid = 'pg_class'::regclass
                JOIN pg_class c ON c.oid = d.objid AND c.relnamespace = n.oid AND c.relkind IN ('r', 'm', 'S')
                WHERE n.nspname = schema.name)
            FROM unnest($1::text[]) WITH ORDINALITY AS schema (name, place) ORDER BY place";
        self.sizes(&mut connection, sizes, schemas).await
    }

    /// Bytes of each of some databases, what PostgreSQL itself has in each (some 8 MB) included. In the
    /// order of the names; 0 for a database that is not there.
    pub async fn database_sizes(&self, databases: &[ObjectName]) -> Result<Vec<u64>, AdminError> {
        let mut connection = self.connection(TASK).await?;
        let sizes =
            "SELECT coalesce((SELECT pg_database_size(oid) FROM pg_database WHERE datname = wanted.name), 0)
            FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, place) ORDER BY place";
        self.sizes(&mut connection, sizes, databases).await
    }

    /// How many users each of some schemas of one database has; none where it has no table of them. In the order of the names.
    pub async fn user_counts(
        &self,
        database: &ObjectName,
        schemas: &[ObjectName],
    ) -> Result<Vec<Option<u64>>, AdminError> {
        let mut connection = self.connection_to(database, TASK).await?;
        connection.close_on_drop();
        let tables: Vec<String> =
            schemas.iter().map(|schema| format!("{}.{USERS_TABLE}", schema.quoted())).collect();
        let there = "SELECT to_regclass(name) IS NOT NULL FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, place)
            ORDER BY place";
        let there: Vec<bool> = sqlx::query_scalar(there)
            .persistent(false)
            .bind(&tables)
            .fetch_all(&mut *connection)
            .await
            .map_err(|e| self.failed(TASK, e))?;
        let counts: Vec<String> = tables
            .iter()
            .zip(&there)
            .map(
                |(table, there)| {
                    if *there { format!("(SELECT count(*) FROM {table})") } else { "NULL::bigint".into() }
                },
            )
            .collect();
        if there.is_empty() {
            return Ok(Vec::new());
        }
        let counted: Vec<Option<i64>> =
            sqlx::query_scalar(AssertSqlSafe(format!("SELECT ARRAY[{}]", counts.join(", "))))
                .persistent(false)
                .fetch_one(&mut *connection)
                .await
                .map_err(|e| self.failed(TASK, e))?;
        Ok(counted.into_iter().map(|count| count.map(i64::cast_unsigned)).collect())
    }

    async fn sizes(
        &self,
        connection: &mut sqlx::PgConnection,
        query: &'static str,
        names: &[ObjectName],
    ) -> Result<Vec<u64>, AdminError> {
        let names: Vec<&str> = names.iter().map(ObjectName::as_str).collect();
        let sizes: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(query))
            .persistent(false)
            .bind(names)
            .fetch_all(connection)
            .await
            .map_err(|e| self.failed(TASK, e))?;
        Ok(sizes.into_iter().map(i64::cast_unsigned).collect())
    }
}
