//! A schema as its catalogs describe it, object by object, to be compared with another of the same name.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row};
use tenantry_domain::names::ObjectName;

use super::super::{AdminError, ServerAdmin};
use crate::sql;

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

/// A digest of what is in a schema, after the number of the query that made it. It differs after any change of its tables, types,
/// sequences, functions and what belongs to them, but for triggers and comments, and may differ after one that changes nothing.
pub(super) async fn shape(connection: &mut PgConnection, schema: &ObjectName) -> Result<String, sqlx::Error> {
    sqlx::query_scalar(include_str!("shape.sql"))
        .persistent(false)
        .bind(schema.as_str())
        .fetch_one(connection)
        .await
}

/// A statement that has the server keep [`PREPARED_SHAPE`], by which one session asks for [`shape`] more than once.
pub(super) fn prepare_shape(schema: &ObjectName) -> String {
    // Without a parameter its plan is made once.
    let query = include_str!("shape.sql").replace("$1", &sql::literal(schema.as_str()));
    format!("PREPARE tenantry_shape AS {query}")
}

pub(super) const PREPARED_SHAPE: &str = "EXECUTE tenantry_shape";

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
        let rows = sqlx::query(include_str!("catalog.sql"))
            .persistent(false)
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
    use crate::fixture::{Bench, app, name, notes};

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

    #[tokio::test]
    async fn a_schema_s_shape_changes_with_whatever_is_changed_in_it_and_with_nothing_elsewhere() {
        let bench = Bench::new("shapes").await;
        let (tenant, other) = (name("tenant_shapes"), name("tenant_shapes_other"));
        let empty = app(&[]);
        for tenant in [&tenant, &other] {
            bench.tenant(tenant.as_str(), &empty).await;
        }
        let mut session = bench.admin.session(&bench.database, TASK).await.unwrap();
        let mut before = String::new();
        for (statement, changes) in [
            ("CREATE TABLE t (id int PRIMARY KEY, word text)", true),
            ("ALTER TABLE t ADD COLUMN more int DEFAULT 1", true),
            ("ALTER TABLE t ALTER more SET DEFAULT 2", true),
            ("ALTER TABLE t ALTER word SET NOT NULL", true),
            ("ALTER TABLE t RENAME word TO words", true),
            ("ALTER TABLE t ADD CHECK (id > 0)", true),
            ("CREATE INDEX by_words ON t (words)", true),
            ("ALTER INDEX by_words RENAME TO by_word", true),
            ("ALTER TABLE t OWNER TO pg_database_owner", true),
            ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", true),
            ("ALTER TABLE t FORCE ROW LEVEL SECURITY", true),
            ("CREATE POLICY seen ON t USING (id > 1)", true),
            ("ALTER POLICY seen ON t USING (id > 2)", true),
            ("GRANT SELECT ON t TO pg_monitor", true),
            ("ALTER TABLE t SET (fillfactor = 50)", true),
            ("CREATE RULE none AS ON DELETE TO t DO INSTEAD NOTHING", true),
            ("CREATE VIEW v AS SELECT id FROM t", true),
            ("CREATE OR REPLACE VIEW v AS SELECT id FROM t WHERE id > 1", true),
            ("ALTER VIEW v SET (security_barrier)", true),
            ("CREATE STATISTICS st ON id, words FROM t", true),
            ("DROP STATISTICS st", true),
            ("CREATE TYPE colour AS ENUM ('red')", true),
            ("ALTER TYPE colour ADD VALUE 'green'", true),
            ("ALTER TYPE colour RENAME VALUE 'red' TO 'blue'", true),
            ("CREATE TYPE pair AS (a int)", true),
            ("ALTER TYPE pair ADD ATTRIBUTE b int", true),
            ("CREATE DOMAIN positive AS int", true),
            ("ALTER DOMAIN positive ADD CHECK (VALUE > 0)", true),
            ("CREATE SEQUENCE s", true),
            ("ALTER SEQUENCE s INCREMENT 2", true),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", true),
            ("CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'", true),
            // A partition key keeps its constant's schema.
            (
                "CREATE TABLE parts (n regnamespace) PARTITION BY RANGE ((n = 'tenant_shapes'::regnamespace))",
                true,
            ),
            // What is done to rows, and by a move itself.
            ("INSERT INTO t VALUES (3, 'x')", false),
            ("SELECT nextval('s'), setval('s', 100)", false),
            ("ANALYZE t", false),
            ("ALTER TABLE t REPLICA IDENTITY FULL", false),
            (
                "CREATE TRIGGER fence BEFORE INSERT ON t EXECUTE FUNCTION suppress_redundant_updates_trigger()",
                false,
            ),
            // Elsewhere, depending on this schema.
            ("CREATE TABLE tenant_shapes_other.t (n regnamespace DEFAULT 'tenant_shapes')", false),
            (
                "CREATE TABLE tenant_shapes_other.p (n regnamespace)
                    PARTITION BY RANGE ((n = 'tenant_shapes'::regnamespace))",
                false,
            ),
            ("CREATE DOMAIN tenant_shapes_other.d AS regnamespace DEFAULT 'tenant_shapes'", false),
        ] {
            sqlx::raw_sql(AssertSqlSafe(format!("SET search_path = tenant_shapes; {statement}")))
                .execute(&mut *session)
                .await
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
            sqlx::raw_sql("RESET search_path").execute(&mut *session).await.unwrap();
            let after = shape(&mut session, &tenant).await.unwrap();
            assert_eq!(before != after, changes, "{statement}");
            before = after;
        }
        let here = bench.admin.schema_catalog(&bench.database, &tenant).await.unwrap();
        let elsewhere: Vec<_> = here.objects.keys().filter(|object| object.contains("other")).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
        assert!(here.objects.contains_key("partitioned table parts"), "{:?}", here.objects.keys());
    }
}
