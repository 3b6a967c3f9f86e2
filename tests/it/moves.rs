//! Tenants that are moved while they are written to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantry_postgres::embedded::{Durability, EmbeddedPostgres};
use tenantry_tests::{
    Api, Signup, TestApp, app::TestAppBuilder, local_servers, probe::Gate, server, within::within,
};

mod bounds;
mod full_disk;
mod kept_session;
mod undo_trouble;
mod undo_window;

const ACCOUNTS: u32 = 8;

/// A test's app with one app of everything that PostgreSQL lets a schema hold.
async fn start() -> TestApp {
    with_ledger(TestApp::build().without_daily_quotas()).await
}

pub(super) async fn with_ledger(build: TestAppBuilder) -> TestApp {
    let app = build.with_apps(&[]).start().await;
    app.api.put("/api/v1/apps/ledger", json!({ "manifest": {} })).await.expect(200);
    let version = json!({
        "version": 20_261_128_000_000_u64, "name": "ledger", "up": include_str!("moves/ledger.sql"),
    });
    app.api.post("/api/v1/apps/ledger/versions", version).await.expect(201);
    app
}

/// A tenant with accounts, and something in every table.
pub(super) async fn sign_up(app: &TestApp, slug: &str, plan: &str) -> Signup {
    let tenant = app.sign_up(slug, plan, "ledger").await;
    let accounts: Vec<Value> =
        (1..=ACCOUNTS).map(|id| json!({ "id": id, "parent": ACCOUNTS + 1 - id })).collect();
    tenant.data.post("/api/accounts", json!(accounts)).await.expect(201);
    let text = "\u{1F980} \\ \t \"quoted\"";
    for (table, row) in [
        ("entries", json!({ "account": 1, "number": 0, "amount": 5, "note": text })),
        ("files", json!({ "name": "a", "content": "\\x00ff" })),
        ("events", json!({ "at": "2026-05-01", "what": "one" })),
        ("events", json!({ "at": "2030-05-01", "what": "later" })),
        ("things", json!({ "name": "a thing" })),
        ("special_things", json!({ "name": "another", "speciality": "yes" })),
    ] {
        tenant.data.post(&format!("/api/{table}"), row).await.expect(201);
    }
    tenant
}

async fn show(app: &TestApp, tenant: &Signup) -> Value {
    app.api.get(&format!("/api/v1/tenants/{}", tenant.slug)).await.expect(200).json()
}

pub(super) async fn move_to(app: &TestApp, tenant: &Signup, body: Value) -> Value {
    moved(app, tenant, "move", body).await
}

/// Asks for a move; answers the operation.
pub(super) async fn begin(app: &TestApp, tenant: &Signup, path: &str, body: Value) -> String {
    let begun = app.api.post(&format!("/api/v1/tenants/{}/{path}", tenant.slug), body).await;
    begun.expect(202).json()["operation"]["id"].as_str().unwrap().to_owned()
}

/// Asks for a move and waits for its end, however long it takes; answers tenant and operation as they are then.
async fn moved(app: &TestApp, tenant: &Signup, path: &str, body: Value) -> Value {
    let operation = app.operation_ended(&begin(app, tenant, path, body).await).await;
    assert_eq!(operation["state"], "succeeded", "{operation}");
    json!({ "tenant": show(app, tenant).await, "operation": operation })
}

async fn upgrade(app: &TestApp, tenant: &Signup, plan: &str) -> Value {
    moved(app, tenant, "migrate", json!({ "targetPlan": plan })).await
}

/// For how long writes waited in the last move of a tenant, and what it compared.
async fn last_move(app: &TestApp) -> (Duration, Value) {
    let state: Value = sqlx::query_scalar(
        "SELECT durable_state FROM operations WHERE kind = 'move' AND state = 'succeeded' ORDER BY finished_at DESC LIMIT 1",
    )
    .fetch_one(app.owner())
    .await
    .unwrap();
    (Duration::from_micros(state["pause_us"].as_u64().unwrap()), state["verified"].clone())
}

/// What a tenant's tables hold, in order, as an admin sees it where the tenant is served, on this server.
pub(super) async fn contents(app: &TestApp, tenant: &Signup, server: &EmbeddedPostgres) -> Vec<String> {
    let mut connection = as_admin(app, tenant, server).await;
    let schema = format!("tenant_{}", tenant.slug.replace('-', "_"));
    let mut all = Vec::new();
    for table in ["accounts", "entries", "seen", "files", "events", "things", "special_things", "rich"] {
        let rows = format!(
            "SELECT coalesce(string_agg(t::text, E'\n' ORDER BY t::text), '') FROM {schema}.{table} t"
        );
        let rows: String = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(&mut connection).await.unwrap();
        all.push(format!("{table}: {rows}"));
    }
    let next = format!("SELECT last_value || ' ' || is_called FROM {schema}.entries_id_seq");
    all.push(sqlx::query_scalar(AssertSqlSafe(next)).fetch_one(&mut connection).await.unwrap());
    let enabled = format!(
        "SELECT string_agg(tgname || tgenabled::text, ' ' ORDER BY 1) FROM pg_trigger
        WHERE NOT tgisinternal AND tgrelid = '{schema}.entries'::regclass"
    );
    all.push(sqlx::query_scalar(AssertSqlSafe(enabled)).fetch_one(&mut connection).await.unwrap());
    all
}

/// The database in which a tenant is served, on this server or one of its own, as its superuser.
async fn as_admin(app: &TestApp, tenant: &Signup, of: &EmbeddedPostgres) -> PgConnection {
    let at = app.connection(&tenant.slug).await;
    let (port, database) = (&at["port"], at["database"].as_str().unwrap());
    if *port == of.port() {
        server::admin(of, database).await
    } else {
        local_servers::admin(app.label(), port.as_u64().unwrap(), database).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_goes_up_a_tier_and_down_again_with_everything_that_it_has() {
    up_and_down(TestApp::build().without_daily_quotas()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_moved_live_brings_everything_that_it_has_too() {
    up_and_down(Way::Live.build()).await;
}

/// Also for the tests of other versions of PostgreSQL.
pub(super) async fn up_and_down(build: TestAppBuilder) {
    let app = with_ledger(build).await;
    allow_copies(&app).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    let before = contents(&app, &tenant, app.server()).await;
    upgrade(&app, &tenant, "premium").await;
    let shown = show(&app, &tenant).await;
    assert_eq!((&shown["plan"], &shown["placement"]["tier"]), (&json!("premium"), &json!("database")));
    assert_eq!(contents(&app, &tenant, app.server()).await, before);
    let on_server = app.on_server().await;
    assert_eq!((on_server.schemas.len(), on_server.databases.len(), on_server.roles.len()), (0, 1, 1));
    let totals = tenant.data.get("/api/totals").await.expect(200).json();
    assert_eq!(totals, json!([{ "account": 1, "total": 5.0 }]), "it is made anew");
    // It goes on where it was: the next number of the sequence, the triggers, its own password.
    let entry = json!({ "account": 2, "number": 1, "amount": 7 });
    tenant.data.post("/api/entries", entry).await.expect(201);
    let rows = tenant.data.get("/api/entries?select=id,number&order=id").await.expect(200).json();
    assert_eq!(rows, json!([{ "id": 1, "number": 0 }, { "id": 2, "number": 1 }]));
    assert_eq!(tenant.data.get("/api/seen").await.json().as_array().unwrap().len(), 2);
    PgConnection::connect(&app.own_url(&tenant.slug).await).await.unwrap().close().await.unwrap();
    let before = contents(&app, &tenant, app.server()).await;
    upgrade(&app, &tenant, "basic").await;
    assert_eq!(contents(&app, &tenant, app.server()).await, before);
    let on_server = app.on_server().await;
    assert_eq!((on_server.schemas.len(), on_server.databases.len(), on_server.roles.len()), (1, 0, 1));
    let (_, verified) = last_move(&app).await;
    assert!(
        verified.as_array().unwrap().iter().any(|table| table[0] == "entries" && table[1] == 2),
        "{verified}"
    );
    app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", tenant.slug)).await.expect(200);
    app.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_goes_to_another_server_and_leaves_nothing_behind() {
    let app = start().await;
    let other = server::start(Durability::Volatile).await.unwrap();
    let tenant = sign_up(&app, "acme", "basic").await;
    let before = contents(&app, &tenant, app.server()).await;
    app.add_server("other", &other).await;
    for (body, tier) in [
        (json!({ "server": "other" }), "schema"),
        (json!({ "server": "other", "tier": "database" }), "database"),
    ] {
        move_to(&app, &tenant, body).await;
        let shown = show(&app, &tenant).await;
        assert_eq!(
            (&shown["placement"]["server"], &shown["placement"]["tier"]),
            (&json!("other"), &json!(tier))
        );
        assert_eq!(contents(&app, &tenant, &other).await, before);
        assert!(app.on_server().await.is_empty());
        tenant.data.get("/api/accounts").await.expect(200);
        PgConnection::connect(&app.own_url(&tenant.slug).await).await.unwrap().close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_goes_to_a_server_of_its_own_and_back_with_everything_that_it_has() {
    for way in [Way::AtOnce, Way::Live] {
        let app = with_ledger(way.build()).await;
        let tenant = sign_up(&app, "acme", "basic").await;
        let before = contents(&app, &tenant, app.server()).await;
        upgrade(&app, &tenant, "enterprise").await;
        assert_eq!(show(&app, &tenant).await["placement"]["tier"], "instance");
        assert_eq!(contents(&app, &tenant, app.server()).await, before);
        assert!(app.on_server().await.is_empty());
        let first = local_servers::existing(app.label());
        // Sideways: to another one of its own.
        move_to(&app, &tenant, json!({ "tier": "instance" })).await;
        assert_eq!(contents(&app, &tenant, app.server()).await, before);
        let second = local_servers::existing(app.label());
        assert!(second.len() == 1 && second != first, "{first:?} {second:?}");
        upgrade(&app, &tenant, "premium").await;
        assert_eq!(contents(&app, &tenant, app.server()).await, before);
        assert!(local_servers::existing(app.label()).is_empty());
        app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", tenant.slug)).await.expect(200);
        app.assert_nothing_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_a_move_would_meet_and_changes_nothing() {
    let app = with_ledger(Way::Live.build()).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    let path = format!("/api/v1/tenants/{}/move?dryRun=true", tenant.slug);
    let ask = async |body: Value| app.api.post(&path, body).await.expect(200).json();
    let found = ask(json!({ "tier": "database" })).await;
    assert_eq!(
        (&found["possible"], &found["obstacles"], &found["server"], &found["tier"], &found["live"]),
        (&json!(true), &json!([]), &json!("main"), &json!("database"), &json!(true))
    );
    assert!(found["tables"].as_u64().unwrap() >= 8 && found["bytes"].as_u64().unwrap() > 0, "{found}");
    assert!(found["expectedSeconds"].as_u64().unwrap() >= 1, "{found}");
    let offline = ask(json!({ "tier": "database", "offline": true })).await;
    assert_eq!(offline["live"], false);
    let own = ask(json!({ "tier": "instance" })).await;
    assert_eq!((&own["possible"], &own["server"]), (&json!(true), &json!(null)), "it is made for it");
    app.api.patch("/api/v1/servers/main", json!({ "state": "cordoned" })).await.expect(200);
    let full = ask(json!({ "tier": "database" })).await;
    assert_eq!(full["possible"], false);
    assert!(full["obstacles"][0].as_str().unwrap().contains("no server"), "{full}");
    app.api.patch("/api/v1/servers/main", json!({ "state": "active" })).await.expect(200);
    let mut admin = as_admin(&app, &tenant, app.server()).await;
    let unlogged = format!("ALTER TABLE tenant_{}.things SET UNLOGGED", tenant.slug.replace('-', "_"));
    sqlx::raw_sql(AssertSqlSafe(unlogged)).execute(&mut admin).await.unwrap();
    let named = ask(json!({ "tier": "database" })).await;
    assert_eq!(named["possible"], false);
    assert!(named["obstacles"][0].as_str().unwrap().contains("table things is unlogged"), "{named}");
    app.api.post(&path, json!({ "tier": "schema" })).await.expect_problem(409, "already_there");
    assert_eq!(app.count("SELECT count(*) FROM operations WHERE kind = 'move'").await, 0);
    assert_eq!(app.count("SELECT count(*) FROM placements").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_is_undone_with_what_was_written_since_within_its_time() {
    let app = with_ledger(Way::AtOnce.with_undo()).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    let undo = format!("/api/v1/tenants/{}/move/undo", tenant.slug);
    app.api.post(&undo, json!({})).await.expect_problem(409, "nothing_to_undo");
    upgrade(&app, &tenant, "enterprise").await;
    let entry = json!({ "account": 2, "number": 1, "amount": 7 });
    tenant.data.post("/api/entries", entry).await.expect(201);
    let undone = moved(&app, &tenant, "move/undo", json!({})).await;
    let shown = &undone["tenant"];
    assert_eq!(
        (&shown["plan"], &shown["placement"]["tier"], &shown["placement"]["server"]),
        (&json!("basic"), &json!("schema"), &json!("main"))
    );
    let rows = tenant.data.get("/api/entries?select=number&order=number").await.expect(200).json();
    assert_eq!(rows, json!([{ "number": 0 }, { "number": 1 }]));
    assert!(local_servers::existing(app.label()).is_empty());
    // Asked for twice, it takes the tenant nowhere else.
    app.api.post(&undo, json!({})).await.expect_problem(409, "nothing_to_undo");
    upgrade(&app, &tenant, "premium").await;
    let expire = "UPDATE operations SET finished_at = finished_at - interval '25 hours' WHERE kind = 'move'";
    sqlx::raw_sql(expire).execute(app.owner()).await.unwrap();
    app.api.post(&undo, json!({})).await.expect_problem(409, "nothing_to_undo");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_a_tenant_is_about_to_get_or_goes_back_to_is_missed_before_writes_wait() {
    let gate = Arc::new(Gate::at("prepare"));
    let app = with_ledger(Way::AtOnce.with_undo().with_shared_probe(gate.clone())).await;
    let plan = json!({ "name": "gold", "tier": "database", "limits": {}, "features": {} });
    app.api.post("/api/v1/plans", plan).await.expect(201);
    let tenant = sign_up(&app, "acme", "basic").await;
    let path = format!("/api/v1/tenants/{}", tenant.slug);
    let begun =
        app.api.post(&format!("{path}/migrate"), json!({ "targetPlan": "gold" })).await.expect(202).json();
    gate.reached().await;
    app.api.delete("/api/v1/plans/gold").await.expect_problem(409, "plan_in_use");
    gate.open();
    let moved = app.operation_ended(begun["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(moved["state"], "succeeded", "{moved}");
    upgrade(&app, &tenant, "basic").await;
    app.api.delete("/api/v1/plans/gold").await.expect(204);
    app.api.post(&format!("{path}/move/undo"), json!({})).await.expect_problem(422, "unknown_plan");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_reports_what_was_moved_and_for_how_long_writes_waited() {
    for way in [Way::AtOnce, Way::Live] {
        let app = with_ledger(way.build()).await;
        let tenant = sign_up(&app, "acme", "basic").await;
        let moved = upgrade(&app, &tenant, "premium").await;
        let report = &moved["operation"]["report"];
        assert_eq!(report["live"], matches!(way, Way::Live), "{report}");
        assert!(
            report["bytes"].as_u64().unwrap() > 0 && report["pauseMs"].as_f64().unwrap() > 0.0,
            "{report}"
        );
        let accounts = report["tables"].as_array().unwrap().iter().find(|table| table["table"] == "accounts");
        assert_eq!(accounts.unwrap()["rows"], ACCOUNTS, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_the_same_tier_is_changed_at_once() {
    let app = TestApp::build().without_daily_quotas().with_apps(&["crm"]).start().await;
    let plan = json!({ "name": "basic-plus", "tier": "schema", "features": { "extra": true } });
    app.api.post("/api/v1/plans", plan).await.expect(201);
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let path = format!("/api/v1/tenants/{}/migrate", tenant.slug);
    let changed = app.api.post(&path, json!({ "targetPlan": "basic-plus" })).await.expect(200).json();
    assert_eq!((&changed["tenant"]["plan"], &changed["operation"]), (&json!("basic-plus"), &Value::Null));
    assert_eq!(app.count("SELECT count(*) FROM operations WHERE kind = 'move'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_moved_is_refused_by_name_and_is_served_as_before() {
    let app = start().await;
    let tenant = sign_up(&app, "acme", "basic").await;
    let path = format!("/api/v1/tenants/{}", tenant.slug);
    for (verb, body, status, code) in [
        ("move", json!({}), 400, "invalid_field"),
        ("move", json!({ "tier": "schema" }), 409, "already_there"),
        ("move", json!({ "server": "main" }), 409, "already_there"),
        ("move", json!({ "server": "nowhere" }), 422, "unknown_server"),
        ("move", json!({ "tier": "cloud" }), 400, "invalid_field"),
        ("migrate", json!({ "targetPlan": "gold" }), 422, "unknown_plan"),
        ("migrate", json!({ "targetPlan": "a b" }), 400, "invalid_field"),
        ("migrate", json!({}), 400, "missing_field"),
    ] {
        app.api.post(&format!("{path}/{verb}"), body).await.expect_problem(status, code);
    }
    let before = contents(&app, &tenant, app.server()).await;
    let schema = format!("tenant_{}", tenant.slug.replace('-', "_"));
    let mut admin = as_admin(&app, &tenant, app.server()).await;
    for (change, back, named) in [
        (
            "ALTER TABLE entries ADD COLUMN by_hand integer",
            "ALTER TABLE entries DROP COLUMN by_hand",
            "column entries.by_hand is only at the tenant",
        ),
        (
            "ALTER INDEX entries_note RENAME TO renamed",
            "ALTER INDEX renamed RENAME TO entries_note",
            "index renamed",
        ),
        ("REVOKE INSERT ON files FROM PUBLIC, ROLE", "GRANT INSERT ON files TO ROLE", "table files is"),
        ("ALTER TABLE files OWNER TO CURRENT_USER", "ALTER TABLE files OWNER TO tenantry_owner", "OWNER TO"),
    ] {
        let run = |sql: &str| {
            AssertSqlSafe(format!("SET search_path = {schema}; {}", sql.replace("ROLE", &schema)))
        };
        sqlx::raw_sql(run(change)).execute(&mut admin).await.unwrap();
        let refused = app.api.post_and_wait(&format!("{path}/move"), json!({ "tier": "database" })).await;
        let refused = refused.expect_problem(422, "operation_failed");
        assert!(refused.text.contains(named), "{change}: {}", refused.text);
        let id = refused.json()["operation"]["id"].as_str().unwrap().to_owned();
        app.api.post(&format!("/api/v1/operations/{id}/retry"), json!({})).await.expect(202);
        assert_eq!(app.operation_ended(&id).await["state"], "failed", "{change}");
        sqlx::raw_sql(run(back)).execute(&mut admin).await.unwrap();
        tenant.data.get("/api/entries").await.expect(200);
    }
    assert_eq!(contents(&app, &tenant, app.server()).await, before);
    let on_server = app.on_server().await;
    assert_eq!((on_server.schemas.len(), on_server.databases.len(), on_server.roles.len()), (1, 0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_moved_live_is_named_and_can_be_moved_offline() {
    let app = TestApp::build()
        .without_daily_quotas()
        .with_apps(&["crm"])
        .worker(|worker| worker.move_at_once = 1 << 20)
        .start()
        .await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let much: Vec<Value> =
        (0..40).map(|n| json!({ "email": format!("{n}"), "company": "x".repeat(40_000) })).collect();
    tenant.data.post("/api/contacts", json!(much)).await.expect(201);
    let more = format!(
        "INSERT INTO tenant_{}.contacts (email, company) SELECT n, string_agg(md5(n::text || m), '')
            FROM generate_series(100, 200) n, generate_series(1, 1000) m GROUP BY n",
        tenant.slug.replace('-', "_")
    );
    let mut admin = as_admin(&app, &tenant, app.server()).await;
    sqlx::raw_sql(AssertSqlSafe(more)).execute(&mut admin).await.unwrap();
    let schema = format!("tenant_{}", tenant.slug.replace('-', "_"));
    let unlogged = format!("SET ROLE tenantry_owner; CREATE UNLOGGED TABLE {schema}.scratch (); RESET ROLE");
    sqlx::raw_sql(AssertSqlSafe(unlogged)).execute(&mut admin).await.unwrap();
    let path = format!("/api/v1/tenants/{}/move", tenant.slug);
    let refused = app.api.post_and_wait(&path, json!({ "tier": "database" })).await;
    let refused = refused.expect_problem(422, "operation_failed");
    assert!(refused.text.contains("table scratch is unlogged"), "{}", refused.text);
    let drop = format!("DROP TABLE {schema}.scratch");
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut admin).await.unwrap();
    for (tier, offline) in [("database", true), ("schema", false)] {
        move_to(&app, &tenant, json!({ "tier": tier, "offline": offline })).await;
        let count = tenant.data.get("/api/contacts?select=count()").await.expect(200).json();
        assert_eq!(count, json!([{ "count": 141 }]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_move_without_a_free_slot_is_refused_and_the_tenant_served_as_before() {
    let own = Arc::new(server::start(Durability::Volatile).await.unwrap());
    let app = with_ledger(Way::Live.build().on_server(Arc::clone(&own))).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    let mut superuser = server::admin(&own, "postgres").await;
    let take = "SELECT pg_create_physical_replication_slot('taken_' || n)
        FROM generate_series(1, current_setting('max_replication_slots')::int) n";
    sqlx::raw_sql(take).execute(&mut superuser).await.unwrap();
    let path = format!("/api/v1/tenants/{}/move", tenant.slug);
    let refused = app.api.post_and_wait(&path, json!({ "tier": "database" })).await;
    let refused = refused.expect_problem(422, "operation_failed");
    assert!(refused.text.contains("replication slots of the server are used"), "{}", refused.text);
    tenant.data.post("/api/things", json!({ "name": "one more" })).await.expect(201);
    let free = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots";
    sqlx::raw_sql(free).execute(&mut superuser).await.unwrap();
    move_to(&app, &tenant, json!({ "tier": "database" })).await;
    tenant.data.post("/api/things", json!({ "name": "another" })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_holds_a_table_for_long_ends_a_move_and_not_the_service() {
    let app = start().await;
    let tenant = sign_up(&app, "acme", "basic").await;
    let mut holder = as_admin(&app, &tenant, app.server()).await;
    let hold =
        format!("BEGIN; LOCK TABLE tenant_{}.things IN ROW EXCLUSIVE MODE", tenant.slug.replace('-', "_"));
    sqlx::raw_sql(AssertSqlSafe(hold)).execute(&mut holder).await.unwrap();
    let path = format!("/api/v1/tenants/{}/move", tenant.slug);
    let refused = app
        .api
        .post_and_wait(&path, json!({ "tier": "database" }))
        .await
        .expect_problem(422, "operation_failed");
    assert!(refused.text.contains("a transaction goes on for long"), "{}", refused.text);
    tenant.data.post("/api/entries", json!({ "account": 1, "number": 1, "amount": 1 })).await.expect(201);
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    move_to(&app, &tenant, json!({ "tier": "database" })).await;
    tenant.data.post("/api/entries", json!({ "account": 1, "number": 2, "amount": 1 })).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_move_is_refused_and_a_suspension_has_the_first_stop() {
    let app = start().await;
    let tenant = sign_up(&app, "acme", "basic").await;
    let mut holder = as_admin(&app, &tenant, app.server()).await;
    // It waits for a writer until it is told to stop.
    let hold =
        format!("BEGIN; LOCK TABLE tenant_{}.things IN ROW EXCLUSIVE MODE", tenant.slug.replace('-', "_"));
    sqlx::raw_sql(AssertSqlSafe(hold)).execute(&mut holder).await.unwrap();
    let path = format!("/api/v1/tenants/{}", tenant.slug);
    let operation = begin(&app, &tenant, "move", json!({ "tier": "database" })).await;
    within(Duration::from_secs(20), "the move closes the tables", async || {
        app.operation(&operation).await["step"] == "cutover"
    })
    .await;
    let second = app.api.post(&format!("{path}/move"), json!({ "tier": "database" })).await;
    second.expect_problem(409, "operation_in_progress");
    app.api.post_and_wait(&format!("{path}/suspend"), json!({})).await.expect(200);
    assert_eq!(app.operation_ended(&operation).await["state"], "cancelled");
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    tenant.data.get("/api/things").await.expect_problem(403, "tenant_suspended");
    // One that is suspended can be moved, and stays so.
    move_to(&app, &tenant, json!({ "tier": "database" })).await;
    tenant.data.get("/api/things").await.expect_problem(403, "tenant_suspended");
    assert!(PgConnection::connect(&app.own_url(&tenant.slug).await).await.is_err());
    app.api.post_and_wait(&format!("{path}/resume"), json!({})).await.expect(200);
    tenant.data.post("/api/things", json!({ "name": "one more" })).await.expect(201);
    PgConnection::connect(&app.own_url(&tenant.slug).await).await.unwrap().close().await.unwrap();
}

/// A tenant whose move stands at a gate, and that move.
async fn moving(gate: &Arc<Gate>, way: Way) -> (TestApp, Signup, String) {
    let app = with_ledger(way.build().with_shared_probe(gate.clone())).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    let operation = begin(&app, &tenant, "move", json!({ "tier": "database" })).await;
    gate.reached().await;
    (app, tenant, operation)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_asked_to_stop_when_all_is_copied_is_undone_as_a_whole() {
    for way in [Way::AtOnce, Way::Live] {
        let gate = Arc::new(Gate::after("cutover"));
        let (app, tenant, operation) = moving(&gate, way).await;
        app.api.post(&format!("/api/v1/operations/{operation}/cancel"), json!({})).await.expect(202);
        gate.open();
        assert_eq!(app.operation_ended(&operation).await["state"], "cancelled", "{way:?}");
        assert_eq!(show(&app, &tenant).await["placement"]["tier"], "schema", "{way:?}");
        let entry = json!({ "account": 1, "number": 1, "amount": 1 });
        tenant.data.post("/api/entries", entry).await.expect(201);
        let on_server = app.on_server().await;
        assert_eq!((on_server.schemas.len(), on_server.databases.len()), (1, 0), "{way:?}");
        assert!(on_server.replication.is_empty(), "{on_server:?}");
        move_to(&app, &tenant, json!({ "tier": "database" })).await;
        let entries = tenant.data.get("/api/entries?select=count()").await.expect(200).json();
        assert_eq!(entries, json!([{ "count": 2 }]), "{way:?}");
    }
}

/// It would lose what it writes there when the move is undone, and repeat numbers of a sequence that another attempt sets again.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_the_tenant_s_own_comes_to_the_new_tables_when_the_move_cannot_be_undone_any_more() {
    for way in [Way::AtOnce, Way::Live] {
        let gate = Arc::new(Gate::after("cutover"));
        let (app, tenant, operation) = moving(&gate, way).await;
        let database = app.on_server().await.databases.pop_first().unwrap();
        let mut admin = server::admin(app.server(), &database).await;
        let mut is_let_in = async || {
            let role = format!("tenant_{}", tenant.slug.replace('-', "_"));
            let asks = sqlx::query_scalar::<_, bool>("SELECT has_schema_privilege($1, $1, 'USAGE')");
            asks.bind(role).fetch_one(&mut admin).await.unwrap()
        };
        assert!(!is_let_in().await, "{way:?}");
        gate.open();
        let ended = app.operation_ended(&operation).await;
        assert_eq!(ended["state"], "succeeded", "{way:?}: {ended}");
        assert!(is_let_in().await, "{way:?}");
        let own = app.own_url(&tenant.slug).await;
        PgConnection::connect(&own).await.unwrap().close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_changed_in_mid_move_end_it_and_nothing_of_them_is_lost() {
    for way in [Way::AtOnce, Way::Live] {
        let gate = Arc::new(Gate::at("cutover"));
        let (app, tenant, operation) = moving(&gate, way).await;
        let mut admin = as_admin(&app, &tenant, app.server()).await;
        let change = format!(
            "SET search_path = tenant_{}; SET ROLE tenantry_owner;
            CREATE TABLE events_2027 PARTITION OF events FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
            INSERT INTO events VALUES ('2027-05-01', 'new')",
            tenant.slug.replace('-', "_")
        );
        sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut admin).await.unwrap();
        gate.open();
        let ended = app.operation_ended(&operation).await;
        assert_eq!(ended["state"], "failed", "{way:?}: {ended}");
        assert!(ended["error"].as_str().unwrap().contains("changed while it was being moved"), "{ended}");
        let events = tenant.data.get("/api/events?select=what&what=eq.new").await.expect(200).json();
        assert_eq!(events, json!([{ "what": "new" }]));
        let entry = json!({ "account": 1, "number": 1, "amount": 1 });
        tenant.data.post("/api/entries", entry).await.expect(201);
        // Asked for once more, it is refused in an earlier step, and ends as before.
        app.api.post(&format!("/api/v1/operations/{operation}/retry"), json!({})).await.expect(202);
        let ended = app.operation_ended(&operation).await;
        assert_eq!(ended["state"], "failed", "{way:?}: {ended}");
    }
}

/// Lets admin logins that are no superusers do what a move needs, as it tells them to ask for.
async fn allow_copies(app: &TestApp) {
    let allow = "DO $$ DECLARE admin name; BEGIN
        FOR admin IN SELECT rolname FROM pg_roles WHERE rolcreaterole AND rolcreatedb AND NOT rolsuper LOOP
            EXECUTE format('GRANT SET ON PARAMETER session_replication_role TO %I', admin);
            EXECUTE format('ALTER ROLE %I REPLICATION', admin);
        END LOOP; END $$";
    let mut superuser = server::admin(app.server(), "postgres").await;
    sqlx::raw_sql(allow).execute(&mut superuser).await.unwrap();
}

/// Numbers that a writer was told are written.
struct Writer {
    account: u32,
    acknowledged: u32,
    longest: Duration,
}

/// Writes entries one after another until it is told to stop. Every request must be answered well.
async fn write(data: Api, account: u32, stop: Arc<AtomicBool>) -> Writer {
    let mut writer = Writer { account, acknowledged: 0, longest: Duration::ZERO };
    while !stop.load(Ordering::Relaxed) {
        let number = writer.acknowledged + 1;
        let started = Instant::now();
        let answer =
            data.post("/api/entries", json!({ "account": account, "number": number, "amount": 1 })).await;
        writer.longest = writer.longest.max(started.elapsed());
        answer.expect(201);
        data.post("/api/rpc/charge", json!({ "account": account, "amount": 0.25 })).await.expect(200);
        writer.acknowledged = number;
    }
    writer
}

/// How a tenant is brought to its new placement.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// While writes wait.
    AtOnce,
    /// While it is written to.
    Live,
}

impl Way {
    /// Moves can be undone for a day.
    fn with_undo(self) -> TestAppBuilder {
        self.build().control_plane(|settings| settings.undo_moves_for = Duration::from_hours(24))
    }

    fn build(self) -> TestAppBuilder {
        TestApp::build().without_daily_quotas().worker(move |worker| {
            worker.move_at_once = match self {
                Self::AtOnce => 16 << 20,
                Self::Live => 0,
            }
        })
    }
}

/// Moves a tenant up and down all tiers, a number of times, while it is written to by eight and read by two: nothing is lost,
/// doubled or failed.
async fn ledger(rounds: usize, way: Way) {
    let app = with_ledger(way.build()).await;
    ledger_on(&app, rounds, &format!("{rounds} moves {way:?}"), async |tenant, round| {
        upgrade(&app, tenant, ["premium", "enterprise", "premium", "basic"][round % 4]).await;
    })
    .await;
}

/// The same of any moves.
async fn ledger_on(app: &TestApp, rounds: usize, what: &str, mut next: impl AsyncFnMut(&Signup, usize)) {
    let tenant = sign_up(app, "acme", "basic").await;
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let writers: Vec<_> = (1..=ACCOUNTS)
        .map(|account| tokio::spawn(write(tenant.data.clone(), account, Arc::clone(&stop))))
        .collect();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (data, stop, reads) = (tenant.data.clone(), Arc::clone(&stop), Arc::clone(&reads));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    data.get("/api/accounts?select=id,balance").await.expect(200);
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut pauses = Vec::new();
    for round in 0..rounds {
        next(&tenant, round).await;
        pauses.push(last_move(app).await.0);
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    let mut longest = Duration::ZERO;
    let mut admin = as_admin(app, &tenant, app.server()).await;
    for writer in writers {
        let writer = writer.await.unwrap();
        longest = longest.max(writer.longest);
        let numbers = format!(
            "SELECT number FROM tenant_{}.entries WHERE account = {} AND number > 0 ORDER BY number",
            tenant.slug.replace('-', "_"),
            writer.account
        );
        let numbers: Vec<i32> =
            sqlx::query_scalar(AssertSqlSafe(numbers)).fetch_all(&mut admin).await.unwrap();
        let expected: Vec<i32> = (1..=writer.acknowledged.cast_signed()).collect();
        assert!(numbers == expected, "account {}: {} of {}", writer.account, numbers.len(), expected.len());
        let path = format!("/api/accounts?select=balance&id=eq.{}", writer.account);
        let balance = tenant.data.get(&path).await.expect(200).json()[0]["balance"].as_f64().unwrap();
        let first = if writer.account == 1 { 5.0 } else { 0.0 };
        let booked = f64::from(writer.acknowledged) * 0.75 + first;
        assert!((balance - booked).abs() < 0.001, "account {}: {balance} and {booked}", writer.account);
    }
    pauses.sort();
    let at = |share: usize| pauses[(pauses.len() * share / 100).min(pauses.len() - 1)];
    #[expect(clippy::print_stdout, reason = "figures for people")]
    {
        println!(
            "{what}: pause p50 {:?}, p99 {:?}, longest {:?}; longest write {longest:?}; {} reads",
            at(50),
            at(99),
            pauses[pauses.len() - 1],
            reads.load(Ordering::Relaxed)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_plane_that_hears_nothing_of_a_move_serves_nothing_old_and_fails_nothing() {
    deaf(50).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the long form: 10,000 requests"]
async fn ten_thousand_requests_by_an_old_route_are_served_from_the_new_placement() {
    deaf(10_000 / ACCOUNTS / 2).await;
}

/// Each client writes and reads until that many writes came after the move.
async fn deaf(writes_after: u32) {
    let app = start().await;
    deaf_during(&app, writes_after, async |tenant| drop(upgrade(&app, tenant, "premium").await)).await;
    assert_eq!(app.on_server().await.schemas.len(), 0);
}

/// The same of any moves.
async fn deaf_during(app: &TestApp, writes_after: u32, moves: impl AsyncFnOnce(&Signup)) {
    let tenant = sign_up(app, "acme", "basic").await;
    // Nothing is announced: the old route stays in its memory.
    let deaf =
        "ALTER TABLE placements DISABLE TRIGGER USER; ALTER TABLE tenants DISABLE TRIGGER tenants_changed";
    sqlx::raw_sql(deaf).execute(app.owner()).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (1..=ACCOUNTS)
        .map(|account| {
            let (data, stop) = (tenant.data.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let (mut written, mut after) = (0, 0);
                while after < writes_after {
                    after += u32::from(stop.load(Ordering::Relaxed));
                    let entry = json!({ "account": account, "number": written + 1, "amount": 1 });
                    data.post("/api/entries", entry).await.expect(201);
                    written += 1;
                    let path = format!("/api/entries?select=count()&account=eq.{account}&number=gt.0");
                    let seen = data.get(&path).await.expect(200).json()[0]["count"].as_u64().unwrap();
                    assert_eq!(seen, written, "its own writes are seen");
                }
            })
        })
        .collect();
    moves(&tenant).await;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_a_tenant_moves_is_there_once_and_no_request_fails() {
    ledger(6, Way::AtOnce).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_a_tenant_moves_live_is_there_once_and_no_request_fails() {
    ledger(6, Way::Live).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the long form: 50 rounds"]
async fn what_is_written_in_fifty_moves_is_there_once_and_no_request_fails() {
    ledger(50, Way::AtOnce).await;
    ledger(50, Way::Live).await;
}
