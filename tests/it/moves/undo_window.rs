//! Undo windows: what a tenant has left is kept up to date, so that it can go back at once.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};
use tenantry_postgres::embedded::{Durability, EmbeddedPostgres};
use tenantry_tests::{Signup, TestApp, proxy::Proxy, server, within::within};

use super::{
    Way, begin, contents, deaf_during, ledger_on, move_to, moved, show, sign_up, upgrade, with_ledger,
};

pub(super) fn schema(tenant: &Signup) -> String {
    format!("tenant_{}", tenant.slug.replace('-', "_"))
}

/// Rows of a table in the tenant's schema of the shared database, which it has left.
async fn kept(app: &TestApp, tenant: &Signup, table: &str) -> i64 {
    let mut shared = server::admin(app.server(), app.shared_database()).await;
    let count = format!("SELECT count(*) FROM {}.{table}", schema(tenant));
    sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&mut shared).await.unwrap()
}

async fn followed(app: &TestApp, tenant: &Signup, table: &str, rows: i64) {
    let what = format!("{rows} rows of {table} are at the placement that it has left");
    within(Duration::from_secs(30), &what, async || kept(app, tenant, table).await == rows).await;
}

async fn slots(server: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM pg_replication_slots").fetch_one(server).await.unwrap()
}

/// Has a server write some 100 MB of WAL.
async fn write_much(server: &mut PgConnection) {
    let much = "CREATE TABLE much (word text); ALTER TABLE much ALTER word SET STORAGE PLAIN;
        INSERT INTO much SELECT repeat(md5(n::text), 100) FROM generate_series(1, 30000) n; DROP TABLE much; CHECKPOINT";
    for statement in much.split(';') {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut *server).await.unwrap();
    }
}

/// What identifies the schema: another one of the name has another number.
pub(super) async fn schema_oid(app: &TestApp, tenant: &Signup) -> Option<i64> {
    let mut shared = server::admin(app.server(), app.shared_database()).await;
    let oid = format!("SELECT to_regnamespace('{}')::oid::bigint", schema(tenant));
    sqlx::query_scalar(AssertSqlSafe(oid)).fetch_one(&mut shared).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_goes_back_to_what_it_has_left_with_all_that_was_written_since() {
    let app = with_ledger(Way::Live.with_undo()).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    let left = schema_oid(&app, &tenant).await;
    upgrade(&app, &tenant, "premium").await;
    let data = &tenant.data;
    // With and without a key, of both kinds of trigger, in a partition, by identity and deleted.
    for number in 1..=3 {
        data.post("/api/entries", json!({ "account": 2, "number": number, "amount": 1 })).await.expect(201);
    }
    data.delete("/api/entries?account=eq.2&number=eq.3").await.expect(204);
    data.patch("/api/things?name=eq.a%20thing", json!({ "name": "changed" })).await.expect(204);
    data.post("/api/events", json!({ "at": "2026-05-02", "what": "two" })).await.expect(201);
    followed(&app, &tenant, "entries", 3).await;
    // Beside what else is done to the tenant.
    let path = format!("/api/v1/tenants/{}", tenant.slug);
    for verb in ["suspend", "resume"] {
        app.api.post_and_wait(&format!("{path}/{verb}"), json!({})).await.expect(200);
    }
    data.post("/api/events", json!({ "at": "2026-05-03", "what": "three" })).await.expect(201);
    followed(&app, &tenant, "events", 4).await;
    let before = contents(&app, &tenant, app.server()).await;
    data.post("/api/things", json!({ "name": "four" })).await.expect(201);
    data.delete("/api/things?name=eq.four").await.expect(204);

    let back = app.api.get(&format!("{path}/move/undo")).await.expect(200).json();
    assert_eq!(
        (&back["tier"], &back["plan"], &back["kept"]),
        (&json!("schema"), &json!("basic"), &json!(true))
    );
    let undone = moved(&app, &tenant, "move/undo", json!({})).await;
    let shown = &undone["tenant"];
    assert_eq!((&shown["plan"], &shown["placement"]["tier"]), (&json!("basic"), &json!("schema")));
    assert_eq!(schema_oid(&app, &tenant).await, left, "it was not copied back");
    assert_eq!(contents(&app, &tenant, app.server()).await, before);
    let there = app.on_server().await;
    assert!(there.databases.is_empty() && there.replication.is_empty(), "{there:?}");
    assert_eq!(app.count("SELECT count(*) FROM placements").await, 1);
    data.post("/api/entries", json!({ "account": 2, "number": 4, "amount": 1 })).await.expect(201);
    app.api.post(&format!("{path}/move/undo"), json!({})).await.expect_problem(409, "nothing_to_undo");
    app.api.get(&format!("{path}/move/undo")).await.expect_problem(409, "nothing_to_undo");
    // And away again.
    upgrade(&app, &tenant, "premium").await;
    data.post("/api/entries", json!({ "account": 2, "number": 5, "amount": 1 })).await.expect(201);
    followed(&app, &tenant, "entries", 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_for_how_long_moves_to_it_can_be_undone() {
    // The installation says not at all.
    let app = with_ledger(Way::Live.build()).await;
    app.api.patch("/api/v1/plans/premium", json!({ "undoMovesHours": 48 })).await.expect(200);
    let tenant = sign_up(&app, "acme", "basic").await;
    let undo = format!("/api/v1/tenants/{}/move/undo", tenant.slug);
    upgrade(&app, &tenant, "premium").await;
    let back = app.api.get(&undo).await.expect(200).json();
    assert_eq!(back["kept"], true, "{back}");
    let hours =
        app.count("SELECT round(extract(epoch FROM closes_at - now()) / 3600)::bigint FROM undo_windows");
    assert_eq!(hours.await, 48, "{back}");

    upgrade(&app, &tenant, "basic").await;
    app.api.get(&undo).await.expect_problem(409, "nothing_to_undo");
    app.api.post(&undo, json!({})).await.expect_problem(409, "nothing_to_undo");
    assert_eq!(app.count("SELECT count(*) FROM undo_windows").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_has_left_is_dropped_when_its_time_is_over_or_it_moves_on_or_is_deleted() {
    let app = with_ledger(Way::Live.with_undo()).await;
    let gone = async |tenant: &Signup| schema_oid(&app, tenant).await.is_none();
    let over = sign_up(&app, "over", "basic").await;
    upgrade(&app, &over, "premium").await;
    assert!(!gone(&over).await);
    sqlx::raw_sql("UPDATE undo_windows SET closes_at = now()").execute(app.owner()).await.unwrap();
    app.until_zero("SELECT count(*) FROM undo_windows").await;
    assert!(gone(&over).await);
    over.data.post("/api/things", json!({ "name": "one more" })).await.expect(201);

    let on = sign_up(&app, "on", "basic").await;
    upgrade(&app, &on, "premium").await;
    move_to(&app, &on, json!({ "tier": "schema" })).await;
    assert!(!gone(&on).await, "it is there again");
    on.data.post("/api/things", json!({ "name": "one more" })).await.expect(201);

    let deleted = sign_up(&app, "deleted", "basic").await;
    upgrade(&app, &deleted, "premium").await;
    // And what was a database.
    let down = sign_up(&app, "down", "premium").await;
    upgrade(&app, &down, "basic").await;
    assert_eq!(app.on_server().await.databases.len(), 4);
    sqlx::raw_sql("UPDATE undo_windows SET closes_at = now() FROM tenants WHERE tenants.id = tenant_id AND slug LIKE 'down%'")
        .execute(app.owner())
        .await
        .unwrap();
    within(Duration::from_secs(30), "the database is dropped", async || {
        app.on_server().await.databases.len() == 3
    })
    .await;
    for tenant in [&over, &on, &deleted, &down] {
        let path = format!("/api/v1/tenants/{}?purge=now", tenant.slug);
        app.api.delete_and_wait(&path).await.expect(200);
    }
    app.assert_nothing_left().await;
    assert!(app.on_server().await.replication.is_empty());
    assert_eq!(app.count("SELECT count(*) FROM undo_windows").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_closes_early_and_says_why_where_the_tenants_tables_are_altered() {
    let app = with_ledger(Way::Live.with_undo()).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    let moved = upgrade(&app, &tenant, "premium").await["operation"]["id"].as_str().unwrap().to_owned();
    let mut own = super::as_admin(&app, &tenant, app.server()).await;
    let alter = format!(
        "ALTER TABLE {0}.things ADD word text; INSERT INTO {0}.things (name, word) VALUES ('x', 'y')",
        schema(&tenant)
    );
    sqlx::raw_sql(AssertSqlSafe(alter)).execute(&mut own).await.unwrap();
    app.until_zero("SELECT count(*) FROM undo_windows").await;
    assert!(schema_oid(&app, &tenant).await.is_none());
    assert!(app.on_server().await.replication.is_empty());
    let why = app.operation(&moved).await["report"]["noUndoWindow"].clone();
    assert!(why.as_str().unwrap().contains("cannot be made in its new tables"), "{why}");
    tenant.data.post("/api/entries", json!({ "account": 2, "number": 1, "amount": 1 })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_goes_and_comes_back_while_it_is_written_to_loses_nothing() {
    let app = with_ledger(Way::Live.with_undo()).await;
    ledger_on(&app, 4, "4 moves there and back", async |tenant, round| {
        if round % 2 == 0 {
            upgrade(&app, tenant, "premium").await;
        } else {
            moved(&app, tenant, "move/undo", json!({})).await;
        }
    })
    .await;
    let back = "SELECT count(*) FROM operations WHERE kind = 'move' AND durable_state->>'undone' IS NOT NULL";
    assert_eq!(app.count(back).await, 2, "it was not copied back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_closes_early_where_its_server_would_keep_too_much_wal_for_it() {
    let own = Arc::new(server::start(Durability::Volatile).await.unwrap());
    let other = server::start(Durability::Volatile).await.unwrap();
    let build = Way::Live.with_undo().on_server(own).worker(|worker| {
        worker.move_at_once = 0;
        worker.move_wal_keep_size = 32 << 20;
    });
    let app = with_ledger(build).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    app.add_server("other", &other).await;
    let moved = moved(&app, &tenant, "move", json!({ "server": "other" })).await;
    let mut there = server::admin(&other, "postgres").await;
    assert_eq!(slots(&mut there).await, 1);
    // What is kept cannot be written to, and somebody writes much at the other server.
    let mut kept = server::admin(app.server(), app.shared_database()).await;
    let lock = format!("BEGIN; LOCK {}.things", schema(&tenant));
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut kept).await.unwrap();
    tenant.data.post("/api/things", json!({ "name": "one more" })).await.expect(201);
    write_much(&mut there).await;
    let id = moved["operation"]["id"].as_str().unwrap();
    within(Duration::from_mins(1), "it says why", async || {
        let why = app.operation(id).await["report"]["noUndoWindow"].clone();
        why.as_str().is_some_and(|why| why.contains("MB of WAL"))
    })
    .await;
    within(
        Duration::from_secs(30),
        "the slot is dropped, although what was kept cannot be yet",
        async || slots(&mut there).await == 0,
    )
    .await;
    sqlx::raw_sql("ROLLBACK").execute(&mut kept).await.unwrap();
    app.until_zero("SELECT count(*) FROM undo_windows").await;
    assert!(schema_oid(&app, &tenant).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replication_slot_that_an_operation_has_left_is_dropped_and_no_other_installations() {
    let own = Arc::new(server::start(Durability::Volatile).await.unwrap());
    let app = with_ledger(Way::Live.with_undo().on_server(own)).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    let kept = sign_up(&app, "kept", "basic").await;
    upgrade(&app, &kept, "premium").await;
    let mut superuser = server::admin(app.server(), app.shared_database()).await;
    let of_tenant = show(&app, &tenant).await["id"].as_str().unwrap().replace('-', "");
    let of_nobody = "0123456789abcdef0123456789abcdef";
    for id in [of_tenant.as_str(), of_nobody] {
        let make = format!("SELECT pg_create_logical_replication_slot('tenantry_{id}_1', 'pgoutput')");
        sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut superuser).await.unwrap();
    }
    let mut slots = async || {
        let slots = "SELECT slot_name::text FROM pg_replication_slots";
        sqlx::query_scalar::<_, String>(slots).fetch_all(&mut superuser).await.unwrap()
    };
    within(Duration::from_secs(30), "it is dropped", async || {
        slots().await.iter().all(|name| !name.contains(&of_tenant))
    })
    .await;
    assert_eq!(slots().await.len(), 2, "that of nobody, and that of the undo window");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_plane_that_hears_nothing_of_a_move_and_of_its_undo_serves_nothing_old_and_fails_nothing() {
    let app = with_ledger(Way::Live.with_undo()).await;
    deaf_during(&app, 20, async |tenant| {
        for _ in 0..2 {
            upgrade(&app, tenant, "premium").await;
            moved(&app, tenant, "move/undo", json!({})).await;
        }
    })
    .await;
    let back = "SELECT count(*) FROM operations WHERE kind = 'move' AND durable_state->>'undone' IS NOT NULL";
    assert_eq!(app.count(back).await, 2, "it was not copied back");
    assert_eq!(app.on_server().await.schemas.len(), 1);
}

/// A tenant that has moved from server `other` to `main`, with an undo window.
pub(super) async fn moved_from(
    other: &EmbeddedPostgres,
    port: u16,
    most_wal: u64,
) -> (TestApp, Signup, String) {
    let own = Arc::new(server::start(Durability::Volatile).await.unwrap());
    let build = Way::Live.with_undo().on_server(own).worker(move |worker| {
        worker.move_at_once = 0;
        worker.move_wal_keep_size = most_wal;
    });
    let app = with_ledger(build).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    app.add_server_at("other", other, port).await;
    move_to(&app, &tenant, json!({ "server": "other" })).await;
    sqlx::raw_sql("UPDATE undo_windows SET closes_at = now()").execute(app.owner()).await.unwrap();
    app.until_zero("SELECT count(*) FROM undo_windows").await;
    let moved = move_to(&app, &tenant, json!({ "server": "main" })).await;
    let id = moved["operation"]["id"].as_str().unwrap().to_owned();
    assert_eq!(app.count("SELECT count(*) FROM undo_windows").await, 1);
    (app, tenant, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_ends_with_the_server_that_the_tenant_has_left() {
    let other = server::start(Durability::Volatile).await.unwrap();
    let (app, tenant, id) = moved_from(&other, other.port(), 1 << 30).await;
    other.stop().await.unwrap();
    let away = "SELECT 1 - count(*) FROM servers WHERE name = 'other' AND unreachable_since IS NOT NULL";
    app.until_zero(away).await;
    app.api.delete_and_wait("/api/v1/servers/other?lost=true").await.expect(200);
    app.until_zero("SELECT count(*) FROM undo_windows").await;
    let why = app.operation(&id).await["report"]["noUndoWindow"].clone();
    assert!(why.as_str().unwrap().contains("given up"), "{why}");
    assert!(app.on_server().await.replication.is_empty());
    tenant.data.post("/api/things", json!({ "name": "one more" })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn wal_that_is_kept_for_a_server_that_is_away_is_bounded() {
    let other = server::start(Durability::Volatile).await.unwrap();
    let proxy = Proxy::before(&other).await;
    let (app, tenant, _) = moved_from(&other, proxy.address.port(), 32 << 20).await;
    proxy.cut();
    // Also while an operation waits for that server: the window does not end then.
    let undo = begin(&app, &tenant, "move/undo", json!({})).await;
    within(Duration::from_secs(30), "it waits", async || app.operation(&undo).await["state"] == "waiting")
        .await;
    let mut there = server::admin(app.server(), "postgres").await;
    write_much(&mut there).await;
    within(Duration::from_mins(1), "the slot is dropped", async || slots(&mut there).await == 0).await;
    proxy.mend();
    let ended = app.operation_ended(&undo).await;
    assert_eq!(ended["state"], "failed", "{ended}");
    tenant.data.post("/api/things", json!({ "name": "one more" })).await.expect(201);
    app.until_zero("SELECT count(*) FROM undo_windows").await;
    assert_eq!(app.count("SELECT count(*) FROM placements").await, 1);
}
