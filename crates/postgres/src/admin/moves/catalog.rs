//! A schema as its catalogs describe it, object by object, to be compared with another of the same name.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row};
use tenantry_domain::names::ObjectName;

use super::super::{AdminError, ServerAdmin};

pub(super) const TASK: &str = "read the tenant's catalog";

/// What is in a schema: the definition of each object by its kind and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaCatalog {
    /// Major version of the server, which decides how definitions are printed.
    major: i32,
    objects: BTreeMap<String, String>,
}

impl SchemaCatalog {
    /// How another schema differs, in sentences; `here` and `there` name the two. Between major versions only the
    /// objects themselves are compared.
    pub fn differences(&self, other: &Self, here: &str, there: &str) -> Vec<String> {
        let missing = |own: &Self, other: &Self, place: &str| -> Vec<String> {
            own.objects
                .keys()
                .filter(|name| !other.objects.contains_key(*name))
                .map(|name| format!("{name} is only {place}"))
                .collect()
        };
        let mut found = missing(self, other, here);
        found.extend(missing(other, self, there));
        if self.major == other.major {
            found.extend(self.objects.iter().filter_map(|(name, definition)| {
                let others = other.objects.get(name)?;
                (definition != others)
                    .then(|| format!("{name} is {definition:?} {here} and {others:?} {there}"))
            }));
        }
        found
    }
}

/// A digest of what is in a schema. It differs after any change of its tables, functions and what belongs to them, but for
/// triggers, and may differ after one that changes nothing.
pub(super) async fn shape(connection: &mut PgConnection, schema: &ObjectName) -> Result<String, sqlx::Error> {
    sqlx::query_scalar(include_str!("shape.sql")).bind(schema.as_str()).fetch_one(connection).await
}

impl ServerAdmin {
    /// A digest of what is in a tenant's schema, which tells whether its definitions have changed since.
    pub async fn schema_shape(
        &self,
        database: &ObjectName,
        schema: &ObjectName,
    ) -> Result<String, AdminError> {
        let mut connection = self.connection_to(database, TASK).await?;
        shape(&mut connection, schema).await.map_err(|e| self.failed(TASK, e))
    }

    /// Describes all that is in a tenant's schema, but for Tenantry's own triggers.
    pub async fn schema_catalog(
        &self,
        database: &ObjectName,
        schema: &ObjectName,
    ) -> Result<SchemaCatalog, AdminError> {
        let mut connection = self.connection_for_tables(database, TASK).await?;
        // Prepared: planning it takes as long as running it.
        let rows = sqlx::query(include_str!("catalog.sql"))
            .bind(schema.as_str())
            .fetch_all(&mut *connection)
            .await
            .map_err(|e| self.failed(TASK, e))?;
        let major = rows.first().map_or(0, |row| row.get(2));
        let objects = rows.into_iter().map(|row| (row.get(0), row.get(1))).collect();
        Ok(SchemaCatalog { major, objects })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::{
        fixture::{Bench, notes},
        sql,
    };

    /// With 1,000 tenants in the database a look at one took 19 ms, in which its writes waited.
    #[tokio::test]
    async fn a_look_at_a_schema_costs_next_to_the_same_whatever_its_database_holds_besides() {
        let bench = Bench::new("besides").await;
        let tenant = bench.tenant("tenant_besides", &notes()).await;
        let mut session = bench.admin.session(&bench.database, TASK).await.unwrap();
        let drift = include_str!("../drift/catalog.sql");
        let queries =
            [include_str!("shape.sql"), include_str!("catalog.sql"), include_str!("survey.sql"), drift];
        let mut pages = Vec::new();
        for others in 0..2 {
            if others > 0 {
                let others = "DO $$ BEGIN FOR n IN 1..1000 LOOP EXECUTE format('CREATE SCHEMA other%1$s;
                    CREATE TABLE other%1$s.things (id int PRIMARY KEY, name text UNIQUE DEFAULT 1 CHECK (name <> %1$L));
                    CREATE FUNCTION other%1$s.f() RETURNS int LANGUAGE sql AS %2$L', n, 'SELECT 1'); END LOOP; END $$";
                sqlx::raw_sql(others).execute(&mut *session).await.unwrap();
            }
            for query in queries {
                let query = query.replace("$1", &sql::literal(tenant.as_str())).replace("$2", "'tenantry'");
                // Those that the first run puts into caches are not counted.
                let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT json) {query}");
                for counts in [false, true] {
                    let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain.clone()))
                        .fetch_one(&mut *session)
                        .await
                        .unwrap();
                    if counts {
                        pages.push(plan[0]["Plan"]["Shared Hit Blocks"].as_u64().unwrap());
                    }
                }
            }
        }
        let (alone, beside) = pages.split_at(queries.len());
        for (alone, beside) in alone.iter().zip(beside) {
            // The indexes have a level more.
            assert!(beside < &(alone * 3), "pages read: {alone:?} alone, {beside:?} beside 1,000 others");
        }
    }
}
