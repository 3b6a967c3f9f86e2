//! Tenants of an app that has something of every kind.

use futures::{StreamExt, stream};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};
use tenantry_tests::{TestApp, server};

pub(super) use crate::rollouts::fleet::size;

/// The app.
pub(super) const APP: &str = "drifting";

const UP: &str = "CREATE TABLE items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL,
        price int NOT NULL DEFAULT 7 CHECK (price > 0), tenant_id int, doubled int GENERATED ALWAYS AS (2 * price) STORED);
    CREATE INDEX items_price ON items (price);
    CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE SEQUENCE tickets;
    CREATE TABLE notes (id serial PRIMARY KEY, item bigint NOT NULL REFERENCES items, mood mood NOT NULL DEFAULT 'good',
        place text DEFAULT current_schema());
    CREATE INDEX notes_mood ON notes (mood) WHERE mood = 'bad';
    CREATE VIEW dear AS SELECT id, name FROM items WHERE price > 1000;
    CREATE FUNCTION total() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT sum(price) FROM items';
    CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER items_touched BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touched();
    CREATE STATISTICS items_statistics ON name, price FROM items;
    INSERT INTO items (name) VALUES ('first');";

pub(super) struct Fleet {
    pub(super) app: TestApp,
    /// The tenants' slugs.
    pub(super) tenants: Vec<String>,
}

impl Fleet {
    /// So many tenants of tier `schema`.
    pub(super) async fn of(app: TestApp, count: usize) -> Self {
        app.api.put(&format!("/api/v1/apps/{APP}"), json!({})).await.expect(200);
        let mut fleet = Self { app, tenants: Vec::new() };
        fleet.push(1, UP).await;
        fleet.sign_up("t", "basic", count).await;
        fleet
    }

    pub(super) async fn push(&self, version: i64, up: &str) {
        let body = json!({ "version": version, "name": format!("version_{version}"), "up": up });
        self.app.api.post(&format!("/api/v1/apps/{APP}/versions"), body).await.expect(201);
    }

    /// Carries the newest version to all.
    pub(super) async fn roll_out(&self) {
        let done =
            self.app.api.post_and_wait("/api/v1/rollouts", json!({ "app": APP })).await.expect(200).json();
        assert_eq!(done["rollout"]["state"], "succeeded", "{done}");
    }

    /// Signs up so many more.
    pub(super) async fn sign_up(&mut self, name: &str, plan: &str, count: usize) {
        let app = &self.app;
        let slugs: Vec<String> = (0..count).map(|number| app.slug(&format!("{name}{number}"))).collect();
        let sign_up = async |slug: &String| {
            let body = json!({ "name": slug, "slug": slug, "plan": plan, "app": APP });
            app.api.post_and_wait("/api/v1/tenants", body).await.expect(201);
        };
        stream::iter(&slugs).for_each_concurrent(8, sign_up).await;
        self.tenants.extend(slugs);
    }

    async fn session(&self, slug: &str) -> (PgConnection, String) {
        let at = self.app.connection(slug).await;
        let session = server::admin(self.app.server(), at["database"].as_str().unwrap()).await;
        (session, at["schema"].as_str().unwrap().to_owned())
    }

    /// Runs SQL as the owner of a tenant's schema, which is first on the search path.
    pub(super) async fn run(&self, slug: &str, sql: &str) {
        self.try_run(slug, sql).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// As [`Self::run`].
    pub(super) async fn try_run(&self, slug: &str, sql: &str) -> Result<(), sqlx::Error> {
        let (mut session, schema) = self.session(slug).await;
        let sql = format!("SET ROLE tenantry_owner; SET search_path = \"{schema}\", extensions; {sql}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut session).await.map(drop)
    }

    /// Runs a file that is written for psql.
    pub(super) async fn run_file(&self, text: &str) {
        let mut parts = text.split("\\connect \"");
        parts.next();
        for part in parts {
            let (database, sql) = part.split_once("\"\n").unwrap();
            let mut session = server::admin(self.app.server(), database).await;
            sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
                .execute(&mut session)
                .await
                .unwrap_or_else(|error| panic!("{error}: {sql}"));
        }
    }

    /// What a query answers in a tenant's database.
    pub(super) async fn ask(&self, slug: &str, query: &str) -> i64 {
        let (mut session, _) = self.session(slug).await;
        sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&mut session).await.unwrap()
    }

    /// What a tenant's tables are like.
    pub(super) async fn catalog(&self, slug: &str) -> String {
        let (mut session, schema) = self.session(slug).await;
        let query = format!(
            "SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
                 SELECT relname || ' ' || relkind::text || ' ' || coalesce(relacl::text, '') AS line
                 FROM pg_class WHERE relnamespace = '\"{schema}\"'::regnamespace
                 UNION ALL SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' '
                     || coalesce(column_default, '') FROM information_schema.columns WHERE table_schema = '{schema}'
                 UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = '{schema}'
                 UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
                     WHERE connamespace = '\"{schema}\"'::regnamespace
                 UNION ALL SELECT proname || ' ' || prosrc FROM pg_proc WHERE pronamespace = '\"{schema}\"'::regnamespace
             ) AS lines"
        );
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut session).await.unwrap()
    }
}
