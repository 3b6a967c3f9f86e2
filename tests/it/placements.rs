//! Placements by epoch: whatever else a tenant has, what serves is what everybody uses.

use serde_json::json;
use sqlx::AssertSqlSafe;
use tenantry_domain::operation::OperationKind;
use tenantry_tests::{Signup, TestApp, probe::FailAt, server};
use tenantry_worker::engine::{Moment, Point};

/// A second placement of a tenant, of a later epoch, on a server of its own that nobody reaches.
async fn add_placement(app: &TestApp, tenant: &Signup, state: &str) {
    let body = json!({
        "name": format!("other-{state}"), "host": format!("{state}.invalid"), "port": 5432, "adminUser": "nobody",
        "adminPassword": "none", "tiers": ["schema"], "capacity": 1, "maxConnections": 1, "region": "local",
        "provider": "static",
    });
    app.api.post("/api/v1/servers?check=false", body).await.expect(201);
    app.api
        .patch(&format!("/api/v1/servers/other-{state}"), json!({ "state": "cordoned" }))
        .await
        .expect(200);
    let add = format!(
        "WITH login AS (INSERT INTO server_logins (server_id, name, password)
             SELECT id, 'nobody', '' FROM servers WHERE name = 'other-{state}' RETURNING server_id)
         INSERT INTO placements (tenant_id, epoch, state, tier, server_id, database, schema, login, role_password,
             created_at)
         SELECT tenant_id, epoch + 7, '{state}', 'database', login.server_id, 'elsewhere', schema, 'nobody',
             role_password, now()
         FROM placements, login WHERE tenant_id = '{}' AND state = 'serving'",
        tenant.id
    );
    sqlx::raw_sql(AssertSqlSafe(add)).execute(app.owner()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_serves_a_tenant_is_shown_and_used_whatever_placements_it_has_besides() {
    let app = TestApp::build().without_daily_quotas().start().await;
    for state in ["preparing", "fenced", "retired"] {
        let tenant = app.sign_up(state, "basic", "crm").await;
        let path = format!("/api/v1/tenants/{}", tenant.slug);
        let shown = app.api.get(&path).await.expect(200).json()["placement"].clone();
        let connection = app.api.get(&format!("{path}/connection?reveal=true")).await.expect(200).json();
        assert_eq!(connection["database"], app.shared_database());

        add_placement(&app, &tenant, state).await;
        assert_eq!(app.api.get(&path).await.expect(200).json()["placement"], shown, "{state}");
        let again = app.api.get(&format!("{path}/connection?reveal=true")).await.expect(200).json();
        assert_eq!(again, connection, "{state}");
        let listed = app.api.get("/api/v1/tenants").await.expect(200).json();
        let listed = listed["items"].as_array().unwrap();
        assert_eq!(listed.iter().filter(|item| item["id"] == tenant.id.as_str()).count(), 1, "{state}");
        // Read anew.
        app.routes_caught_up().await;
        tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
        // The worker finds the tenant's role where it is served.
        app.api.post_and_wait(&format!("{path}/suspend"), json!({})).await.expect(200);
        let role = format!("tenant_{}", tenant.slug.replace('-', "_"));
        let mut server = server::admin(app.server(), "postgres").await;
        let may: bool = sqlx::query_scalar("SELECT rolcanlogin FROM pg_roles WHERE rolname = $1")
            .bind(&role)
            .fetch_one(&mut server)
            .await
            .unwrap();
        assert!(!may, "{state}: the role may log in");
        app.api.post_and_wait(&format!("{path}/resume"), json!({})).await.expect(200);
        tenant.data.get("/api/contacts").await.expect(200);
        assert_eq!(app.api.get(&path).await.expect(200).json()["placement"], shown, "{state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_grow_also_after_a_sign_up_that_was_undone() {
    let fail = FailAt {
        point: Point { kind: OperationKind::Provision, step: "create_schema", moment: Moment::Ran },
        transient: false,
    };
    let mut app = TestApp::build().without_daily_quotas().with_probe(fail).start().await;
    let slug = app.slug("acme");
    let id = app.begin_sign_up(&slug, "basic").await;
    assert_eq!(app.operation_ended(&id).await["state"], "failed");
    assert_eq!(app.count("SELECT count(*) FROM placements").await, 0);
    app.stop_worker().await;
    let worker = app.second_worker();
    app.api.post(&format!("/api/v1/operations/{id}/retry"), json!({})).await.expect(202);
    assert_eq!(app.operation_ended(&id).await["state"], "succeeded");
    assert_eq!(app.count("SELECT epoch::bigint FROM placements").await, 2);
    drop(worker);
}
