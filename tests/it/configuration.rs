//! What tenants set over the defaults of their plans, and what comes of it.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row};
use tenantry_tests::TestApp;

async fn set(app: &TestApp, tenant: &str, key: &str, value: Value) {
    let body = json!({ "configKey": key, "configValue": value });
    let answer = app.api.post(&format!("/api/v1/tenants/{tenant}/config"), body).await;
    assert!(answer.status.is_success(), "{answer:?}");
    app.routes_caught_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_sets_holds_until_it_is_unset_and_the_plan_s_default_otherwise() {
    let app = TestApp::start().await;
    let acme = app.sign_up("acme", "basic", "crm").await;
    let path = format!("/api/v1/tenants/{}/config", acme.id);
    let timeout = format!("{path}/session.timeout");
    let default = json!({
        "configKey": "session.timeout", "configValue": 3600, "isEncrypted": false, "source": "plan", "updatedAt": null
    });
    assert_eq!(app.api.get(&timeout).await.expect(200).json(), default);
    let body = json!({ "configKey": "session.timeout", "configValue": 7200, "isEncrypted": false });
    let made = app.api.post(&path, body.clone()).await.expect(201).json();
    assert_eq!((&made["configValue"], &made["source"]), (&json!(7200), &json!("tenant")));
    app.api.post(&path, body).await.expect(200);
    app.api.put(&timeout, json!({ "configValue": 7201 })).await.expect(200);
    assert_eq!(app.api.get(&timeout).await.expect(200).json()["configValue"], 7201);
    // What Tenantry does not know is the app's, and kept.
    app.api.put(&format!("{path}/gst_number"), json!({ "configValue": "GST123456789" })).await.expect(201);
    let listed = app.api.get(&path).await.expect(200).json();
    let keys = listed["items"].as_array().unwrap().iter().map(|value| value["configKey"].as_str().unwrap());
    // The plan's features are among them.
    let (features, keys): (Vec<_>, Vec<_>) = keys.partition(|key| key.starts_with("features."));
    assert_eq!((features.len(), features[0]), (5, "features.advanced_analytics"));
    let expected = [
        "api.rate_limit",
        "file_upload.max_size",
        "gst_number",
        "security.password_policy",
        "session.timeout",
    ];
    assert_eq!(keys, expected);
    app.api.delete(&timeout).await.expect(204);
    assert_eq!(app.api.get(&timeout).await.expect(200).json(), default);
    app.api.delete(&timeout).await.expect_problem(404, "config_not_found");
    app.api.get(&format!("{path}/nothing")).await.expect_problem(404, "config_not_found");

    app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", acme.id)).await.expect(200);
    app.api
        .post(&path, json!({ "configKey": "a", "configValue": 1 }))
        .await
        .expect_problem(409, "tenant_purged");
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tenant_config").fetch_one(app.owner()).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_value_is_shown_to_whom_may_see_secrets_and_opens_for_its_own_tenant_and_key_only() {
    let app = TestApp::start().await;
    let (acme, other) =
        (app.sign_up("acme", "basic", "crm").await, app.sign_up("other", "basic", "crm").await);
    let secret = json!({ "user": "acme", "password": "hunter2-hunter2" });
    for (tenant, key) in [(&acme, "smtp.login"), (&acme, "sms.login"), (&other, "smtp.login")] {
        let body = json!({ "configKey": key, "configValue": secret, "isEncrypted": true });
        let answer = app.api.post(&format!("/api/v1/tenants/{}/config", tenant.id), body).await.expect(201);
        assert!(!answer.text.contains("hunter2"), "{}", answer.text);
    }
    let path = format!("/api/v1/tenants/{}/config", acme.id);
    let hidden = app.api.get(&format!("{path}/smtp.login")).await.expect(200).json();
    assert_eq!((&hidden["configValue"], &hidden["isEncrypted"]), (&Value::Null, &json!(true)));
    let revealed = app.api.get(&format!("{path}/smtp.login?reveal=true")).await.expect(200).json();
    assert_eq!(revealed["configValue"], secret);
    let reader = json!({ "name": "reader", "scopes": ["tenants:read"] });
    let key =
        app.api.post("/api/v1/keys", reader).await.expect(201).json()["key"].as_str().unwrap().to_owned();
    let reader = app.api.with_key(key);
    reader.get(&path).await.expect(200);
    reader.get(&format!("{path}?reveal=true")).await.expect_problem(403, "scope_missing");

    // What is stored holds no word of it.
    let rows =
        sqlx::query("SELECT sealed_value, value FROM tenant_config").fetch_all(app.owner()).await.unwrap();
    for row in &rows {
        assert!(row.get::<Option<Value>, _>(1).is_none());
        assert!(!row.get::<Vec<u8>, _>(0).windows(7).any(|window| window == b"hunter2"));
    }
    // Moved to another tenant's row, or to another key's, it does not open.
    for (tenant, key) in [(&acme.id, "sms.login"), (&other.id, "smtp.login")] {
        let moved = format!(
            "UPDATE tenant_config SET sealed_value = (SELECT sealed_value FROM tenant_config
                WHERE tenant_id = '{}' AND key = 'smtp.login') WHERE tenant_id = '{tenant}' AND key = '{key}'",
            acme.id
        );
        sqlx::raw_sql(AssertSqlSafe(moved)).execute(app.owner()).await.unwrap();
        let answer =
            app.api.get(&format!("/api/v1/tenants/{tenant}/config/{key}?reveal=true")).await.expect(500);
        assert!(!answer.text.contains("hunter2"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tenantry_reads_itself_is_checked_in_plans_too() {
    let app = TestApp::build().without_worker().start().await;
    let tenant = app.begin_sign_up(&app.slug("acme"), "basic").await;
    let id =
        app.api.get(&format!("/api/v1/operations/{tenant}")).await.expect(200).json()["tenantId"].clone();
    let path = format!("/api/v1/tenants/{}/config", id.as_str().unwrap());
    for (body, field) in [
        (json!({ "configKey": "session.timeout", "configValue": "1h" }), "configValue"),
        (json!({ "configKey": "session.timeout", "configValue": null }), "configValue"),
        (json!({ "configKey": "features.x", "configValue": 1 }), "configValue"),
        (json!({ "configKey": "Session", "configValue": 1 }), "configKey"),
        (json!({ "configKey": "session.timeout", "configValue": 60, "isEncrypted": true }), "isEncrypted"),
    ] {
        let answer = app.api.post(&path, body.clone()).await.expect_problem(400, "invalid_field");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}");
    }
    let plan =
        json!({ "name": "odd", "tier": "schema", "defaultConfig": { "session.timeout": "1h", "own": "1h" } });
    let answer = app.api.post("/api/v1/plans", plan).await.expect_problem(400, "invalid_field");
    assert_eq!(answer.json()["errors"][0]["field"], "defaultConfig.session.timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_policy_and_the_session_s_time_are_the_tenant_s() {
    let app = TestApp::start().await;
    let acme = app.sign_up("acme", "basic", "salesflow").await;
    let open = acme.data.without_key();
    let user = |name: &str, password: &str| json!({ "username": name, "email": format!("{name}@example.com"), "password": password });
    // The plan's: 8 characters with capital and small letters and digits.
    let answer = open
        .post("/api/auth/register", user("ada", "all small 1"))
        .await
        .expect_problem(400, "invalid_field");
    let told = "must have at least 8 characters, and a capital letter, a small letter, a digit";
    assert_eq!(answer.json()["errors"][0], json!({ "field": "password", "message": told }));
    open.post("/api/auth/register", user("ada", "Large and small 1")).await.expect(201);
    set(&app, &acme.id, "security.password_policy", json!({ "minLength": 20 })).await;
    open.post("/api/auth/register", user("bob", "Large and small 1"))
        .await
        .expect_problem(400, "invalid_field");
    open.post("/api/auth/register", user("bob", "all small but very long")).await.expect(201);

    set(&app, &acme.id, "session.timeout", json!(60)).await;
    let login = json!({ "username": "ada", "password": "Large and small 1" });
    let tokens = open.post("/api/auth/login", login).await.expect(200).json();
    // An access token does not outlive the session that rests.
    assert_eq!(tokens["expiresIn"], 60);
    let schema = format!("tenant_{}", acme.slug.replace('-', "_"));
    let mut admin = tenantry_tests::server::admin(app.server(), app.shared_database()).await;
    let seconds =
        format!("SELECT extract(epoch FROM max(expires_at) - now())::int FROM {schema}.tenantry_sessions");
    let seconds: i32 = sqlx::query_scalar(AssertSqlSafe(seconds)).fetch_one(&mut admin).await.unwrap();
    assert!((30..=60).contains(&seconds), "{seconds}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feature_that_is_configured_opens_what_it_gates() {
    let app = TestApp::build().with_apps(&["mis"]).start().await;
    let acme = app.sign_up("acme", "basic", "mis").await;
    acme.data.get("/api/biometric_templates").await.expect(403);
    set(&app, &acme.id, "features.biometric_auth", json!(true)).await;
    acme.data.get("/api/biometric_templates").await.expect(200);
    // The tenant's own switches are the same thing.
    let tenant = format!("/api/v1/tenants/{}", acme.id);
    assert_eq!(app.api.get(&tenant).await.expect(200).json()["features"], json!({ "biometric_auth": true }));
    app.api.patch(&tenant, json!({ "features": { "biometric_auth": false } })).await.expect(200);
    app.routes_caught_up().await;
    acme.data.get("/api/biometric_templates").await.expect(403);
    let path = format!("{tenant}/config/features.biometric_auth");
    let shown = app.api.get(&path).await.expect(200).json();
    assert_eq!((&shown["configValue"], &shown["source"]), (&json!(false), &json!("tenant")));
    app.api.delete(&path).await.expect(204);
    app.api.delete(&path).await.expect_problem(404, "config_not_found");
    assert_eq!(app.api.get(&path).await.expect(200).json()["source"], "plan");
}
