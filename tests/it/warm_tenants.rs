//! Warm tenants of the schema tier, from the sign-ups' side.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use serde_json::json;
use tenantry_domain::operation::OperationKind;
use tenantry_postgres::embedded::Durability;
use tenantry_tests::{TestApp, probe::FailAt, server, within::within};
use tenantry_worker::engine::{Moment, Point};

const FREE: &str = "SELECT count(*) FROM warm_tenants WHERE operation_id IS NULL";

/// With workers that take warm tenants; the tests fill the pools.
async fn start() -> TestApp {
    TestApp::build().with_apps(&["crm"]).worker(|settings| settings.warm_tenants = 2).start().await
}

/// Names of schemas in the shared database, by oid.
async fn schemas(app: &TestApp, pattern: &str) -> BTreeMap<i64, String> {
    let mut shared = server::admin(app.server(), app.shared_database()).await;
    let query = "SELECT oid::bigint, nspname::text FROM pg_namespace WHERE nspname LIKE $1";
    let found: Vec<(i64, String)> = sqlx::query_as(query).bind(pattern).fetch_all(&mut shared).await.unwrap();
    found.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_names_a_warm_tenant_and_makes_one_where_there_is_none() {
    let app = start().await;
    let pool = app.warm_pool_in_hand(2).await;
    pool.fill().await.unwrap();
    assert_eq!(app.count(FREE).await, 2);
    let warm = schemas(&app, r"tenantry\_warm\_t\_%").await;
    let mut named = 0;
    for slug in ["one", "two", "three"] {
        let tenant = app.sign_up(slug, "basic", "crm").await;
        tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
        let own = schemas(&app, &format!("tenant_{}", tenant.slug.replace('-', "_"))).await;
        assert_eq!(own.len(), 1, "{own:?}");
        named += own.keys().filter(|oid| warm.contains_key(oid)).count();
    }
    assert_eq!((named, app.count("SELECT count(*) FROM warm_tenants").await), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_whose_filling_waited_too_long_for_a_lock_is_filled_in_the_next_round() {
    let app = TestApp::build()
        .with_apps(&["crm"])
        .worker(|settings| {
            settings.warm_tenants = 0;
            settings.admin.lock_timeout = Duration::from_millis(200);
        })
        .start()
        .await;
    let pool = app.warm_pool_in_hand(2).await;
    app.sign_up("first", "basic", "crm").await;
    let mut shared = server::admin(app.server(), app.shared_database()).await;
    let lock = "BEGIN; LOCK TABLE pg_namespace IN EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut shared).await.unwrap();
    pool.fill().await.unwrap();
    assert_eq!(app.count(FREE).await, 0);
    sqlx::raw_sql("ROLLBACK").execute(&mut shared).await.unwrap();
    pool.fill().await.unwrap();
    assert_eq!(app.count(FREE).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_version_replaces_the_warm_tenants_and_reaches_the_next_sign_up() {
    let app = start().await;
    let pool = app.warm_pool_in_hand(2).await;
    pool.fill().await.unwrap();
    let old = app.sign_up("old", "basic", "crm").await;
    let version = 20_991_231_000_000_i64;
    let body = json!({ "version": version, "name": "more", "up": "CREATE TABLE more (id int PRIMARY KEY)" });
    app.api.post("/api/v1/apps/crm/versions", body).await.expect(201);
    app.api.post(&format!("/api/v1/apps/crm/versions/{version}/promote"), json!({})).await.expect(200);
    // One of the old version is left; nobody gets it.
    let early = app.sign_up("early", "basic", "crm").await;
    pool.fill().await.unwrap();
    let current = "SELECT count(*) FROM warm_tenants WHERE operation_id IS NULL AND version = 20991231000000";
    assert_eq!((app.count(FREE).await, app.count(current).await), (2, 2));
    let new = app.sign_up("new", "basic", "crm").await;
    assert_eq!(app.count(FREE).await, 1);
    for tenant in [&early, &new] {
        tenant.data.get("/api/more").await.expect(200);
    }
    old.data.get("/api/more").await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_tenant_that_was_taken_before_its_app_changed_is_not_named_after_it() {
    let fail = FailAt {
        point: Point { kind: OperationKind::Provision, step: "create_schema", moment: Moment::Before },
        transient: true,
    };
    let build = TestApp::build().with_apps(&["crm"]).with_probe(fail);
    let mut app = build.worker(|settings| settings.warm_tenants = 1).start().await;
    let pool = app.warm_pool_in_hand(1).await;
    pool.fill().await.unwrap();
    let slug = app.slug("late");
    let operation = app.begin_sign_up(&slug, "basic").await;
    within(Duration::from_secs(30), "a warm tenant is taken", async || app.count(FREE).await == 0).await;
    app.stop_worker().await;
    let mut manifest = app.api.get("/api/v1/apps/crm").await.expect(200).json()["manifest"].clone();
    manifest["registration"] = json!("open");
    app.api.put("/api/v1/apps/crm", json!({ "manifest": manifest })).await.expect(200);
    app.keep_from_workers("add_users").await;
    let worker = app.second_worker();
    assert_eq!(app.operation_ended(&operation).await["state"], "succeeded");
    let schema = format!("tenant_{}", slug.replace('-', "_"));
    let mut shared = server::admin(app.server(), app.shared_database()).await;
    let users = "SELECT to_regclass($1 || '.tenantry_users') IS NOT NULL";
    let has_users: bool = sqlx::query_scalar(users).bind(&schema).fetch_one(&mut shared).await.unwrap();
    assert!(has_users, "the tables are those of before");
    assert_eq!(schemas(&app, r"tenantry\_warm\_t\_%").await, BTreeMap::new());
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn warm_tenants_of_a_server_that_is_full_or_takes_the_tier_no_more_fail_no_sign_up() {
    let other = server::start(Durability::Volatile).await.unwrap();
    let app = start().await;
    // The first by name, and the emptiest.
    app.add_server("alpha", &other).await;
    let pool = app.warm_pool_in_hand(4).await;
    pool.fill().await.unwrap();
    let on_alpha =
        "SELECT count(*) FROM placements JOIN servers ON servers.id = server_id WHERE servers.name = 'alpha'";
    let warm_on_alpha = "SELECT count(*) FROM warm_tenants JOIN servers ON servers.id = server_id
        WHERE servers.name = 'alpha' AND operation_id IS NULL";
    assert_eq!(app.count(warm_on_alpha).await, 4);

    app.api.patch("/api/v1/servers/alpha", json!({ "tiers": ["database"] })).await.expect(200);
    app.sign_up("one", "basic", "crm").await;
    assert_eq!((app.count(on_alpha).await, app.count(warm_on_alpha).await), (0, 4));

    let change = json!({ "tiers": ["schema"], "capacity": 1 });
    app.api.patch("/api/v1/servers/alpha", change).await.expect(200);
    let names = ["two", "three", "four", "five"];
    join_all(names.iter().map(|name| app.sign_up(name, "basic", "crm"))).await;
    assert_eq!(app.count(on_alpha).await, 1);
    assert!(app.count(warm_on_alpha).await >= 2);
    assert_eq!(app.count("SELECT count(*) FROM warm_tenants WHERE operation_id IS NOT NULL").await, 0);
}
