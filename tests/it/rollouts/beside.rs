//! What goes on beside a rollout: requests, sign-ups, operations on its tenants.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tenantry_tests::{Api, TestApp, within::within};
use tokio::task::JoinSet;

use super::fleet::{APP, Fleet, size, version};

/// Reads and writes of every tenant, until it is told to stop; each request that fails is told.
struct Traffic {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    clients: JoinSet<Vec<String>>,
}

impl Traffic {
    async fn begin(fleet: &Fleet, clients: usize) -> Self {
        let open = async |slug: &String| {
            let key = fleet.app.data_key(slug).await;
            fleet.app.data.with_host(format!("{slug}.localhost")).with_key(key)
        };
        let tenants: Vec<Api> = stream::iter(&fleet.tenants).then(open).collect().await;
        let tenants = Arc::new(tenants);
        let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut all = JoinSet::new();
        for client in 0..clients {
            let (tenants, stop, served) = (Arc::clone(&tenants), Arc::clone(&stop), Arc::clone(&served));
            all.spawn(async move {
                let mut failures = Vec::new();
                for turn in client.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let tenant = &tenants[turn % tenants.len()];
                    let answers = [
                        tenant.get("/api/items?order=id&limit=5").await,
                        tenant.post("/api/items", json!({ "note": "written" })).await,
                        tenant.patch("/api/items?id=eq.1", json!({ "note": "changed" })).await,
                    ];
                    served.fetch_add(answers.len(), Ordering::Relaxed);
                    let failed = answers.iter().filter(|answer| !answer.status.is_success());
                    failures.extend(failed.map(|answer| format!("{}: {}", answer.status, answer.text)));
                    // 100 tenants are not one: each has a pause.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                failures
            });
        }
        Self { stop, served, clients: all }
    }

    async fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let failures = self.clients.join_all().await.into_iter().flatten().collect();
        (self.served.load(Ordering::Relaxed), failures)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_columns_are_added_renamed_and_dropped() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let mut fleet = Fleet::empty(app).await;
    let up = "CREATE TABLE items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, note text);
              INSERT INTO items (name) VALUES ('first');";
    fleet.push(version(1, up, None)).await;
    fleet.sign_up("t", "basic", size(20)).await;
    let traffic = Traffic::begin(&fleet, 6).await;
    let some = async || traffic.served.load(Ordering::Relaxed) > 100;
    within(Duration::from_secs(30), "there is traffic", some).await;
    // Added; renamed in two steps: first both are there and follow each other, then the old one goes; dropped.
    let expand = "ALTER TABLE items ADD COLUMN title text;
        CREATE FUNCTION items_follow() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.title := coalesce(NEW.title, NEW.name); RETURN NEW; END $$;
        CREATE TRIGGER items_follow BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION items_follow();";
    let fill = "-- backfill\nUPDATE items SET title = name WHERE id IN (
        SELECT id FROM items WHERE title IS NULL AND name IS NOT NULL LIMIT 100)";
    let contract = "-- contract\nDROP TRIGGER items_follow ON items; DROP FUNCTION items_follow; ALTER TABLE items DROP COLUMN name";
    let versions = [
        (2, "ALTER TABLE items ADD COLUMN price int NOT NULL DEFAULT 0"),
        (3, expand),
        (4, fill),
        (5, contract),
        (6, "ALTER TABLE items DROP COLUMN price"),
    ];
    for (number, up) in versions {
        fleet.push(version(number, up, None)).await;
        if number == 5 {
            // Not before somebody says so.
            let nothing = fleet.roll_out(json!({})).await;
            assert_eq!((&nothing["targetVersion"], &nothing["tenants"]["total"]), (&json!(4), &json!(0)));
            let body = json!({ "app": APP, "targetVersion": 5 });
            fleet.app.api.post("/api/v1/rollouts", body).await.expect_problem(409, "contract_too_early");
        }
        let done = fleet.roll_out(json!({ "contract": number == 5, "force": number == 6 })).await;
        assert_eq!(done["tenants"]["done"], fleet.tenants.len(), "{done}");
    }
    let (served, failures) = traffic.end().await;
    assert!(
        failures.is_empty(),
        "{} of {served} requests failed: {:?}",
        failures.len(),
        &failures[..failures.len().min(5)]
    );
    println!("{served} requests were served");
    for slug in &fleet.tenants {
        assert_eq!(fleet.ask(slug, "SELECT count(*) FROM {schema}.items WHERE title = 'first'").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_waits_until_every_tenant_has_the_version_before() {
    let fleet = Fleet::of(TestApp::start().await, 3).await;
    fleet.push(version(2, "ALTER TABLE items ADD COLUMN title text", None)).await;
    fleet.push(version(3, "-- contract\nALTER TABLE items DROP COLUMN name", None)).await;
    let body = json!({ "app": APP, "targetVersion": 3, "contract": true });
    let refused =
        fleet.app.api.post("/api/v1/rollouts", body.clone()).await.expect_problem(409, "contract_too_early");
    assert!(refused.text.contains("3 tenants"), "{}", refused.text);
    assert_eq!(fleet.roll_out(json!({ "contract": true })).await["targetVersion"], 2);
    fleet.app.api.post("/api/v1/rollouts", body).await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_up_meanwhile_gets_no_version_before_it_is_promoted_and_is_not_missed() {
    let mut fleet = Fleet::of(TestApp::start().await, 12).await;
    fleet.push(version(2, "ALTER TABLE items ADD COLUMN price int; SELECT pg_sleep(0.05)", None)).await;
    let first = fleet.tenants[0].clone();
    let waves = json!([{ "tenants": [first], "soakSeconds": 2 }, { "percent": 100 }]);
    let id = fleet.start(json!({ "waves": waves })).await;
    let watched = async || fleet.rollout(&id).await["soakUntil"].is_string();
    within(Duration::from_secs(30), "it is watched", watched).await;
    fleet.sign_up("meanwhile", "basic", 6).await;
    for slug in fleet.tenants.iter().skip(12) {
        assert_eq!(fleet.history(slug).await, [1], "{slug}");
    }
    let done = fleet.is(&id, "succeeded").await;
    assert_eq!(done["tenants"]["done"], 18, "{done}");
    fleet.sign_up("after", "basic", 1).await;
    for slug in &fleet.tenants {
        assert_eq!(fleet.history(slug).await, [1, 2], "{slug}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_that_are_suspended_are_migrated_and_deleted_ones_when_they_are_restored() {
    let fleet = Fleet::of(TestApp::start().await, 4).await;
    let [suspended, deleted] = [0, 1].map(|number| format!("/api/v1/tenants/{}", fleet.tenants[number]));
    fleet.app.api.post_and_wait(&format!("{suspended}/suspend"), json!({})).await.expect(200);
    fleet.app.api.delete_and_wait(&deleted).await.expect(200);
    fleet.push(version(2, "ALTER TABLE items ADD COLUMN price int", None)).await;
    let done = fleet.roll_out(json!({})).await;
    assert_eq!(done["tenants"]["done"], 3, "{done}");
    assert_eq!(fleet.history(&fleet.tenants[0]).await, [1, 2]);
    fleet.app.api.post_and_wait(&format!("{deleted}/restore"), json!({})).await.expect(200);
    assert_eq!(fleet.history(&fleet.tenants[1]).await, [1, 2]);
    let restored = fleet.app.api.get(&deleted).await.expect(200).json();
    assert_eq!(restored["placement"]["schemaVersion"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_on_a_tenant_and_its_migration_take_turns() {
    let fleet = Fleet::of(TestApp::start().await, 6).await;
    let slow = "ALTER TABLE items ADD COLUMN price int; SELECT pg_sleep(1)";
    fleet.push(version(2, slow, None)).await;
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }] })).await;
    let one = async || !fleet.tenants_in(&id, "migrating").await.is_empty();
    within(Duration::from_secs(30), "one is migrated", one).await;
    // Moves and suspensions of all, some of which are being migrated now, others not yet.
    let act = async |number: usize| {
        let path = format!("/api/v1/tenants/{}", fleet.tenants[number]);
        if number.is_multiple_of(2) {
            fleet.app.api.post_and_wait(&format!("{path}/move"), json!({ "tier": "database" })).await
        } else {
            fleet.app.api.post_and_wait(&format!("{path}/suspend"), json!({})).await
        }
    };
    let answers: Vec<_> = futures::future::join_all((0..6).map(act)).await;
    for answer in answers {
        answer.expect(200);
    }
    let done = fleet.is(&id, "succeeded").await;
    assert_eq!(done["tenants"]["done"], 6, "{done}");
    for slug in &fleet.tenants {
        assert_eq!(fleet.history(slug).await, [1, 2], "{slug}");
        let tenant: Value = fleet.app.api.get(&format!("/api/v1/tenants/{slug}")).await.expect(200).json();
        assert_eq!(tenant["placement"]["schemaVersion"], 2, "{tenant}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_outside_of_its_maintenance_window_waits_for_it() {
    let fleet = Fleet::of(TestApp::start().await, 2).await;
    // Also late in the evening, when it begins the next day.
    let later = "SELECT to_char(now() AT TIME ZONE 'UTC' + interval '2 hours', 'HH24:MI'),
        to_char(now() AT TIME ZONE 'UTC' + interval '3 hours', 'HH24:MI')";
    let later = sqlx::query_as::<_, (String, String)>(later).fetch_one(fleet.app.owner());
    let (start, end) = later.await.unwrap();
    let path = format!("/api/v1/tenants/{}/config/maintenance.window", fleet.tenants[0]);
    let window = json!({ "configValue": { "start": start, "end": end } });
    fleet.app.api.put(&path, window).await.expect(201);
    fleet.push(version(2, "ALTER TABLE items ADD COLUMN price int", None)).await;
    let id = fleet.start(json!({ "waves": [{ "percent": 100 }] })).await;
    let waits = async || {
        let pending = fleet.tenants_in(&id, "pending").await;
        pending.len() == 1 && pending[0]["error"] == "waits for its maintenance window"
    };
    within(Duration::from_secs(30), "it waits", waits).await;
    assert_eq!(fleet.history(&fleet.tenants[0]).await, [1]);
    fleet.app.api.delete(&path).await.expect(204);
    fleet.is(&id, "succeeded").await;
    assert_eq!(fleet.history(&fleet.tenants[0]).await, [1, 2]);
}
