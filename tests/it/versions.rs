//! The main job on every supported version of PostgreSQL, administered by a superuser and by a plain admin.
//!
//! A version that is not on this machine is skipped, see `tenantry_tests::versions`. What does not touch the admin's
//! rights, above all the query language, is tested on all versions by `.ci/run`, which runs those tests on each.

use std::time::Duration;

use super::moves;
use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection, error::DatabaseError};
use tenantry_tests::{
    Signup, TestApp,
    app::TestAppBuilder,
    one_operation::OneOperation,
    server,
    versions::{
        self,
        Admin::{self, Superuser},
    },
    within::within,
};

/// A plan of each tier that tenants of one server can have.
const PLANS: [&str; 2] = ["basic", "premium"];

macro_rules! on_each {
    ($($name:ident: $major:literal, $admin:ident;)*) => {$(
        mod $name {
            use super::Admin::$admin;

            #[tokio::test(flavor = "multi_thread")]
            async fn tenants_are_served_kept_apart_suspended_restored_and_purged() {
                super::whole_life($major, $admin).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn sessions_large_objects_and_grants_of_a_tenant_end_with_it() {
                super::sessions_end($major, $admin).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_worker_killed_in_the_middle_of_provision_is_succeeded_by_another() {
                super::killed_in_provision($major, $admin).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_tenant_goes_up_a_tier_and_down_again() {
                super::moved($major, $admin).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn what_runs_by_itself_finds_the_rights_that_it_needs() {
                super::reconcilers($major, $admin).await;
            }
        }
    )*};
}

on_each! {
    postgres_15_as_superuser: 15, Superuser;
    postgres_15_as_plain_admin: 15, Plain;
    postgres_16_as_superuser: 16, Superuser;
    postgres_16_as_plain_admin: 16, Plain;
    postgres_17_as_superuser: 17, Superuser;
    postgres_17_as_plain_admin: 17, Plain;
    postgres_18_as_superuser: 18, Superuser;
    postgres_18_as_plain_admin: 18, Plain;
}

/// A Tenantry for a test that suspends or purges.
async fn build(major: u32, admin: Admin) -> Option<TestAppBuilder> {
    Some(versions::server(major, admin).await?.app().with_apps(&["crm"]))
}

async fn whole_life(major: u32, admin: Admin) {
    let Some(app) = build(major, admin).await else { return };
    let app = app.start().await;
    for plan in PLANS {
        let tenant = app.sign_up(plan, plan, "crm").await;
        let other = app.sign_up(&format!("other-{plan}"), plan, "crm").await;
        read_and_write(&tenant).await;
        cannot_cross(&app, &tenant, &other).await;

        let path = format!("/api/v1/tenants/{}", tenant.slug);
        app.api.post_and_wait(&format!("{path}/suspend"), json!({})).await.expect(200);
        until(&tenant, 403).await;
        refused(&app.own_url(&tenant.slug).await, "28000").await;
        app.api.post_and_wait(&format!("{path}/resume"), json!({})).await.expect(200);
        until(&tenant, 200).await;
        own_session(&app, &tenant).await;

        app.api.delete_and_wait(&path).await.expect(200);
        until(&tenant, 403).await;
        app.api.post_and_wait(&format!("{path}/restore"), json!({})).await.expect(200);
        until(&tenant, 200).await;
        let kept = tenant.data.get("/api/contacts?select=email").await.expect(200).json();
        assert_eq!(kept, json!([{ "email": "ann@example.com" }]));

        for gone in [&tenant, &other] {
            app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", gone.slug)).await.expect(200);
            until(gone, 404).await;
        }
    }
    app.assert_nothing_left().await;
}

/// Writes in every way, and leaves one contact.
async fn read_and_write(tenant: &Signup) {
    let data = &tenant.data;
    data.post("/api/contacts", json!([{ "email": "ann@example.com" }, { "email": "bob@example.com" }]))
        .await
        .expect(201);
    let contact = data.get("/api/contacts?email=ilike.ANN*").await.expect(200).json()[0].clone();
    let change = json!({ "first_name": "Ann" });
    data.patch(&format!("/api/contacts/{}", contact["id"].as_str().unwrap()), change).await.expect(204);
    data.post("/api/conversations", json!({ "contact_id": contact["id"], "subject": "Offer" }))
        .await
        .expect(201);
    let embedded = data.get("/api/contacts?select=first_name,conversations(subject)&order=email").await;
    assert_eq!(
        embedded.expect(200).json(),
        json!([
            { "first_name": "Ann", "conversations": [{ "subject": "Offer" }] },
            { "first_name": null, "conversations": [] },
        ])
    );
    let upsert = json!({ "id": contact["id"], "email": "ann@example.com" });
    let upsert = data.request(Method::POST, "/api/contacts").json(&upsert);
    data.send(upsert.header("prefer", "resolution=merge-duplicates")).await.expect(200);
    data.delete("/api/contacts?email=eq.bob@example.com").await.expect(204);
    let stranger = json!({ "contact_id": "019a0000-0000-7000-8000-00000000dead" });
    data.post("/api/conversations", stranger).await.expect_problem(409, "foreign_key_violation");
}

/// By way of the API, and in SQL with the tenant's own login.
async fn cannot_cross(app: &TestApp, tenant: &Signup, other: &Signup) {
    assert_eq!(other.data.get("/api/contacts").await.expect(200).json(), json!([]));
    let stolen = other.data.with_key(tenant.key.clone()).get("/api/contacts").await;
    assert!(stolen.status.is_client_error(), "{stolen:?}");

    let url = app.own_url(&tenant.slug).await;
    let other_role = app.connection(&other.slug).await["role"].as_str().unwrap().to_owned();
    for (statement, code) in [
        (format!("SELECT * FROM {other_role}.contacts"), None),
        (format!("SET ROLE {other_role}"), Some("42501")),
        ("SET ROLE tenantry_owner".into(), Some("42501")),
        (format!("SET ROLE {}", admin_login(app).await), Some("42501")),
        ("CREATE TABLE mine (id int)".into(), None),
        ("CREATE TEMPORARY TABLE mine (id int)".into(), Some("42501")),
        ("SELECT * FROM tenantry_migrations".into(), Some("42501")),
        ("ALTER TABLE contacts DISABLE TRIGGER ALL".into(), Some("42501")),
        ("CREATE ROLE mine".into(), Some("42501")),
    ] {
        let mut own = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("SELECT email FROM contacts").fetch_one(&mut own).await.unwrap();
        let error =
            sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut own).await.expect_err(&statement);
        let found = error.as_database_error().and_then(DatabaseError::code).unwrap_or_default();
        // A schema that is in another database is not refused: it is not there.
        let allowed = code.map_or(vec!["42501", "42P01", "3F000"], |code| vec![code]);
        assert!(allowed.contains(&&*found), "{statement}: {error}");
    }
    let database = app.connection(&other.slug).await["database"].as_str().unwrap().to_owned();
    if database != app.shared_database() {
        let (server, _) = url.rsplit_once('/').unwrap();
        refused(&format!("{server}/{database}"), "42501").await;
        refused(&format!("{server}/{}", app.shared_database()), "42501").await;
    }
}

/// The login that this Tenantry administers its server with.
async fn admin_login(app: &TestApp) -> String {
    let admin = sqlx::query_scalar("SELECT admin_user FROM servers").fetch_one(app.owner());
    admin.await.unwrap()
}

/// A tenant that is connected, and owns what stands outside of its schema, is in nobody's way.
async fn sessions_end(major: u32, admin: Admin) {
    let Some(app) = build(major, admin).await else { return };
    let app = app.start().await;
    for plan in PLANS {
        let tenant = app.sign_up(plan, plan, "crm").await;
        let path = format!("/api/v1/tenants/{}", tenant.slug);
        // The data plane's session, which its pool keeps, and the tenant's own.
        tenant.data.get("/api/contacts").await.expect(200);
        let mut own = own_session(&app, &tenant).await;
        sqlx::raw_sql("SELECT lo_create(0)").execute(&mut own).await.unwrap();
        // What it holds and grants in the database that it shares keeps neither itself nor another.
        let other = app.sign_up(&format!("other-{plan}"), plan, "crm").await;
        let (subject, role) = (tenant.id.replace('-', ""), other.slug.replace('-', "_"));
        let hostile = format!(
            "SELECT pg_advisory_lock(hashtextextended('tenantry:session:{subject}', 0));
            SELECT pg_advisory_lock(hashtextextended('tenantry:connect', 0));
            ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO tenant_{role};
            SELECT lo_create(71000); GRANT SELECT ON LARGE OBJECT 71000 TO tenant_{role} WITH GRANT OPTION"
        );
        sqlx::raw_sql(AssertSqlSafe(hostile)).execute(&mut own).await.unwrap();

        app.api.post_and_wait(&format!("{path}/suspend"), json!({})).await.expect(200);
        sqlx::raw_sql("SELECT 1").execute(&mut own).await.unwrap_err();
        app.api.post_and_wait(&format!("{path}/resume"), json!({})).await.expect(200);
        until(&tenant, 200).await;
        let mut own = own_session(&app, &tenant).await;

        app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", other.slug)).await.expect(200);
        app.api.delete_and_wait(&format!("{path}?purge=now")).await.expect(200);
        sqlx::raw_sql("SELECT 1").execute(&mut own).await.unwrap_err();
        let mut shared = server::admin(app.server(), app.shared_database()).await;
        let objects = sqlx::query_scalar("SELECT count(*) FROM pg_largeobject_metadata");
        let objects: i64 = objects.fetch_one(&mut shared).await.unwrap();
        assert_eq!(objects, 0, "large objects are left");
        shared.close().await.unwrap();
    }
    app.assert_nothing_left().await;
}

async fn killed_in_provision(major: u32, admin: Admin) {
    let Some(app) = build(major, admin).await else { return };
    let app = app.without_worker().start().await;
    let mut killed = Vec::new();
    for (plan, point) in
        [("basic", "provision/create_schema/ran"), ("premium", "provision/create_database/ran")]
    {
        let slug = app.slug(plan);
        let operation = app.begin_sign_up(&slug, plan).await;
        let binary = env!("CARGO_BIN_EXE_tenantry-under-test");
        let doomed = OneOperation { stop_at: Some(point), ..OneOperation::new(binary, &app, &operation) };
        doomed.start(None).kill_when_stopped().await;
        killed.push((slug, operation, point));
    }
    let _rescuer = app.second_worker();
    for (slug, operation, point) in &killed {
        let ended = app.operation_ended(operation).await;
        assert_eq!(ended["state"], "succeeded", "killed at {point}: {ended}");
        assert!(ended["attempts"].as_u64().unwrap() >= 2, "killed at {point}: {ended}");
        let data = app.data.with_host(format!("{slug}.localhost")).with_key(app.data_key(slug).await);
        data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
    }
    let left = app.on_server().await;
    assert_eq!((left.roles.len(), left.schemas.len(), left.databases.len()), (2, 1, 1), "{left:?}");
    for (slug, ..) in &killed {
        app.api.delete_and_wait(&format!("/api/v1/tenants/{slug}?purge=now")).await.expect(200);
    }
    app.assert_nothing_left().await;
}

async fn moved(major: u32, admin: Admin) {
    let Some(server) = versions::server(major, admin).await else { return };
    moves::up_and_down(server.app()).await;
    moves::up_and_down(server.app().worker(|worker| worker.move_at_once = 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_goes_to_a_newer_version_with_everything_that_it_has() {
    for (major, move_at_once) in [(16, 0), (17, 0), (18, 0), (18, 16 << 20)] {
        let (older, newer) =
            (versions::server(15, Superuser).await, versions::server(major, Superuser).await);
        let (Some(older), Some(newer)) = (older, newer) else { return };
        let build = older.app().worker(move |worker| worker.move_at_once = move_at_once);
        let app = moves::with_ledger(build).await;
        let tenant = moves::sign_up(&app, "acme", "basic").await;
        let before = moves::contents(&app, &tenant, &older.postgres).await;
        app.add_server("newer", &newer.postgres).await;
        moves::move_to(&app, &tenant, json!({ "server": "newer" })).await;
        assert_eq!(moves::contents(&app, &tenant, &newer.postgres).await, before, "to {major}");
        let entry = json!({ "account": 1, "number": 1, "amount": 7 });
        tenant.data.post("/api/entries", entry).await.expect(201);
    }
}

/// Warm copies are made and one is taken; storage is measured; what is outdated is dropped.
async fn reconcilers(major: u32, admin: Admin) {
    let Some(server) = versions::server(major, admin).await else { return };
    let app = server.app().with_apps(&["crm"]).worker(|settings| settings.warm_databases = 1).start().await;
    let worker = app.worker.as_ref().unwrap();
    tenantry_worker::reconcilers::fill_warm_databases::run(worker.resources()).await.unwrap();
    for plan in PLANS {
        let tenant = app.sign_up(plan, plan, "crm").await;
        tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
    }
    tenantry_worker::reconcilers::sample_usage::run(worker.resources()).await.unwrap();
    assert_eq!(app.count("SELECT count(DISTINCT tenant_id) FROM storage_samples WHERE bytes > 0").await, 2);

    let migration = json!({ "version": 20_991_231_000_000_i64, "name": "more", "up": "CREATE TABLE more (id int)",
        "down": "DROP TABLE more" });
    app.api.post("/api/v1/apps/crm/versions", migration).await.expect(201);
    app.api.post("/api/v1/apps/crm/versions/20991231000000/promote", json!({})).await.expect(200);
    tenantry_worker::reconcilers::fill_warm_databases::run(worker.resources()).await.unwrap();
    let tenant = app.sign_up("newer", "premium", "crm").await;
    tenant.data.get("/api/more").await.expect(200);

    let change = json!({ "database": { "lockTimeoutSeconds": 3 } });
    app.api.patch("/api/v1/plans/premium", change).await.expect(200);
    tenantry_worker::reconcilers::limit_roles::run(worker.resources()).await.unwrap();
    let mut own = own_session(&app, &tenant).await;
    let timeout: String = sqlx::query_scalar("SHOW lock_timeout").fetch_one(&mut own).await.unwrap();
    assert_eq!(timeout, "3s");
    // Reserved connections are there from 16 on; who may grant their use is a superuser, or was granted it so.
    if major >= 16 && admin == Admin::Superuser {
        let granted: bool = sqlx::query_scalar(
            "SELECT bool_and(pg_has_role(rolname, 'pg_use_reserved_connections', 'USAGE'))
             FROM pg_roles WHERE rolname ~ '^tenantry_data_.*_[0-9a-f]{8}$'",
        )
        .fetch_one(&mut own)
        .await
        .unwrap();
        assert!(granted, "the data plane's logins may use reserved connections");
    }
}

/// The data plane hears of a change a moment after its end was announced.
async fn until(tenant: &Signup, status: u16) {
    let is_so = async || tenant.data.get("/api/contacts").await.status == status;
    within(Duration::from_secs(5), &format!("{} is answered with {status}", tenant.slug), is_so).await;
}

async fn own_session(app: &TestApp, tenant: &Signup) -> PgConnection {
    PgConnection::connect(&app.own_url(&tenant.slug).await).await.unwrap()
}

/// Asserts that PostgreSQL refuses to connect, with this SQLSTATE.
async fn refused(url: &str, code: &str) {
    let refusal = PgConnection::connect(url).await.expect_err(code);
    let found = refusal.as_database_error().and_then(DatabaseError::code).unwrap_or_default();
    assert_eq!(found, code, "{refusal}");
}
