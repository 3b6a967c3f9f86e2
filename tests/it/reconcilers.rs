//! Periodic tasks: what they find and what they leave. Run by hand here, beside the worker's own rounds.

use std::collections::HashMap;

use chrono::{Duration, Timelike};
use secrecy::ExposeSecret;
use serde_json::json;
use tenantry_domain::{Clock, SystemClock, ids::UsageBatchId};
use tenantry_registry::{Part, Registry, UsageBatch, UsageSample};
use tenantry_tests::{TestApp, clock::MovedClock, server};
use tenantry_worker::reconcilers::{compact_usage, fill_warm_databases, sample_usage};

/// Databases of the test's server by their number, which a new name does not change.
async fn databases(app: &TestApp, like: &str) -> HashMap<i64, String> {
    let mut connection = server::admin(app.server(), "postgres").await;
    sqlx::query_as("SELECT oid::bigint, datname::text FROM pg_database WHERE datname LIKE $1")
        .bind(like)
        .fetch_all(&mut connection)
        .await
        .unwrap()
        .into_iter()
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_in_tier_database_takes_a_warm_copy_and_the_pool_is_filled_again() {
    let app =
        TestApp::build().with_apps(&["crm"]).worker(|settings| settings.warm_databases = 2).start().await;
    // A copy that the worker makes meanwhile would not be among those that the test knows.
    app.keep_from_workers("fill_warm_databases").await;
    let resources = app.worker.as_ref().unwrap().resources().clone();
    fill_warm_databases::run(&resources).await.unwrap();
    let warm = databases(&app, r"tenantry\_warm\_%").await;
    assert!(warm.len() >= 2, "{warm:?}");

    let tenant = app.sign_up("acme", "premium", "crm").await;
    let name = format!("tenant_{}", tenant.slug.replace('-', "_"));
    let owned = databases(&app, &name).await;
    assert!(owned.keys().all(|oid| warm.contains_key(oid)), "{owned:?} was copied, not taken from {warm:?}");
    tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);

    fill_warm_databases::run(&resources).await.unwrap();
    assert!(databases(&app, r"tenantry\_warm\_%").await.len() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_takes_on_disk_is_noted_once_an_hour() {
    let clock = MovedClock::shared();
    // Half past the next hour, so that the test is over before the hour is.
    let half_past = Duration::minutes(90 - i64::from(SystemClock.now().minute()));
    clock.put_ahead(half_past);
    let app = TestApp::build().with_clock(clock.clone()).start().await;
    app.keep_from_workers("sample_usage").await;
    let resources = app.worker.as_ref().unwrap().resources().clone();
    for plan in ["basic", "premium"] {
        let tenant = app.sign_up(plan, plan, "crm").await;
        let contacts: Vec<_> = (0..200).map(|n| json!({ "email": format!("{n}@example.com") })).collect();
        tenant.data.post("/api/contacts", json!(contacts)).await.expect(201);
    }
    sample_usage::run(&resources).await.unwrap();
    sample_usage::run(&resources).await.unwrap();
    assert_eq!(app.count("SELECT count(*) FROM storage_samples").await, 2);
    // A dozen tables and indexes of 8 KiB and more; a database has PostgreSQL's own tables too.
    assert_eq!(app.count("SELECT count(*) FROM storage_samples WHERE bytes > 200000").await, 2);
    assert_eq!(app.count("SELECT count(*) FROM storage_samples WHERE bytes > 5000000").await, 1);

    clock.put_ahead(half_past + Duration::hours(1));
    sample_usage::run(&resources).await.unwrap();
    assert_eq!(app.count("SELECT count(*) FROM storage_samples").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_usage_that_is_sent_again_counts_once() {
    let app = TestApp::build().without_worker().start().await;
    let body = json!({ "name": "Acme", "slug": app.slug("acme"), "plan": "basic", "app": "crm" });
    let tenant = app.api.post("/api/v1/tenants", body).await.expect(202).json()["tenant"]["id"].clone();
    let tenant_id = serde_json::from_value(tenant).unwrap();
    let (url, now) = (app.registry_url().expose_secret(), SystemClock.now());
    let registry = Registry::connect_lazy(url, Part::DataPlane, 2).unwrap();
    let sample = UsageSample {
        tenant_id,
        requests: 7,
        bytes_in: 1,
        bytes_out: 1,
        errors: 1,
        duration_us: 900,
        database_us: 500,
    };
    for _ in 0..2 {
        let id = UsageBatchId::generate(now, &mut rand::rng());
        let batch = UsageBatch { id, at: now, samples: vec![sample] };
        // The answer to the first may have been lost.
        registry.usage_append(&batch).await.unwrap();
        registry.usage_append(&batch).await.unwrap();
    }
    assert_eq!(app.count("SELECT sum(requests)::bigint FROM usage_samples").await, 14);
    registry.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_of_usage_become_hours() {
    let clock = MovedClock::shared();
    // Half past the next hour, so that no hour ends in between.
    let half_past = Duration::minutes(90 - i64::from(SystemClock.now().minute()));
    let app = TestApp::build().with_clock(clock.clone()).without_worker().start().await;
    let body = json!({ "name": "Acme", "slug": app.slug("acme"), "plan": "basic", "app": "crm" });
    app.api.post("/api/v1/tenants", body).await.expect(202);
    // Three hours of a sample every ten seconds, from two data planes.
    app.count(
        "WITH added AS (
             INSERT INTO usage_samples (tenant_id, at, requests, bytes_in, bytes_out)
             SELECT id, date_trunc('hour', now()) - second * interval '1 second', 1, 2, 3
             FROM tenants, generate_series(10, 10800, 10) AS second, generate_series(1, 2)
             RETURNING 1)
         SELECT count(*) FROM added",
    )
    .await;
    let resources = app.idle_worker(clock.clone()).resources().clone();
    // Whole hours, once they are two hours old, however often it runs.
    for (minutes, merged) in [(0, 1440), (1, 0), (10, 0), (60, 720), (61, 0)] {
        clock.put_ahead(half_past + Duration::minutes(minutes));
        assert_eq!(compact_usage::run(&resources).await.unwrap(), merged, "{minutes} minutes later");
    }
    assert_eq!(app.count("SELECT count(*) FROM usage_samples WHERE hourly").await, 3);
    assert_eq!(app.count("SELECT count(*) FROM usage_samples").await, 3);
    assert_eq!(app.count("SELECT sum(requests)::bigint FROM usage_samples").await, 2160);
    assert_eq!(app.count("SELECT sum(bytes_out)::bigint FROM usage_samples").await, 3 * 2160);
}
