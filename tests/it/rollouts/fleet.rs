//! Some tenants of an app of the test's own, and what is asked of a rollout.

use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use tenantry_tests::{TestApp, server, within::within};

/// The app, whose first version makes a table with a row.
pub(super) const APP: &str = "fleet";

/// A version to push.
pub(super) fn version(number: i64, up: &str, down: Option<&str>) -> Value {
    json!({ "version": number, "name": format!("version_{number}"), "up": up, "down": down })
}

/// How many tenants a test has: `few`, or as many as `TENANTRY_TEST_FLEET` says.
#[expect(clippy::disallowed_methods, reason = "a test's own size")]
pub(crate) fn size(few: usize) -> usize {
    std::env::var("TENANTRY_TEST_FLEET").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

pub(super) struct Fleet {
    pub(super) app: TestApp,
    /// Of which app they are.
    pub(super) name: &'static str,
    /// The tenants' slugs.
    pub(super) tenants: Vec<String>,
}

impl Fleet {
    /// An app without a version.
    pub(super) async fn empty(app: TestApp) -> Self {
        app.api.put(&format!("/api/v1/apps/{APP}"), json!({})).await.expect(200);
        Self { app, name: APP, tenants: Vec::new() }
    }

    /// So many tenants of tier `schema`.
    pub(super) async fn of(app: TestApp, count: usize) -> Self {
        let mut fleet = Self::empty(app).await;
        let up =
            "CREATE TABLE items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
                  INSERT INTO items (name) VALUES ('first');";
        fleet.push(version(1, up, Some("DROP TABLE items"))).await;
        fleet.sign_up("t", "basic", count).await;
        fleet
    }

    /// Signs up so many more.
    pub(super) async fn sign_up(&mut self, name: &str, plan: &str, count: usize) {
        let (app, of) = (&self.app, self.name);
        let slugs: Vec<String> = (0..count).map(|number| app.slug(&format!("{name}{number}"))).collect();
        let sign_up = async |slug: &String| {
            let body = json!({ "name": slug, "slug": slug, "plan": plan, "app": of });
            app.api.post_and_wait("/api/v1/tenants", body).await.expect(201);
        };
        stream::iter(&slugs).for_each_concurrent(8, sign_up).await;
        self.tenants.extend(slugs);
    }

    pub(super) async fn push(&self, version: Value) {
        self.app.api.post(&format!("/api/v1/apps/{}/versions", self.name), version).await.expect(201);
    }

    /// Starts a rollout; its id.
    pub(super) async fn start(&self, mut body: Value) -> String {
        body["app"] = json!(self.name);
        let begun = self.app.api.post("/api/v1/rollouts", body).await.expect(202).json();
        begun["rollout"]["id"].as_str().unwrap().to_owned()
    }

    /// Carries the newest version to all.
    pub(super) async fn roll_out(&self, body: Value) -> Value {
        let id = self.start(body).await;
        self.is(&id, "succeeded").await
    }

    pub(super) async fn rollout(&self, id: &str) -> Value {
        self.app.api.get(&format!("/api/v1/rollouts/{id}")).await.expect(200).json()
    }

    /// Waits until a rollout is in a state; the rollout.
    pub(super) async fn is(&self, id: &str, state: &str) -> Value {
        let so = async || {
            let rollout = self.rollout(id).await;
            let (now, wanted) = (rollout["state"].as_str().unwrap().to_owned(), state.to_owned());
            assert!(now == wanted || now == "running" || now == "paused", "it is {now}: {rollout}");
            now == wanted
        };
        within(Duration::from_mins(2), &format!("the rollout is {state}"), so).await;
        self.rollout(id).await
    }

    pub(super) async fn control(&self, id: &str, what: &str) -> Value {
        self.app.api.post(&format!("/api/v1/rollouts/{id}/{what}"), json!({})).await.expect(200).json()
    }

    /// The tenants of a rollout in a state, by slug.
    pub(super) async fn tenants_in(&self, id: &str, state: &str) -> Vec<Value> {
        let path = format!("/api/v1/rollouts/{id}/tenants?state={state}&limit=200");
        let mut tenants =
            self.app.api.get(&path).await.expect(200).json()["items"].as_array().unwrap().clone();
        tenants.sort_by_key(|tenant| tenant["slug"].as_str().unwrap().to_owned());
        tenants
    }

    /// A session of the server's admin in the database that a tenant's tables are in, and the tenant's schema.
    pub(super) async fn session(&self, slug: &str) -> (PgConnection, String) {
        let at = self.app.connection(slug).await;
        let session = server::admin(self.app.server(), at["database"].as_str().unwrap()).await;
        (session, at["schema"].as_str().unwrap().to_owned())
    }

    /// What a query on a tenant's schema answers; `{schema}` stands for its name.
    pub(super) async fn ask(&self, slug: &str, query: &str) -> i64 {
        let (mut session, schema) = self.session(slug).await;
        let query = query.replace("{schema}", &schema);
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut session).await.unwrap()
    }

    /// What a tenant's tables are like: columns, indexes, constraints, rights.
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
                     WHERE connamespace = '\"{schema}\"'::regnamespace) AS lines"
        );
        let found: String = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut session).await.unwrap();
        found.replace(&schema, "tenant")
    }

    /// The versions that a tenant's own tables say that it has.
    pub(super) async fn history(&self, slug: &str) -> Vec<i64> {
        let (mut session, schema) = self.session(slug).await;
        let query = format!("SELECT version FROM \"{schema}\".tenantry_migrations ORDER BY version");
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut session).await.unwrap()
    }
}
