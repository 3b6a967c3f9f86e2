//! `tenantry rollouts`, and the story of one as events.

use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::AssertSqlSafe;
use tenantry_tests::{TestApp, cli::Cli};

use super::fleet::{APP, Fleet, version};

fn cli(app: &TestApp) -> Cli {
    Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
        .env("TENANTRY_URL", app.api.address().to_string())
        .env("TENANTRY_API_KEY", app.key.expose_secret())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_started_followed_steered_and_taken_back_by_commands() {
    let fleet = Fleet::of(TestApp::start().await, 5).await;
    let cli = cli(&fleet.app);
    let canary = fleet.tenants[0].as_str();
    let (mut session, schema) = fleet.session(canary).await;
    let bad = format!("INSERT INTO \"{schema}\".items (name) VALUES ('')");
    sqlx::query(AssertSqlSafe(bad)).execute(&mut session).await.unwrap();
    let check = "ALTER TABLE items ADD CONSTRAINT named CHECK (name <> '')";
    fleet.push(version(2, check, Some("ALTER TABLE items DROP CONSTRAINT named"))).await;

    let tried = cli.run(&["rollouts", "start", APP, "--dry-run"]).await.succeeded();
    assert!(tried.contains("AccessExclusiveLock on items"), "{tried}");
    let halted = cli.run(&["rollouts", "start", APP, "--canary", canary, "--wave", "50"]).await.failed();
    assert!(
        halted.contains("has halted") && halted.contains("-> go on: tenantry rollouts resume"),
        "{halted}"
    );
    let listed = cli.run(&["rollouts", "list", "--app", APP, "-o", "json"]).await.json();
    let id = listed["items"][0]["id"].as_str().unwrap().to_owned();
    let failed = cli.run(&["rollouts", "tenants", &id, "--state", "failed"]).await.succeeded();
    assert!(failed.contains(canary) && failed.contains("named"), "{failed}");

    let mend = format!("UPDATE \"{schema}\".items SET name = 'x' WHERE name = ''");
    sqlx::query(AssertSqlSafe(mend)).execute(&mut session).await.unwrap();
    let resumed = cli.run(&["rollouts", "resume", &id]).await.succeeded();
    assert!(resumed.contains("is running"), "{resumed}");
    let watched = cli.run(&["rollouts", "watch", &id]).await;
    assert!(watched.ok && watched.out.contains("5 tenants have it"), "{} {}", watched.out, watched.err);
    let shown = cli.run(&["rollouts", "show", &id]).await.succeeded();
    assert!(shown.contains("succeeded") && shown.contains("former version"), "{shown}");
    let again = cli.run(&["rollouts", "pause", &id]).await.failed();
    assert!(again.contains("succeeded"), "{again}");
    let back = cli.run(&["rollouts", "rollback", &id]).await.succeeded();
    assert!(back.contains("5 tenants are back where they were"), "{back}");
    for slug in &fleet.tenants {
        assert_eq!(fleet.history(slug).await, [1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_s_story_is_a_stream_of_events() {
    let fleet = Fleet::of(TestApp::start().await, 3).await;
    fleet.push(version(2, "ALTER TABLE items ADD COLUMN price int; SELECT pg_sleep(0.3)", None)).await;
    let id = fleet.start(json!({})).await;
    let path = format!("/api/v1/rollouts/{id}/events");
    let told = fleet.app.api.send(fleet.app.api.request(Method::GET, &path)).await.expect(200);
    assert!(told.text.contains("event: succeeded"), "{}", told.text);
    assert!(told.text.contains("tenants have version 2"), "{}", told.text);
    fleet.app.api.get("/api/v1/rollouts/01a22ab5-ad4a-7650-b0b5-7591f08c366c/events").await.expect(404);
}
