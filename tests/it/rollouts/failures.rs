//! Migrations that fail on some tenants: what halts a rollout, and how it goes on.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection};
use tenantry_tests::{TestApp, within::within};

use super::fleet::{APP, Fleet, size, version};

const ADD_CHECK: &str =
    "ALTER TABLE items ADD COLUMN kind text; ALTER TABLE items ADD CONSTRAINT named CHECK (name <> '')";

/// A fleet of which three tenants hold a row that no check will take.
async fn fleet_with_three_that_fail() -> (Fleet, Vec<String>) {
    let fleet = Fleet::of(TestApp::start().await, size(30)).await;
    let bad: Vec<String> = [3, 11, 17].iter().map(|number| fleet.tenants[*number].clone()).collect();
    for slug in &bad {
        let (mut session, schema) = fleet.session(slug).await;
        let insert = format!("INSERT INTO \"{schema}\".items (name) VALUES ('')");
        sqlx::query(AssertSqlSafe(insert)).execute(&mut session).await.unwrap();
    }
    (fleet, bad)
}

/// Whether a tenant has the column and the check of version 2, or of the one that replaces it; both or none.
async fn has_check(fleet: &Fleet, slug: &str) -> bool {
    let count = |table: &str, condition: &str| {
        format!("SELECT count(*) FROM {table} WHERE {condition} = '{{schema}}.items'::regclass")
    };
    let column = count("pg_attribute", "attname = 'kind' AND NOT attisdropped AND attrelid");
    let check = count("pg_constraint", "conname = 'named' AND conrelid");
    let both = (fleet.ask(slug, &column).await, fleet.ask(slug, &check).await);
    assert!(matches!(both, (0, 0) | (1, 1)), "{slug} is half-way: {both:?}");
    both == (1, 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_fails_halts_the_rollout_before_anybody_else_is_touched() {
    let (fleet, bad) = fleet_with_three_that_fail().await;
    fleet.push(version(2, ADD_CHECK, None)).await;
    let canaries = json!([fleet.tenants[0], bad[0]]);
    let body = json!({ "waves": [{ "tenants": canaries }, { "percent": 100 }] });
    let id = fleet.start(body).await;
    let halted = fleet.is(&id, "halted").await;
    let reason = halted["reason"].as_str().unwrap();
    assert!(reason.contains(&bad[0]) && reason.contains("named"), "{reason}");
    assert_eq!(halted["waves"][0]["tenants"]["failed"], 1);
    assert_eq!(halted["waves"][1]["tenants"]["pending"], fleet.tenants.len() - 2);
    let failed = fleet.tenants_in(&id, "failed").await;
    assert_eq!((failed.len(), &failed[0]["slug"]), (1, &json!(bad[0])));
    for slug in &fleet.tenants[1..] {
        assert!(!has_check(&fleet, slug).await, "{slug}");
    }
    // New tenants get the version of before.
    let app = fleet.app.api.get(&format!("/api/v1/apps/{APP}")).await.expect(200).json();
    assert_eq!(app["promotedVersion"], 1);

    // The fix takes its place, also where it was done; the same rollout goes on.
    let fix = "-- replaces 2
        UPDATE items SET name = 'unnamed' WHERE name = '';
        ALTER TABLE items DROP CONSTRAINT IF EXISTS named, ADD COLUMN IF NOT EXISTS kind text;
        ALTER TABLE items ADD CONSTRAINT named CHECK (name <> '')";
    fleet.push(version(3, fix, None)).await;
    goes_on(&fleet, &id, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_failures_than_the_budget_halt_it_and_nobody_is_half_way() {
    let (fleet, bad) = fleet_with_three_that_fail().await;
    fleet.push(version(2, ADD_CHECK, None)).await;
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }], "maxFailures": 1 })).await;
    let halted = fleet.is(&id, "halted").await;
    let failed = halted["tenants"]["failed"].as_u64().unwrap();
    assert!((2..=3).contains(&failed), "{halted}");
    for slug in &fleet.tenants {
        assert_eq!(has_check(&fleet, slug).await, fleet.history(slug).await == [1, 2], "{slug}");
    }
    for tenant in fleet.tenants_in(&id, "failed").await {
        assert!(bad.contains(&tenant["slug"].as_str().unwrap().to_owned()), "{tenant}");
        assert!(tenant["error"].as_str().unwrap().contains("23514"), "{tenant}");
    }
    let fix = "-- replaces 2
        UPDATE items SET name = 'unnamed' WHERE name = '';
        ALTER TABLE items DROP CONSTRAINT IF EXISTS named, ADD COLUMN IF NOT EXISTS kind text;
        ALTER TABLE items ADD CONSTRAINT named CHECK (name <> '')";
    fleet.push(version(3, fix, None)).await;
    goes_on(&fleet, &id, 3).await;
    // Those that had version 2 keep it in their history.
    let mut histories: Vec<Vec<i64>> = Vec::new();
    for slug in &fleet.tenants {
        histories.push(fleet.history(slug).await);
    }
    assert!(histories.iter().all(|history| *history == [1, 3] || *history == [1, 2, 3]), "{histories:?}");
    assert!(histories.contains(&vec![1, 3]));
}

async fn goes_on(fleet: &Fleet, id: &str, target: i64) {
    let path = format!("/api/v1/rollouts/{id}/resume");
    fleet.app.api.post(&path, json!({ "targetVersion": target })).await.expect(200);
    let done = fleet.is(id, "succeeded").await;
    assert_eq!(done["tenants"]["done"], fleet.tenants.len(), "{done}");
    assert_eq!(done["versions"], json!([{ "version": target, "tenants": fleet.tenants.len() }]));
    for slug in &fleet.tenants {
        assert!(has_check(fleet, slug).await, "{slug}");
    }
    let app: Value = fleet.app.api.get(&format!("/api/v1/apps/{APP}")).await.expect(200).json();
    assert_eq!(app["promotedVersion"], target);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_within_the_budget_are_left_behind_and_named() {
    let (fleet, bad) = fleet_with_three_that_fail().await;
    fleet.push(version(2, ADD_CHECK, None)).await;
    let done = fleet.roll_out(json!({ "maxFailures": "10%" })).await;
    assert_eq!(done["tenants"]["failed"], 3);
    let (behind, there) = (3, fleet.tenants.len() - 3);
    let versions = json!([{ "version": 1, "tenants": behind }, { "version": 2, "tenants": there }]);
    assert_eq!(done["versions"], versions);
    // They are served as they were.
    let tenant = fleet.app.api.get(&format!("/api/v1/tenants/{}", bad[0])).await.expect(200).json();
    assert_eq!(tenant["placement"]["schemaVersion"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_tables_are_locked_is_passed_over_and_tried_again() {
    let fleet = Fleet::of(TestApp::start().await, 12).await;
    fleet.push(version(2, "ALTER TABLE items ADD COLUMN price int", None)).await;
    let locked = &fleet.tenants[5];
    let key = fleet.app.data_key(locked).await;
    let data = fleet.app.data.with_host(format!("{locked}.localhost")).with_key(key);
    data.get("/api/items").await.expect(200);
    let (mut session, schema) = fleet.session(locked).await;
    let reads = format!("BEGIN; SELECT FROM \"{schema}\".items");
    sqlx::raw_sql(AssertSqlSafe(reads)).execute(&mut session).await.unwrap();
    let body = json!({ "waves": [{ "percent": 100 }], "lockTimeoutMs": 300, "tries": 100 });
    let id = fleet.start(body).await;
    let mut longest = std::time::Duration::ZERO;
    loop {
        // Behind the statement that waits for the lock, for no longer than that does.
        let asked = std::time::Instant::now();
        data.get("/api/items").await.expect(200);
        longest = longest.max(asked.elapsed());
        let rollout = fleet.rollout(&id).await;
        let tries = &fleet.tenants_in(&id, "pending").await;
        let waits = tries.first().is_some_and(|tenant| tenant["tries"].as_u64() >= Some(2));
        if rollout["tenants"]["done"] == fleet.tenants.len() - 1 && waits {
            assert!(tries[0]["error"].as_str().unwrap().contains("lock"), "{tries:?}");
            break;
        }
    }
    assert!(longest < std::time::Duration::from_millis(1_500), "a request waited for {longest:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut session).await.unwrap();
    fleet.is(&id, "succeeded").await;
    assert_eq!(fleet.history(locked).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_could_not_be_made_concurrently_leaves_none_that_is_invalid() {
    let fleet = Fleet::of(TestApp::start().await, 3).await;
    let twice = &fleet.tenants[1];
    let (mut session, schema) = fleet.session(twice).await;
    let insert = format!("INSERT INTO \"{schema}\".items (name) VALUES ('first')");
    sqlx::query(AssertSqlSafe(insert)).execute(&mut session).await.unwrap();
    let index = "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY items_name ON items (name)";
    fleet.push(version(2, index, Some("DROP INDEX items_name"))).await;
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }] })).await;
    fleet.is(&id, "halted").await;
    let invalid =
        "SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid = '{schema}.items'::regclass";
    assert_eq!(fleet.ask(twice, invalid).await, 0);
    let delete = format!("DELETE FROM \"{schema}\".items WHERE id > 1");
    sqlx::query(AssertSqlSafe(delete)).execute(&mut session).await.unwrap();
    fleet.control(&id, "resume").await;
    fleet.is(&id, "succeeded").await;
    for slug in &fleet.tenants {
        let valid =
            "SELECT count(*) FROM pg_index WHERE indisvalid AND indrelid = '{schema}.items'::regclass";
        assert_eq!(fleet.ask(slug, valid).await, 2, "{slug}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_wave_whose_requests_fail_halts_the_rollout() {
    let quick =
        |settings: &mut tenantry_data_plane::Settings| settings.usage_interval = Duration::from_millis(200);
    let fleet = Fleet::of(TestApp::build().data_plane(quick).start().await, 3).await;
    let broken = "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'it does not work' USING ERRCODE = 'XX000'; END $$;
        CREATE TRIGGER broken BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION broken();";
    fleet.push(version(2, broken, Some("DROP TRIGGER broken ON items; DROP FUNCTION broken"))).await;
    let [canary, others @ ..] = fleet.tenants.as_slice() else { panic!("there are some") };
    let waves = json!([{ "tenants": [canary], "soakSeconds": 600 }, { "percent": 100 }]);
    let id = fleet.start(json!({ "waves": waves })).await;
    let watched = async || fleet.rollout(&id).await["soakUntil"].is_string();
    within(Duration::from_secs(30), "the canary is watched", watched).await;
    let key = fleet.app.data_key(canary).await;
    let data = fleet.app.data.with_host(format!("{canary}.localhost")).with_key(key);
    for _ in 0..30 {
        data.post("/api/items", json!({ "name": "x" })).await.expect(500);
    }
    let halted = fleet.is(&id, "halted").await;
    let reason = halted["reason"].as_str().unwrap();
    assert!(reason.contains("requests to tenants that have the version failed"), "{halted}");
    for other in others {
        assert_eq!(fleet.history(other).await, [1]);
    }
    fleet.app.api.post_and_wait(&format!("/api/v1/rollouts/{id}/rollback"), json!({})).await.expect(200);
    data.post("/api/items", json!({ "name": "x" })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_failure_halts_a_rollout_also_where_each_tenant_has_a_database() {
    let mut fleet = Fleet::empty(TestApp::start().await).await;
    fleet.push(version(1, "CREATE TABLE items (name text)", None)).await;
    fleet.sign_up("own", "premium", 3).await;
    let fails = "DO $$ BEGIN IF current_schema() ~ '^tenant_own' THEN RAISE EXCEPTION 'no'; END IF; END $$";
    fleet.push(version(2, fails, None)).await;
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }], "parallelism": 1 })).await;
    fleet.is(&id, "halted").await;
    let still = async || fleet.rollout(&id).await["tenants"]["migrating"] == 0;
    within(Duration::from_secs(20), "what was begun is over", still).await;
    let tenants = &fleet.rollout(&id).await["tenants"];
    assert_eq!((&tenants["failed"], &tenants["pending"]), (&json!(1), &json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_code_a_version_s_sql_raises_its_tenant_fails_and_its_server_is_there() {
    let fleet = Fleet::of(TestApp::start().await, 8).await;
    // As a server says that it goes down, has no connection left, or is gone; as Tenantry itself says that somebody else is at it.
    let raises = "DO $$ DECLARE codes text[] := '{57P01,57P03,08006,53300,TNY01,TNY02,TNY03,TNY04}'; BEGIN
        IF current_schema() ~ '^tenant_t\\d' THEN
            RAISE EXCEPTION 'no' USING ERRCODE = codes[substr(current_schema(), 9, 1)::int + 1];
        END IF;
    END $$";
    fleet.push(version(2, raises, None)).await;
    let body = json!({ "waves": [{ "percent": 100 }], "maxFailures": "100%", "tries": 1 });
    let id = fleet.start(body).await;
    let mut away = 0;
    let ended = async || {
        away += fleet.app.count("SELECT count(*) FROM servers WHERE unreachable_since IS NOT NULL").await;
        fleet.rollout(&id).await["state"] != "running"
    };
    within(Duration::from_mins(1), "it ends", ended).await;
    let tenants = &fleet.rollout(&id).await["tenants"];
    assert_eq!((away, &tenants["failed"]), (0, &json!(8)), "{tenants}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_gets_only_some_of_its_versions_fails_after_its_tries() {
    let fleet = Fleet::of(TestApp::start().await, 1).await;
    fleet.push(version(2, "CREATE TABLE more (id int)", None)).await;
    fleet.push(version(3, "-- no-transaction\nALTER TABLE items ADD COLUMN price int", None)).await;
    let (mut session, schema) = fleet.session(&fleet.tenants[0]).await;
    let mut locked = session.begin().await.unwrap();
    sqlx::query(AssertSqlSafe(format!("LOCK TABLE {schema}.items"))).execute(&mut *locked).await.unwrap();
    let waves = json!([{ "percent": 100 }]);
    let id = fleet.start(json!({ "waves": waves, "tries": 2, "lockTimeoutMs": 100, "force": true })).await;
    let halted = fleet.is(&id, "halted").await;
    assert_eq!(halted["versions"], json!([{ "version": 2, "tenants": 1 }]), "{halted}");
}
