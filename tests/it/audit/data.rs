//! Changes of a tenant's data, where its configuration asks for them.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantry_tests::{Signup, TestApp, versions};
use tenantry_worker::reconcilers::audit_data;

use super::rows;
use crate::users::{log_in, register, tenant, with_token};

async fn configure(app: &TestApp, tenant: &str, audited: bool) {
    let path = format!("/api/v1/tenants/{tenant}/config/audit.data");
    let status = app.api.put(&path, json!({ "configValue": audited })).await.status.as_u16();
    assert!([200, 201].contains(&status), "{status}");
    bring_away(app).await;
}

/// What the worker does every two seconds.
async fn bring_away(app: &TestApp) {
    let worker = app.idle_worker(tenantry_domain::SystemClock::shared());
    audit_data::run(worker.resources()).await.unwrap();
}

/// Who did what to which rows.
fn said(row: &Value) -> String {
    let after = &row["after"];
    let columns = after["columns"].as_array().into_iter().flatten();
    let columns = columns.fold(String::new(), |said, column| format!("{said} {}", column.as_str().unwrap()));
    format!(
        "{} {} {} {} of {}{columns}",
        row["actor"]["kind"].as_str().unwrap(),
        row["action"].as_str().unwrap(),
        row["target"]["resource"].as_str().unwrap(),
        row["target"]["id"].as_str().unwrap_or("some"),
        after["rows"],
    )
}

async fn changes(app: &TestApp, tenant: &Signup) -> Vec<String> {
    bring_away(app).await;
    rows(app, &format!("tenant={}&action=data.*", tenant.id)).await.iter().map(said).collect()
}

async fn psql(app: &TestApp, tenant: &Signup) -> PgConnection {
    PgConnection::connect(&app.own_url(&tenant.slug).await).await.unwrap()
}

async fn run(session: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(session).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_changes_data_is_noted_with_table_keys_and_columns() {
    let app = TestApp::start().await;
    let acme = tenant(&app, "acme", "basic").await;
    register(&acme.data, "ada").await;
    let ada = with_token(&acme.data, &log_in(&acme.data, "ada").await);
    let [zero, one, two] = [0, 1, 2].map(|nth| format!("00000000-0000-0000-0000-{nth:012}"));
    let contact = |id: &str| json!({ "id": id, "firstName": "Alice" });
    // Nobody has asked for it yet.
    acme.data.post("/api/contacts", contact(&zero)).await.expect(201);
    configure(&app, &acme.id, true).await;
    acme.data.post("/api/contacts", json!([contact(&one), contact(&two)])).await.expect(201);
    let path = format!("/api/contacts?id=eq.{one}");
    ada.patch(&path, json!({ "lastName": "Johnson", "email": "a@example.com" })).await.expect(204);
    let mut session = psql(&app, &acme).await;
    run(&mut session, &format!("UPDATE contacts SET phone = '1' WHERE id = '{two}'")).await;
    run(&mut session, &format!("DELETE FROM contacts WHERE id = '{zero}'")).await;
    // What is undone is not noted.
    run(&mut session, "BEGIN; DELETE FROM contacts; ROLLBACK").await;
    assert_eq!(
        changes(&app, &acme).await,
        [
            "key data.insert contacts some of 2".to_owned(),
            format!("user data.update contacts {one} of 1 last_name email updated_at"),
            format!("role data.update contacts {two} of 1 phone updated_at"),
            format!("role data.delete contacts {zero} of 1"),
        ]
    );
    let row = &rows(&app, &format!("tenant={}&action=data.update", acme.id)).await[0];
    assert_eq!(row["actor"]["name"], "ada");
    let insert = &rows(&app, &format!("tenant={}&action=data.insert", acme.id)).await[0];
    assert_eq!(insert["after"]["keys"], json!([{ "id": one }, { "id": two }]));
    // A reader of the tenant's own finds nothing of it.
    for forbidden in ["SELECT FROM tenantry.data_changes", "DELETE FROM tenantry.audited"] {
        let refused = sqlx::raw_sql(AssertSqlSafe(forbidden)).execute(&mut session).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{refused}");
    }

    configure(&app, &acme.id, false).await;
    acme.data.post("/api/contacts", json!({ "firstName": "Bob" })).await.expect(201);
    assert_eq!(changes(&app, &acme).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_a_new_version_are_audited_from_their_first_row_on() {
    let app = TestApp::start().await;
    let acme = app.sign_up("acme", "basic", "crm").await;
    configure(&app, &acme.id, true).await;
    let version = json!({
        "version": 20_300_101_000_000_i64, "name": "visits",
        "up": "CREATE TABLE visits (id int PRIMARY KEY); INSERT INTO visits VALUES (1);",
        "down": "DROP TABLE visits;",
    });
    app.api.post("/api/v1/apps/crm/versions", version).await.expect(201);
    let begun = app.api.post("/api/v1/rollouts", json!({ "app": "crm" })).await.expect(202).json();
    let ended = app.operation_ended(begun["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    acme.data.post("/api/visits", json!({ "id": 2 })).await.expect(201);
    assert_eq!(changes(&app, &acme).await, ["key data.insert visits 2 of 1"]);
    // Triggers of Tenantry's are no drift.
    let verified = app.api.get("/api/v1/apps/crm/verify").await.expect(200).json();
    assert_eq!((&verified["compared"], &verified["items"]), (&json!(1), &json!([])), "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_takes_the_audit_along_and_notes_no_row_twice() {
    // Live, and to be undone.
    let build = TestApp::build()
        .without_daily_quotas()
        .worker(|worker| worker.move_at_once = 0)
        .control_plane(|settings| settings.undo_moves_for = Duration::from_hours(24));
    let app = build.start().await;
    let acme = app.sign_up("acme", "basic", "crm").await;
    configure(&app, &acme.id, true).await;
    let insert =
        async |name: &str| acme.data.post("/api/contacts", json!({ "email": name })).await.expect(201);
    insert("here").await;
    let path = format!("/api/v1/tenants/{}/migrate", acme.id);
    app.api.post_and_wait(&path, json!({ "targetPlan": "premium" })).await.expect(200);
    insert("there").await;
    let undo = format!("/api/v1/tenants/{}/move/undo", acme.id);
    app.api.post_and_wait(&undo, json!({})).await.expect(200);
    insert("back").await;
    let noted = changes(&app, &acme).await;
    assert_eq!(noted.len(), 3, "{noted:?}");
    assert!(noted.iter().all(|noted| noted.starts_with("key data.insert contacts")), "{noted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_purge_the_audit_is_gone_but_for_who_asked_for_it() {
    let app = TestApp::start().await;
    let acme = app.sign_up("acme", "basic", "crm").await;
    configure(&app, &acme.id, true).await;
    acme.data.post("/api/contacts", json!({ "email": "one" })).await.expect(201);
    assert_eq!(changes(&app, &acme).await.len(), 1);
    acme.data.post("/api/contacts", json!({ "email": "two" })).await.expect(201);
    let begun = app.api.delete(&format!("/api/v1/tenants/{}?purge=now", acme.id)).await.expect(202).json();
    let ended = app.operation_ended(begun["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    bring_away(&app).await;
    assert_eq!(rows(&app, &format!("tenant={}", acme.id)).await, Vec::<Value>::new());
    let purged = rows(&app, "action=tenants.purged").await;
    let purged =
        purged.iter().find(|row| row["target"]["id"] == acme.id.as_str()).expect("the purge is noted");
    assert_eq!(purged["actor"]["kind"], "key", "{purged}");
    assert!(purged["after"]["sealedRows"].is_number(), "{purged}");
}

/// A tenant of an app of the test's own.
async fn tenant_of(app: &TestApp, name: &str, up: &str) -> Signup {
    app.api.put("/api/v1/apps/odd", json!({})).await.expect(200);
    let version = json!({ "version": 1, "name": "odd", "up": up, "down": null });
    app.api.post("/api/v1/apps/odd/versions", version).await.expect(201);
    let tenant = app.sign_up(name, "basic", "odd").await;
    configure(app, &tenant.id, true).await;
    tenant
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_app_brings_along_runs_with_no_rights_of_tenantrys() {
    let app = TestApp::start().await;
    let up = "CREATE TYPE spy AS RANGE (subtype = text);
        CREATE FUNCTION spy_json(spy) RETURNS json LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'it ran as %', current_user; END $$;
        CREATE CAST (spy AS json) WITH FUNCTION spy_json(spy);
        CREATE TABLE spied (id spy PRIMARY KEY);";
    let acme = tenant_of(&app, "acme", up).await;
    let mut session = psql(&app, &acme).await;
    run(&mut session, "INSERT INTO spied VALUES (spy('a', 'b'))").await;
    assert_eq!(changes(&app, &acme).await, ["role data.insert spied [a,b) of 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_of_a_tenant_keeps_another_ones_from_the_log_or_a_statement_from_its_table() {
    let app = TestApp::start().await;
    let up = "CREATE TABLE numbers (id numeric PRIMARY KEY, v text);
        CREATE TABLE documents (id jsonb PRIMARY KEY);
        CREATE TABLE wide (id text PRIMARY KEY);
        CREATE TABLE kept (id int, secret text, PRIMARY KEY (id) INCLUDE (secret));
        CREATE TABLE odd (\"tenantry nth\" int PRIMARY KEY, \"a'b\" int, \"c%d\" int, \"new\" int);";
    let acme = tenant_of(&app, "acme", up).await;
    let other = app.sign_up("other", "basic", "odd").await;
    configure(&app, &other.id, true).await;
    let mut session = psql(&app, &acme).await;
    let deep = format!("{}1{}", "[".repeat(150), "]".repeat(150));
    run(&mut session, "INSERT INTO numbers VALUES (1e400), (123456789012345678901234567890)").await;
    run(&mut session, &format!("INSERT INTO documents VALUES ('{deep}')")).await;
    run(&mut session, "INSERT INTO wide SELECT repeat('x', 200000) || n FROM generate_series(1, 50) AS n")
        .await;
    run(&mut session, "INSERT INTO kept VALUES (1, 'top secret')").await;
    run(
        &mut session,
        "INSERT INTO odd VALUES (1, 1, 1, 1); UPDATE odd SET \"tenantry nth\" = 2, \"a'b\" = 2, \"c%d\" = 2",
    )
    .await;
    // Who is logged in as a role can say that he is anybody.
    let long = "x".repeat(3000);
    for claims in [
        json!({ "sub": long }).to_string(),
        json!({ "sub": "support:operator:root" }).to_string(),
        "{".into(),
    ] {
        let claim = format!("SET request.jwt.claims = '{claims}'; UPDATE kept SET secret = secret || 'x'");
        run(&mut session, &claim).await;
    }
    let mut others = psql(&app, &other).await;
    run(&mut others, "INSERT INTO kept VALUES (2, 'x')").await;

    assert_eq!(changes(&app, &other).await, ["role data.insert kept 2 of 1"]);
    let noted = rows(&app, &format!("tenant={}&action=data.*", acme.id)).await;
    assert_eq!(noted.len(), 9, "{noted:?}");
    assert_eq!(noted[0]["after"]["keys"][1], json!({ "id": "123456789012345678901234567890" }));
    assert!(noted.iter().all(|row| row["actor"]["kind"] == "role"), "{noted:?}");
    assert!(
        noted.iter().all(|row| row.to_string().len() < 30_000 && !row.to_string().contains("top secret"))
    );
    assert_eq!(noted[5]["after"]["columns"], json!(["tenantry nth", "a'b", "c%d"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_who_is_no_superuser_has_data_audited_too() {
    for major in [15, 18] {
        if let Some(server) = versions::server(major, versions::Admin::Plain).await {
            audited_on(server.app().start().await).await;
        }
    }
}

async fn audited_on(app: TestApp) {
    let acme = app.sign_up("acme", "basic", "crm").await;
    let other = app.sign_up("other", "premium", "crm").await;
    for tenant in [&acme, &other] {
        configure(&app, &tenant.id, true).await;
        tenant.data.post("/api/contacts", json!({ "email": "one" })).await.expect(201);
        assert_eq!(changes(&app, tenant).await.len(), 1);
        configure(&app, &tenant.id, false).await;
        tenant.data.post("/api/contacts", json!({ "email": "two" })).await.expect(201);
        assert_eq!(changes(&app, tenant).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_is_switched_off_or_dropped_is_made_anew() {
    let app = TestApp::start().await;
    let acme = app.sign_up("acme", "basic", "crm").await;
    configure(&app, &acme.id, true).await;
    let at = app.connection(&acme.slug).await;
    let mut admin = tenantry_tests::server::admin(app.server(), at["database"].as_str().unwrap()).await;
    let table = format!("\"{}\".contacts", at["schema"].as_str().unwrap());
    let off =
        format!("ALTER TABLE {table} DISABLE TRIGGER USER; DROP TRIGGER tenantry_audit_delete ON {table}");
    run(&mut admin, &off).await;
    // Another worker than the one that has seen to it.
    bring_away(&app).await;
    acme.data.post("/api/contacts", json!({ "email": "one" })).await.expect(201);
    acme.data.delete("/api/contacts?email=eq.one").await.expect(204);
    assert_eq!(changes(&app, &acme).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_in_use_is_waited_for_when_the_audit_is_switched_off() {
    let app = TestApp::start().await;
    app.keep_from_workers("audit_data").await;
    let acme = app.sign_up("acme", "basic", "crm").await;
    configure(&app, &acme.id, true).await;
    let mut session = psql(&app, &acme).await;
    run(&mut session, "BEGIN; SELECT FROM contacts").await;
    configure(&app, &acme.id, false).await;
    bring_away(&app).await;
    let state = async || -> Option<String> {
        let state =
            "SELECT data_audit FROM placements JOIN tenants ON tenants.id = tenant_id WHERE slug = $1";
        sqlx::query_scalar(state).bind(&acme.slug).fetch_one(app.owner()).await.unwrap()
    };
    assert_eq!(state().await.as_deref(), Some("ending"));
    run(&mut session, "COMMIT").await;
    bring_away(&app).await;
    assert_eq!(state().await, None);
    acme.data.post("/api/contacts", json!({ "email": "one" })).await.expect(201);
    assert_eq!(changes(&app, &acme).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_purge_removes_what_is_sealed() {
    let app = TestApp::start().await;
    let acme = app.sign_up("acme", "basic", "crm").await;
    super::seal_audit::run(&super::sealing(&app)).await.unwrap();
    let mut session = app.owner().acquire().await.unwrap();
    let as_control_plane = format!(
        "BEGIN; SET LOCAL ROLE tenantry_control_plane; SELECT set_config('tenantry.purges', '{}', true)",
        acme.id
    );
    for statement in [
        "UPDATE audit_log SET outcome = 'refused' WHERE tenant_id = '{id}'",
        "SELECT purge_audit('{id}', 1000)",
    ] {
        run(&mut session, &as_control_plane).await;
        let refused =
            sqlx::raw_sql(AssertSqlSafe(statement.replace("{id}", &acme.id))).execute(&mut *session).await;
        assert!(refused.unwrap_err().to_string().contains("is"), "{statement}");
        run(&mut session, "ROLLBACK").await;
    }
    assert!(rows(&app, &format!("tenant={}", acme.id)).await.len() > 1);
}
