//! What tenants may take in a day, at a time, of the database's time and on disk; and what they are told of it.

use std::time::Duration;

use futures::future::{join, join_all};
use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tenantry_domain::SystemClock;
use tenantry_tests::{Answer, Api, Signup, TestApp, server, within::within};
use tenantry_worker::reconcilers::{sample_usage, watch_storage};

const APP: &str = "
    CREATE TABLE notes (id int PRIMARY KEY, body text);
    CREATE FUNCTION nap(seconds float8) RETURNS void LANGUAGE sql AS $$ SELECT pg_sleep(seconds) $$;
    CREATE FUNCTION forget() RETURNS void LANGUAGE sql AS $$ DELETE FROM notes $$;";

/// An app whose functions take their time.
async fn start() -> TestApp {
    let app = TestApp::build().with_apps(&[]).start().await;
    app.api.put("/api/v1/apps/notes", json!({})).await.expect(200);
    let version = json!({ "version": 1, "name": "notes", "up": APP });
    app.api.post("/api/v1/apps/notes/versions", version).await.expect(201);
    app
}

async fn limit(app: &TestApp, limits: Value) {
    app.api.patch("/api/v1/plans/basic", json!({ "limits": limits })).await.expect(200);
    app.routes_caught_up().await;
}

async fn set_daily(app: &TestApp, tenant: &Signup, most: u64) {
    let path = format!("/api/v1/tenants/{}/config/api.rate_limit", tenant.id);
    let answer = app.api.put(&path, json!({ "configValue": most })).await;
    assert!(answer.status.is_success(), "{answer:?}");
    app.routes_caught_up().await;
}

/// How many of many requests, some at a time, are served.
async fn served(data: &Api, requests: usize) -> usize {
    let streams = (0..6).map(|_| async {
        let mut served = 0;
        for _ in 0..requests / 6 {
            let answer = data.get("/api/notes").await;
            if answer.status == 200 {
                served += 1;
            } else {
                answer.expect_problem(429, "daily_quota_exceeded");
            }
        }
        served
    });
    join_all(streams).await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_data_planes_serve_the_requests_of_a_day_and_none_more() {
    let app = start().await;
    let (acme, other) =
        (app.sign_up("acme", "basic", "notes").await, app.sign_up("other", "basic", "notes").await);
    let key = app.data_key(&acme.id).await;
    let elsewhere =
        app.another_data_plane().await.with_key(key).with_host(format!("{}.localhost", acme.slug));
    set_daily(&app, &acme, 300).await;
    let (here, there) = join(served(&acme.data, 450), served(&elsewhere, 450)).await;
    assert_eq!(here + there, 300, "{here} and {there}");
    let refused = acme.data.get("/api/notes").await.expect_problem(429, "daily_quota_exceeded");
    let wait: u64 = refused.headers[RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&wait), "{refused:?}");
    assert_eq!(refused.header("ratelimit-limit").as_deref(), Some("300"));
    other.data.get("/api/notes").await.expect(200);
    // A larger limit counts at once.
    set_daily(&app, &acme, 310).await;
    let (here, there) = join(served(&acme.data, 30), served(&elsewhere, 30)).await;
    assert_eq!(here + there, 10, "{here} and {there}");

    let usage = format!("/api/v1/tenants/{}/usage?timeRange=24h", acme.id);
    let today = app.api.get(&usage).await.expect(200).json()["current"]["requestsToday"].clone();
    assert_eq!(today, json!({ "used": 310, "limit": 310 }));
    let health = app.api.get(&format!("/api/v1/tenants/{}/health", acme.id)).await.expect(200).json();
    assert_eq!((&health["status"], &health["checks"]["limits"]), (&json!("degraded"), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_does_too_much_at_a_time_or_for_too_long_waits_and_others_do_not() {
    let app = start().await;
    let (acme, other) =
        (app.sign_up("acme", "basic", "notes").await, app.sign_up("other", "basic", "notes").await);
    limit(&app, json!({ "concurrentRequests": 2 })).await;
    let nap = |data: &Api, seconds: f64| {
        let data = data.clone();
        async move { data.post("/api/rpc/nap", json!({ "seconds": seconds })).await }
    };
    let answers = join_all((0..6).map(|_| nap(&acme.data, 1.0))).await;
    let (served, refused): (Vec<Answer>, Vec<_>) = answers.into_iter().partition(|a| a.status == 204);
    assert!((2..=4).contains(&served.len()), "{}", served.len());
    for answer in refused {
        let answer = answer.expect_problem(429, "concurrency_limit_exceeded");
        assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
    }
    acme.data.get("/api/notes").await.expect(200);

    limit(&app, json!({ "concurrentRequests": null, "databaseSecondsPerMinute": 1 })).await;
    nap(&acme.data, 2.0).await.expect(204);
    let refused = acme.data.get("/api/notes").await.expect_problem(429, "database_time_exceeded");
    let wait: u64 = refused.headers[RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((30..=80).contains(&wait), "{refused:?}");
    other.data.get("/api/notes").await.expect(200);
    limit(&app, json!({ "databaseSecondsPerMinute": null })).await;
    acme.data.get("/api/notes").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_too_much_data_reads_and_deletes_and_writes_when_it_has_room_again() {
    let mut app = start().await;
    let acme = app.sign_up("acme", "basic", "notes").await;
    // Else it would look too.
    app.stop_worker().await;
    let resources = app.idle_worker(SystemClock::shared()).resources().clone();
    let body = "x".repeat(100_000);
    let rows: Vec<Value> = (0..10).map(|id| json!({ "id": id, "body": format!("{body}{id}") })).collect();
    acme.data.post("/api/notes", json!(rows)).await.expect(201);
    let tenant = format!("/api/v1/tenants/{}", acme.id);
    app.api.patch(&tenant, json!({ "maxStorage": 20_000 })).await.expect(200);
    app.count("WITH gone AS (DELETE FROM storage_samples RETURNING 1) SELECT count(*) FROM gone").await;
    sample_usage::run(&resources).await.unwrap();
    app.routes_caught_up().await;

    let write = || acme.data.post("/api/notes", json!({ "id": 99, "body": "y" }));
    write().await.expect_problem(403, "storage_quota_exceeded");
    acme.data
        .patch("/api/notes?id=eq.1", json!({ "body": "y" }))
        .await
        .expect_problem(403, "storage_quota_exceeded");
    acme.data
        .put("/api/notes?id=eq.1", json!({ "id": 1, "body": "y" }))
        .await
        .expect_problem(403, "storage_quota_exceeded");
    acme.data.post("/api/rpc/forget", json!({})).await.expect_problem(403, "storage_quota_exceeded");
    assert_eq!(acme.data.get("/api/notes?select=id").await.expect(200).json().as_array().unwrap().len(), 10);
    acme.data.delete("/api/notes?id=lt.5").await.expect(204);
    let health = app.api.get(&format!("{tenant}/health")).await.expect(200).json();
    assert_eq!((&health["status"], &health["checks"]["storage"]), (&json!("degraded"), &json!(false)));
    let usage = app.api.get(&format!("{tenant}/usage")).await.expect(200).json();
    assert_eq!(usage["current"]["storageBytes"]["limit"], 20_000);
    let listed = app.api.get("/api/v1/tenants?health=degraded").await.expect(200).json();
    assert_eq!(listed["items"][0]["slug"], acme.slug.as_str());
    assert_eq!(app.api.get("/api/v1/tenants?health=healthy").await.expect(200).json()["items"], json!([]));

    // A larger limit counts at once; and what is near its limit is looked at again soon.
    app.api.patch(&tenant, json!({ "maxStorage": 100_000_000 })).await.expect(200);
    app.routes_caught_up().await;
    write().await.expect(201);
    app.api.patch(&tenant, json!({ "maxStorage": 20_000 })).await.expect(200);
    app.routes_caught_up().await;
    acme.data.post("/api/notes", json!({ "id": 100 })).await.expect_problem(403, "storage_quota_exceeded");
    app.count("UPDATE tenant_storage SET sampled_at = now() - interval '1 hour' RETURNING 1::bigint").await;
    let mut admin = server::admin(app.server(), app.shared_database()).await;
    let truncate = format!("TRUNCATE tenant_{}.notes", acme.slug.replace('-', "_"));
    sqlx::query(AssertSqlSafe(truncate)).execute(&mut admin).await.unwrap();
    app.api.patch(&tenant, json!({ "maxStorage": 40_000 })).await.expect(200);
    assert_eq!(watch_storage::run(&resources).await.unwrap(), 1);
    app.routes_caught_up().await;
    acme.data.post("/api/notes", json!({ "id": 100 })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_tells_what_was_done_and_health_how_it_went() {
    let app =
        TestApp::build().with_apps(&[]).data_plane(|plane| plane.usage_interval = Duration::from_millis(50));
    let app = app.start().await;
    app.api.put("/api/v1/apps/notes", json!({})).await.expect(200);
    let version = json!({ "version": 1, "name": "notes", "up": APP });
    app.api.post("/api/v1/apps/notes/versions", version).await.expect(201);
    let acme = app.sign_up("acme", "basic", "notes").await;
    acme.data.post("/api/notes", json!({ "id": 1, "body": "x" })).await.expect(201);
    acme.data.post("/api/rpc/nap", json!({ "seconds": 0.2 })).await.expect(204);
    acme.data.get("/api/notes").await.expect(200);
    let usage = async |range: &str| {
        app.api.get(&format!("/api/v1/tenants/{}/usage{range}", acme.id)).await.expect(200).json()
    };
    within(Duration::from_secs(20), "the data plane has told", async || {
        usage("").await["totals"]["requests"] == 3
    })
    .await;
    let told = usage("?timeRange=24h&bucket=hour").await;
    assert_eq!(
        (&told["totals"]["errors"], &told["totals"]["bytesIn"]),
        (&json!(0), &told["buckets"][0]["bytesIn"])
    );
    assert!(told["totals"]["databaseSeconds"].as_f64().unwrap() >= 0.2, "{told}");
    assert_eq!(told["current"]["requestsToday"]["limit"], 1_000);
    let health = app.api.get(&format!("/api/v1/tenants/{}/health", acme.id)).await.expect(200).json();
    assert_eq!(health["status"], "healthy", "{health}");
    assert_eq!((&health["metrics"]["errorRate"], &health["metrics"]["uptime"]), (&json!(0.0), &json!(100.0)));
    assert!(health["metrics"]["responseTime"].as_f64().unwrap() >= 60.0, "{health}");
    for (query, field) in
        [("?timeRange=0d", "timeRange"), ("?timeRange=1w", "timeRange"), ("?bucket=week", "bucket")]
    {
        let path = format!("/api/v1/tenants/{}/usage{query}", acme.id);
        assert_eq!(app.api.get(&path).await.expect(400).fields(), [field]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_one_thing_of_the_requests_of_a_day() {
    let app = TestApp::build().without_worker().start().await;
    let change = async |body: Value| app.api.patch("/api/v1/plans/basic", body).await;
    // Its default configuration follows its limit, and may not say something else.
    for (most, configured) in [(json!(7), json!(7)), (json!(null), Value::Null)] {
        let plan = change(json!({ "limits": { "apiRequestsPerDay": most } })).await.expect(200).json();
        assert_eq!(plan["defaultConfig"]["api.rate_limit"], configured);
    }
    let refused = change(json!({ "defaultConfig": { "api.rate_limit": 8 } })).await.expect(400);
    assert_eq!(refused.fields(), ["defaultConfig.api.rate_limit"]);
    let both = json!({ "limits": { "apiRequestsPerDay": 8 }, "defaultConfig": { "api.rate_limit": 8 } });
    change(both).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_used_up_the_day_or_the_database_s_time_can_still_log_out_and_shut_somebody_out() {
    let app = TestApp::start().await;
    let acme = app.sign_up("acme", "basic", "salesflow").await;
    let open = acme.data.without_key();
    let user = |name: &str| json!({ "username": name, "email": format!("{name}@example.com"), "password": "Correct horse 1" });
    for name in ["ada", "eve"] {
        open.post("/api/auth/register", user(name)).await.expect(201);
    }
    let login = json!({ "username": "ada", "password": "Correct horse 1" });
    let tokens = open.post("/api/auth/login", login).await.expect(200).json();
    let ada = acme.data.with_key(tokens["accessToken"].as_str().unwrap().to_owned());
    set_daily(&app, &acme, 1).await;
    limit(&app, json!({ "databaseSecondsPerMinute": 1 })).await;
    // What strangers try takes nothing of it.
    for _ in 0..30 {
        open.post("/api/auth/login", json!({ "username": "eve", "password": "x" })).await.expect(401);
    }
    ada.get("/api/contacts").await.expect(200);
    ada.get("/api/contacts").await.expect_problem(429, "daily_quota_exceeded");
    acme.data.patch("/api/auth/users/2", json!({ "enabled": false })).await.expect(200);
    ada.post("/api/auth/logout", json!({})).await.expect(204);
}
