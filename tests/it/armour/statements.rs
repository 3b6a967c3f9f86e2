//! Statements that do not stop, whose answers are lost, or that say too much; and what one tenant's do to another's.

use std::time::{Duration, Instant};

use serde_json::json;
use tenantry_postgres::embedded::Durability;
use tenantry_tests::{
    Signup, TestApp,
    app::{TestAppBuilder, random_suffix},
    proxy::Proxy,
    server,
    within::within,
};

const APP: &str = r#"
    CREATE TABLE things (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, "größe" int);
    CREATE FUNCTION stubborn() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        LOOP
            BEGIN
                PERFORM pg_sleep(1);
            EXCEPTION WHEN query_canceled THEN
                NULL;
            END;
        END LOOP;
    END $$;
    CREATE FUNCTION shout(bytes int) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION USING MESSAGE = repeat('x', bytes), DETAIL = repeat('y', bytes), HINT = repeat('z', bytes);
    END $$;
    CREATE FUNCTION keep(name text, value text) RETURNS text LANGUAGE sql AS $$ SELECT set_config(name, value, false) $$;
"#;

async fn start(build: TestAppBuilder, connection: &str) -> TestApp {
    let app = build.with_apps(&[]).start().await;
    change_app(&app, connection).await;
    let version = json!({ "version": 1, "name": "hostile", "up": APP });
    app.api.post("/api/v1/apps/hostile/versions", version).await.expect(201);
    app
}

/// Data planes forget what they know of an app's tables when it changes.
async fn change_app(app: &TestApp, connection: &str) {
    let manifest = json!({ "connection": connection, "description": random_suffix() });
    app.api.put("/api/v1/apps/hostile", json!({ "manifest": manifest })).await.expect(200);
}

async fn sign_up(app: &TestApp, slug: &str) -> Signup {
    app.sign_up(slug, "basic", "hostile").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_catches_its_cancellation_is_ended_and_keeps_its_place_until_then() {
    let build = TestApp::build().without_daily_quotas().data_plane(|data| {
        data.pool.connections_per_server = 4;
        data.statement_timeout = Duration::from_secs(1);
    });
    let app = start(build, "shared").await;
    let (hostile, other) = (sign_up(&app, "hostile").await, sign_up(&app, "other").await);
    let running = async || {
        let query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%stubborn%'
            AND datname = $1 AND pid <> pg_backend_pid()";
        let mut admin = server::admin(app.server(), "postgres").await;
        let count: i64 =
            sqlx::query_scalar(query).bind(app.shared_database()).fetch_one(&mut admin).await.unwrap();
        count
    };
    for _ in 0..3 {
        let call = || hostile.data.post("/api/rpc/stubborn", json!({}));
        let (one, two, three) = tokio::join!(call(), call(), call());
        for answer in [one, two, three] {
            assert!(matches!(answer.status.as_u16(), 503 | 504), "{}", answer.text);
        }
        assert!(running().await <= 4, "what goes on has its place");
    }
    other.data.get("/api/things").await.expect(200);
    within(Duration::from_secs(20), "nothing of it goes on", async || running().await == 0).await;
    hostile.data.get("/api/things").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_function_says_is_cut() {
    let app = start(TestApp::build().without_daily_quotas(), "shared").await;
    let tenant = sign_up(&app, "acme").await;
    let refused = tenant.data.post("/api/rpc/shout", json!({ "bytes": 5_000_000 })).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.len() < 100_000, "{} bytes", refused.text.len());
    assert!(refused.json()["message"].as_str().unwrap().starts_with("xxx"), "{}", refused.text);
}

/// A tenant whose next request is the first on a connection that another one had, through a proxy.
async fn second_on_a_connection() -> (TestApp, Proxy, Signup) {
    let proxy = Proxy::before(server::shared().await).await;
    let build =
        TestApp::build().without_daily_quotas().with_tenant_server_proxy(proxy.address).data_plane(|data| {
            data.pool.connections_per_server = 1;
            data.statement_timeout = Duration::from_secs(1);
        });
    let app = start(build, "shared").await;
    let (first, second) = (sign_up(&app, "first").await, sign_up(&app, "second").await);
    second.data.get("/api/things").await.expect(200);
    first.data.get("/api/things").await.expect(200);
    (app, proxy, second)
}

async fn things(tenant: &Signup) -> serde_json::Value {
    tenant.data.get("/api/things?select=count()").await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_is_lost_is_not_made_again() {
    let (_app, proxy, tenant) = second_on_a_connection().await;
    proxy.lose_answers();
    let lost = tenant.data.post("/api/things", json!({ "name": "once" })).await;
    let lost = lost.expect_problem(503, "server_unavailable");
    assert!(lost.text.contains("may or may not have been made"), "{}", lost.text);
    // It may still be at it.
    let made = async || things(&tenant).await == json!([{ "count": 1 }]);
    within(Duration::from_secs(10), "it is made once", made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_a_silent_server_does_not_answer_may_have_been_made() {
    let (_app, proxy, tenant) = second_on_a_connection().await;
    proxy.silence();
    let lost = tenant.data.post("/api/things", json!({ "name": "perhaps" })).await;
    let lost = lost.expect_problem(504, "statement_timeout");
    assert!(lost.text.contains("may or may not have been made"), "{}", lost.text);
    // Nobody says that the only connection has ended: the server is asked.
    let served = async || tenant.data.get("/api/things").await.status == 200;
    within(Duration::from_secs(30), "the tenant is served on another connection", served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_keeps_no_tenant_of_the_app_on_another_from_its_tables() {
    let other = server::start(Durability::Volatile).await.unwrap();
    let proxy = Proxy::before(server::shared().await).await;
    let app =
        start(TestApp::build().without_daily_quotas().with_tenant_server_proxy(proxy.address), "shared")
            .await;
    let hanging = sign_up(&app, "hanging").await;
    app.add_server("other", &other).await;
    app.api.patch("/api/v1/servers/main", json!({ "state": "cordoned" })).await.expect(200);
    let healthy = sign_up(&app, "healthy").await;
    for tenant in [&hanging, &healthy] {
        tenant.data.get("/api/things").await.expect(200);
    }
    change_app(&app, "shared").await;
    app.routes_caught_up().await;
    proxy.silence();
    let asked = async { hanging.data.get("/api/things").await };
    let meanwhile = async {
        // The other one is at it by then.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        healthy.data.get("/api/things").await.expect(200);
        let waited = began.elapsed();
        assert!(waited < Duration::from_secs(8), "{waited:?}");
    };
    let (hung, ()) = tokio::join!(asked, meanwhile);
    hung.expect_problem(504, "statement_timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_s_settings_change_nothing_of_what_is_known_of_its_app_s_tables() {
    let app = start(TestApp::build().without_daily_quotas(), "own").await;
    let (hostile, other) = (sign_up(&app, "hostile").await, sign_up(&app, "other").await);
    for (name, value) in [("client_encoding", "LATIN1"), ("quote_all_identifiers", "on")] {
        hostile.data.post("/api/rpc/keep", json!({ "name": name, "value": value })).await.expect(200);
        change_app(&app, "own").await;
        app.routes_caught_up().await;
        hostile.data.get("/api/things?select=id").await.expect(200);
        let path = "/api/things?select=größe&name=eq.a";
        other.data.get(path).await.expect(200);
        let described = other.data.get("/api/").await.expect(200);
        assert!(!described.text.contains("\\\"text\\\""), "{}", described.text);
    }
}
