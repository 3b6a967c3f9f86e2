//! Undo windows that meet trouble: what was kept is not as it should be, held up, or away.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantry_postgres::embedded::Durability;
use tenantry_tests::{Signup, proxy::Proxy, server, within::within};

use super::{
    Way, as_admin, begin, move_to, moved, sign_up,
    undo_window::{moved_from, schema, schema_oid},
    upgrade, with_ledger,
};

async fn things(connection: &mut PgConnection, tenant: &Signup) -> i64 {
    let count = format!("SELECT count(*) FROM ONLY {}.things", schema(tenant));
    sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_what_was_kept_differs_the_tenant_stays_and_is_copied_back_the_next_time() {
    let app = with_ledger(Way::Live.with_undo()).await;
    let tenant = sign_up(&app, "acme", "basic").await;
    upgrade(&app, &tenant, "premium").await;
    let left = schema_oid(&app, &tenant).await;
    // As only a superuser can.
    let mut kept = server::admin(app.server(), app.shared_database()).await;
    let behind =
        format!("SET session_replication_role = replica; DELETE FROM ONLY {}.things", schema(&tenant));
    sqlx::raw_sql(AssertSqlSafe(behind)).execute(&mut kept).await.unwrap();

    let undo = begin(&app, &tenant, "move/undo", json!({})).await;
    let ended = app.operation_ended(&undo).await;
    assert_eq!(ended["state"], "failed", "{ended}");
    assert!(ended["error"].as_str().unwrap().contains("things"), "{ended}");
    tenant.data.post("/api/things", json!({ "name": "one more" })).await.expect(201);
    let path = format!("/api/v1/tenants/{}/move/undo", tenant.slug);
    assert_eq!(app.api.get(&path).await.expect(200).json()["kept"], false);

    moved(&app, &tenant, "move/undo", json!({})).await;
    assert_ne!(schema_oid(&app, &tenant).await, left, "it was copied back");
    assert_eq!(things(&mut kept, &tenant).await, 2);
    assert!(app.on_server().await.replication.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_the_tenants_own_does_not_hold_up_who_keeps_what_it_has_left() {
    let app = with_ledger(Way::Live.with_undo()).await;
    let tenant = sign_up(&app, "acme", "premium").await;
    let mut own = PgConnection::connect(&app.own_url(&tenant.slug).await).await.unwrap();
    let mut kept = as_admin(&app, &tenant, app.server()).await;
    let reads = format!("BEGIN; SELECT * FROM {}.accounts", schema(&tenant));
    sqlx::raw_sql(AssertSqlSafe(reads)).execute(&mut own).await.unwrap();
    upgrade(&app, &tenant, "basic").await;
    sqlx::raw_sql("SELECT 1").execute(&mut own).await.expect_err("it was ended");
    tenant.data.post("/api/things", json!({ "name": "one more" })).await.expect(201);
    within(Duration::from_secs(30), "it is there too", async || things(&mut kept, &tenant).await == 2).await;
    moved(&app, &tenant, "move/undo", json!({})).await;
    assert_eq!(things(&mut kept, &tenant).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_an_app_has_its_rows_identified_stays_as_it_was() {
    let app = Way::Live.with_undo().with_apps(&[]).start().await;
    app.api.put("/api/v1/apps/logs", json!({ "manifest": {} })).await.expect(200);
    let up = "CREATE TABLE whole (what text); ALTER TABLE whole REPLICA IDENTITY FULL; CREATE TABLE plain (what text)";
    let version = json!({ "version": 1, "name": "logs", "up": up });
    app.api.post("/api/v1/apps/logs/versions", version).await.expect(201);
    let tenant = app.sign_up("acme", "basic", "logs").await;
    let identities = async || {
        let of = format!(
            "SELECT string_agg(relname || ' ' || relreplident::text, ', ' ORDER BY relname) FROM pg_class
             WHERE relnamespace = '{}'::regnamespace AND relname IN ('whole', 'plain')",
            schema(&tenant)
        );
        let mut admin = as_admin(&app, &tenant, app.server()).await;
        sqlx::query_scalar::<_, String>(AssertSqlSafe(of)).fetch_one(&mut admin).await.unwrap()
    };
    for table in ["whole", "plain"] {
        tenant.data.post(&format!("/api/{table}"), json!({ "what": "one" })).await.expect(201);
    }
    upgrade(&app, &tenant, "premium").await;
    for table in ["whole", "plain"] {
        tenant.data.patch(&format!("/api/{table}?what=eq.one"), json!({ "what": "two" })).await.expect(204);
    }
    moved(&app, &tenant, "move/undo", json!({})).await;
    assert_eq!(identities().await, "plain d, whole f");
    for table in ["whole", "plain"] {
        let rows = tenant.data.get(&format!("/api/{table}")).await.expect(200).json();
        assert_eq!(rows, json!([{ "what": "two" }]), "{table}");
    }
    upgrade(&app, &tenant, "premium").await;
    app.until_zero("SELECT count(*) - 1 FROM undo_windows").await;
    let path = format!("/api/v1/tenants/{}?purge=now", tenant.slug);
    app.api.delete_and_wait(&path).await.expect(200);
    app.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_leaves_nothing_that_was_kept_on_the_server() {
    let own = Arc::new(server::start(Durability::Volatile).await.unwrap());
    let other = server::start(Durability::Volatile).await.unwrap();
    let app = with_ledger(Way::Live.with_undo().on_server(own)).await;
    let gone = sign_up(&app, "gone", "basic").await;
    let there = sign_up(&app, "there", "basic").await;
    app.add_server("other", &other).await;
    move_to(&app, &gone, json!({ "server": "other" })).await;
    assert_eq!(app.count("SELECT count(*) FROM undo_windows").await, 1);
    let begun = app.api.post("/api/v1/servers/main/drain", json!({})).await.expect(202).json();
    let ended = app.operation_ended(begun["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    app.until_zero("SELECT count(*) FROM undo_windows").await;
    within(Duration::from_secs(30), "nothing is left", async || app.on_server().await.is_empty()).await;
    for tenant in [&gone, &there] {
        tenant.data.post("/api/things", json!({ "name": "one more" })).await.expect(201);
    }
    app.api.delete("/api/v1/servers/main").await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_waits_for_the_old_server_can_be_cancelled() {
    let other = server::start(Durability::Volatile).await.unwrap();
    let proxy = Proxy::before(&other).await;
    let (app, tenant, _) = moved_from(&other, proxy.address.port(), 1 << 30).await;
    proxy.cut();
    let undo = begin(&app, &tenant, "move/undo", json!({})).await;
    within(Duration::from_secs(30), "it waits", async || app.operation(&undo).await["state"] == "waiting")
        .await;
    tenant.data.post("/api/things", json!({ "name": "meanwhile" })).await.expect(201);
    app.api.post(&format!("/api/v1/operations/{undo}/cancel"), json!({})).await.expect(202);
    proxy.mend();
    assert_eq!(app.operation_ended(&undo).await["state"], "cancelled");
    tenant.data.post("/api/things", json!({ "name": "later" })).await.expect(201);
    app.until_zero("SELECT count(*) - 1 FROM placements").await;
    assert!(app.on_server().await.replication.is_empty());
}
