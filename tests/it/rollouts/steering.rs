//! Rollouts that are steered, or whose tenants go and come, at bad moments.

use std::time::Duration;

use serde_json::{Value, json};
use tenantry_tests::{TestApp, server, within::within};

use super::fleet::{APP, Fleet, version};

const ADD: &str = "ALTER TABLE items ADD COLUMN price int";

async fn is_watched(fleet: &Fleet, id: &str) {
    let watched = async || fleet.rollout(id).await["soakUntil"].is_string();
    within(Duration::from_secs(30), "it is watched", watched).await;
}

/// A rollout of version 2 whose first tenant has it, and is watched for long.
async fn watched(tenants: usize) -> (Fleet, String) {
    let fleet = Fleet::of(TestApp::start().await, tenants).await;
    fleet.push(version(2, ADD, Some("ALTER TABLE items DROP COLUMN price"))).await;
    let waves = json!([{ "tenants": [fleet.tenants[0]], "soakSeconds": 600 }]);
    let id = fleet.start(json!({ "waves": waves })).await;
    is_watched(&fleet, &id).await;
    (fleet, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_watched_goes_on_with_another_version_after_a_pause() {
    let (fleet, id) = watched(4).await;
    fleet.control(&id, "pause").await;
    fleet.push(version(3, "ALTER TABLE items ADD COLUMN weight int", None)).await;
    fleet.push(version(4, "-- contract\nALTER TABLE items DROP COLUMN name", None)).await;
    let resume = async |target: i64| {
        let path = format!("/api/v1/rollouts/{id}/resume");
        fleet.app.api.post(&path, json!({ "targetVersion": target })).await
    };
    resume(4).await.expect_problem(409, "contract_too_early");
    resume(1).await.expect_problem(422, "unknown_version");
    resume(77).await.expect_problem(422, "unknown_version");
    resume(3).await.expect(200);
    let has_three = async || fleet.history(&fleet.tenants[0]).await == [1, 2, 3];
    within(Duration::from_secs(30), "the canary has the next version", has_three).await;
    is_watched(&fleet, &id).await;
    assert_eq!(fleet.history(&fleet.tenants[1]).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_operation_is_cancelled_is_ended() {
    let (fleet, id) = watched(3).await;
    let listed = fleet.app.api.get("/api/v1/operations?kind=rollout").await.expect(200).json();
    let operation = listed["items"][0]["id"].as_str().unwrap();
    fleet.app.api.post(&format!("/api/v1/operations/{operation}/cancel"), json!({})).await.expect(202);
    let aborted = fleet.is(&id, "aborted").await;
    let counts = &aborted["tenants"];
    assert_eq!((&counts["done"], &counts["skipped"], &counts["pending"]), (&json!(1), &json!(2), &json!(0)));
    assert_eq!(fleet.roll_out(json!({})).await["tenants"]["done"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_deleted_and_restored_meanwhile_is_not_missed() {
    let (fleet, id) = watched(4).await;
    let path = format!("/api/v1/tenants/{}", fleet.tenants[1]);
    fleet.app.api.delete_and_wait(&path).await.expect(200);
    let forward = "UPDATE rollouts SET soak_until = now()";
    sqlx::query(forward).execute(fleet.app.owner()).await.unwrap();
    fleet.is(&id, "succeeded").await;
    fleet.app.api.post_and_wait(&format!("{path}/restore"), json!({})).await.expect(200);
    assert_eq!(fleet.history(&fleet.tenants[1]).await, [1, 2]);
    // Also on the way back.
    let back = format!("/api/v1/rollouts/{id}/rollback");
    let back = fleet.app.api.post_and_wait(&back, json!({})).await.expect(200).json();
    assert_eq!(back["rollout"]["versions"], json!([{ "version": 1, "tenants": 4 }]), "{back}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_of_which_it_is_known_where_it_was_is_found_where_it_is() {
    let (fleet, id) = watched(3).await;
    let astray = "UPDATE rollout_tenants SET server_id = gen_random_uuid() WHERE state = 'pending'";
    sqlx::query(astray).execute(fleet.app.owner()).await.unwrap();
    sqlx::query("UPDATE rollouts SET soak_until = now()").execute(fleet.app.owner()).await.unwrap();
    assert_eq!(fleet.is(&id, "succeeded").await["tenants"]["done"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_takes_back_also_what_was_done_before_a_file_without_a_transaction_failed() {
    let fleet = Fleet::of(TestApp::start().await, 2).await;
    let before = fleet.catalog(&fleet.tenants[0]).await;
    fleet.push(version(2, ADD, Some("ALTER TABLE items DROP COLUMN price"))).await;
    // It fails where there is a row more than the one of the first version.
    let unique = "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY items_name ON items (name)";
    fleet.push(version(3, unique, Some("DROP INDEX items_name"))).await;
    for slug in &fleet.tenants {
        let (mut session, schema) = fleet.session(slug).await;
        let twice = format!("INSERT INTO \"{schema}\".items (name) VALUES ('first')");
        sqlx::query(sqlx::AssertSqlSafe(twice)).execute(&mut session).await.unwrap();
    }
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }], "maxFailures": 1, "force": true })).await;
    let halted = fleet.is(&id, "halted").await;
    assert_eq!(halted["versions"], json!([{ "version": 2, "tenants": 2 }]), "{halted}");
    let path = format!("/api/v1/rollouts/{id}/rollback");
    fleet.app.api.post_and_wait(&path, json!({})).await.expect(200);
    for slug in &fleet.tenants {
        assert_eq!((fleet.history(slug).await, &fleet.catalog(slug).await), (vec![1], &before));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_cut_in_the_middle_leaves_no_tenant_in_doubt() {
    let fleet = Fleet::of(TestApp::start().await, 30).await;
    let once = "INSERT INTO items (name) VALUES ('second'); SELECT pg_sleep(0.03)";
    fleet.push(version(2, once, None)).await;
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }] })).await;
    let mut session = server::admin(fleet.app.server(), fleet.app.shared_database()).await;
    let mut cut = 0;
    while cut < 3 && fleet.rollout(&id).await["state"] == "running" {
        let ended: i64 = sqlx::query_scalar(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()
                 AND starts_with(application_name, 'tenantry-admin-') AND starts_with(query, 'BEGIN; SELECT tenantry.begin_migration')",
        )
        .fetch_one(&mut session)
        .await
        .unwrap();
        cut += ended;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(cut > 0, "no session was met");
    fleet.is(&id, "succeeded").await;
    for slug in &fleet.tenants {
        let times = fleet.ask(slug, "SELECT count(*) FROM {schema}.items WHERE name = 'second'").await;
        assert_eq!((times, fleet.history(slug).await), (1, vec![1, 2]), "{slug}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backfill_that_does_not_end_is_stopped_by_a_pause() {
    let fleet = Fleet::of(TestApp::start().await, 2).await;
    fleet.push(version(2, "-- backfill\nUPDATE items SET name = name", None)).await;
    let id = fleet.start(json!({ "force": true })).await;
    let migrating = async || !fleet.tenants_in(&id, "migrating").await.is_empty();
    within(Duration::from_secs(30), "it is at work", migrating).await;
    fleet.control(&id, "abort").await;
    let over = async || fleet.tenants_in(&id, "migrating").await.is_empty();
    within(Duration::from_secs(30), "it has stopped", over).await;
    let suspend = format!("/api/v1/tenants/{}/suspend", fleet.tenants[0]);
    fleet.app.api.post_and_wait(&suspend, json!({})).await.expect(200);
    assert_eq!(fleet.history(&fleet.tenants[0]).await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_a_tenant_waits_for_no_other_one_s_migration() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let fleet = Fleet::of(app, 4).await;
    let quick = &fleet.tenants[0];
    for slug in &fleet.tenants[1..] {
        let (mut session, schema) = fleet.session(slug).await;
        let slow = format!("INSERT INTO \"{schema}\".items (name) VALUES ('slow')");
        sqlx::query(sqlx::AssertSqlSafe(slow)).execute(&mut session).await.unwrap();
    }
    let rename = "ALTER TABLE items RENAME COLUMN name TO title;
        SELECT pg_sleep(2) FROM items WHERE title = 'slow'";
    fleet.push(version(2, rename, None)).await;
    let key = fleet.app.data_key(quick).await;
    let data = fleet.app.data.with_host(format!("{quick}.localhost")).with_key(key);
    data.get("/api/items").await.expect(200);
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }], "parallelism": 1, "force": true })).await;
    let mut slowest = Duration::ZERO;
    while fleet.rollout(&id).await["state"] == "running" {
        let asked = std::time::Instant::now();
        data.get("/api/items").await.expect(200);
        slowest = slowest.max(asked.elapsed());
    }
    fleet.is(&id, "succeeded").await;
    assert!(slowest < Duration::from_millis(1500), "a request waited for {slowest:?}");
    let again: Value = data.get("/api/items").await.expect(200).json();
    assert_eq!(again[0]["title"], "first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_no_version_and_a_canary_of_another_app_are_refused() {
    let fleet = Fleet::of(TestApp::start().await, 1).await;
    let other = fleet.app.sign_up("other", "basic", "crm").await;
    let ask =
        async |query: &str, body: Value| fleet.app.api.post(&format!("/api/v1/rollouts{query}"), body).await;
    let body = json!({ "app": APP, "targetVersion": 77 });
    ask("?dryRun=true", body).await.expect_problem(422, "unknown_version");
    let body = json!({ "app": APP, "waves": [{ "tenants": [other.slug] }] });
    assert_eq!(ask("", body).await.expect(400).fields(), ["waves[0].tenants[0]"]);
    let wrong = ask("", json!({ "app": APP, "maxFailures": true })).await.expect(400);
    assert!(wrong.text.contains("percent such as 5%"), "{}", wrong.text);
}
