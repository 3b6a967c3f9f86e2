//! Servers whose tenants are moved away, while they are served.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tenantry_postgres::embedded::{Durability, EmbeddedPostgres};
use tenantry_tests::{Signup, TestApp, server};

/// A server that tenants are moved off, and another one that takes them.
async fn two_servers() -> (TestApp, EmbeddedPostgres) {
    let other = server::start(Durability::Volatile).await.unwrap();
    let app = TestApp::build().without_daily_quotas().start().await;
    app.add_server("other", &other).await;
    app.api.patch("/api/v1/servers/other", json!({ "state": "cordoned" })).await.expect(200);
    (app, other)
}

async fn sign_up(app: &TestApp, count: usize) -> Vec<Signup> {
    let mut tenants = Vec::new();
    for number in 0..count {
        let plan = if number % 3 == 2 { "premium" } else { "basic" };
        tenants.push(app.sign_up(&format!("t{number}"), plan, "crm").await);
    }
    tenants
}

async fn server_of(app: &TestApp, tenant: &Signup) -> Value {
    app.api.get(&format!("/api/v1/tenants/{}", tenant.slug)).await.expect(200).json()["placement"]["server"]
        .clone()
}

async fn drain(app: &TestApp) -> Value {
    let begun = app.api.post("/api/v1/servers/main/drain", json!({})).await.expect(202).json();
    app.operation_ended(begun["operation"]["id"].as_str().unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_drained_under_traffic_and_can_be_removed() {
    let (app, other) = two_servers().await;
    let tenants = sign_up(&app, 9).await;
    app.api.patch("/api/v1/servers/other", json!({ "state": "active" })).await.expect(200);
    let plan = app.api.post("/api/v1/servers/main/drain?dryRun=true", json!({})).await.expect(200).json();
    assert_eq!(plan["fits"], true, "{plan}");
    assert_eq!(
        (&plan["items"][0]["tenants"], &plan["items"][1]["tenants"]),
        (&json!(3), &json!(6)),
        "{plan}"
    );
    let stop = Arc::new(AtomicBool::new(false));
    let traffic: Vec<_> = tenants
        .iter()
        .step_by(3)
        .map(|tenant| {
            let (data, stop) = (tenant.data.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut written = 0;
                while !stop.load(Ordering::Relaxed) {
                    let body = json!({ "email": format!("{written}@example.com") });
                    data.post("/api/contacts", body).await.expect(201);
                    written += 1;
                }
                written
            })
        })
        .collect();
    let ended = drain(&app).await;
    stop.store(true, Ordering::Relaxed);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    for (task, tenant) in traffic.into_iter().zip(tenants.iter().step_by(3)) {
        let written: u64 = task.await.unwrap();
        let count = tenant.data.get("/api/contacts?select=count()").await.expect(200).json();
        assert_eq!(count, json!([{ "count": written }]));
    }
    for tenant in &tenants {
        assert_eq!(server_of(&app, tenant).await, "other");
        tenant.data.get("/api/contacts").await.expect(200);
    }
    assert!(app.on_server().await.is_empty());
    app.api.delete("/api/v1/servers/main").await.expect(204);
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_moved_off_a_server_is_named_stays_and_is_moved_when_it_can_be() {
    let (app, other) = two_servers().await;
    let tenants = sign_up(&app, 3).await;
    app.api.patch("/api/v1/servers/other", json!({ "state": "active" })).await.expect(200);
    let schema = format!("tenant_{}", tenants[0].slug.replace('-', "_"));
    let mut admin = server::admin(app.server(), app.shared_database()).await;
    let by_hand = format!("ALTER TABLE {schema}.contacts ADD COLUMN by_hand integer");
    sqlx::raw_sql(AssertSqlSafe(by_hand)).execute(&mut admin).await.unwrap();
    let ended = drain(&app).await;
    assert_eq!(ended["state"], "failed", "{ended}");
    let error = ended["error"].as_str().unwrap();
    assert!(error.contains(&tenants[0].slug) && error.contains("by_hand"), "{error}");
    let servers = [server_of(&app, &tenants[0]).await, server_of(&app, &tenants[1]).await];
    assert_eq!(servers, [json!("main"), json!("other")]);
    tenants[0].data.get("/api/contacts").await.expect(200);
    let undone = format!("ALTER TABLE {schema}.contacts DROP COLUMN by_hand");
    sqlx::raw_sql(AssertSqlSafe(undone)).execute(&mut admin).await.unwrap();
    let id = ended["id"].as_str().unwrap();
    app.api.post(&format!("/api/v1/operations/{id}/retry"), json!({})).await.expect(202);
    assert_eq!(app.operation_ended(id).await["state"], "succeeded");
    assert!(app.on_server().await.is_empty());
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_spread_over_the_servers_and_a_drain_can_be_stopped() {
    let (app, other) = two_servers().await;
    let tenants = sign_up(&app, 6).await;
    let set = json!({ "capacity": 100, "state": "active" });
    for server in ["main", "other"] {
        app.api.patch(&format!("/api/v1/servers/{server}"), set.clone()).await.expect(200);
    }
    let path = "/api/v1/servers/rebalance";
    let plan = app.api.post(&format!("{path}?dryRun=true"), json!({})).await.expect(200).json();
    let expected = json!([{ "server": "main", "tenants": 6, "keep": 3, "operation": null }]);
    assert_eq!(plan["items"], expected);
    let begun = app.api.post(path, json!({ "atOnce": 2 })).await.expect(202).json();
    let ended = app.operation_ended(begun["items"][0]["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let mut there = 0;
    for tenant in &tenants {
        there += usize::from(server_of(&app, tenant).await == "other");
    }
    assert_eq!(there, 3);
    let none = app.api.post(path, json!({})).await.expect(200).json();
    assert_eq!(none["items"], json!([]));
    app.api.post(path, json!({ "atOnce": 65 })).await.expect_problem(400, "invalid_field");
    // Without a server that takes them nobody is moved; asked to stop, it stops.
    app.api.patch("/api/v1/servers/other", json!({ "state": "cordoned" })).await.expect(200);
    let ended = drain(&app).await;
    assert_eq!(ended["state"], "failed", "{ended}");
    assert_eq!(app.api.get("/api/v1/servers/main").await.expect(200).json()["state"], "draining");
    tokio::time::timeout(Duration::from_secs(30), tenants[5].data.get("/api/contacts"))
        .await
        .unwrap()
        .expect(200);
    drop(other);
}
