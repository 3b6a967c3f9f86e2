//! An app whose functions run what a tenant wrote.

use futures::future::join_all;
use serde_json::json;
use tenantry_tests::TestApp;

const SCRIPTS: &str = "
    CREATE TABLE scripts (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text, result text);
    CREATE FUNCTION run() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN EXECUTE NEW.code INTO NEW.result; RETURN NEW; END $$;
    CREATE TRIGGER run BEFORE INSERT ON scripts FOR EACH ROW WHEN (NEW.code IS NOT NULL) EXECUTE FUNCTION run();";

/// Placements whose login may become another tenant.
const SHARED: &str =
    "SELECT count(*) FROM placements p JOIN server_logins l ON l.server_id = p.server_id AND l.name = p.login
     WHERE l.tenants > 1 OR NOT l.own";

/// What becomes of a tenant's attempt to become another, in an app with this manifest: its answer.
async fn attempt(plan: &str, manifest: serde_json::Value) -> (TestApp, u16) {
    let app = TestApp::build()
        .without_daily_quotas()
        .with_apps(&[])
        .worker(|worker| worker.warm_tenants = 2)
        .start()
        .await;
    app.api.put("/api/v1/apps/scripts", json!({ "manifest": manifest })).await.expect(200);
    let version = json!({ "version": 1, "name": "scripts", "up": SCRIPTS });
    app.api.post("/api/v1/apps/scripts/versions", version).await.expect(201);
    let victim = app.sign_up("victim", plan, "scripts").await;
    let role = format!("tenant_{}", victim.slug.replace('-', "_"));
    let secret = json!({ "result": "the victim's" });
    victim.data.post("/api/scripts", secret).await.expect(201);
    let mut last = 0;
    for slug in ["first", "second", "third", "fourth"] {
        let attacker = app.sign_up(slug, plan, "scripts").await;
        let code = format!("SELECT set_config('role', '{role}', true)");
        last = attacker.data.post("/api/scripts", json!({ "code": code })).await.status.as_u16();
        let crossing = format!(
            "WITH become AS MATERIALIZED (SELECT set_config('role', '{role}', true))
             SELECT query_to_xml('SELECT result FROM {role}.scripts', true, true, '')::text FROM become"
        );
        let read = attacker.data.post("/api/scripts", json!({ "code": crossing })).await;
        let all = attacker.data.get("/api/scripts").await.expect(200);
        if last != 201 {
            assert!(
                !read.text.contains("the victim's") && !all.text.contains("the victim's"),
                "{slug}: {}",
                all.text
            );
        }
    }
    (app, last)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_of_an_app_that_runs_its_text_can_become_nobody_else() {
    let (app, status) = attempt("basic", json!({})).await;
    assert!(status == 400 || status == 403, "{status}");
    assert_eq!(app.count(SHARED).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_a_database_of_its_own_has_a_login_of_its_own_whatever_its_app_says() {
    let (app, status) = attempt("premium", json!({ "connection": "shared" })).await;
    assert!(status == 400 || status == 403, "{status}");
    assert_eq!(app.count(SHARED).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_may_say_that_each_of_its_tenants_has_a_login_of_its_own() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let shared = app.sign_up("shared", "basic", "crm").await;
    app.api.patch("/api/v1/plans/basic", json!({ "database": { "connection": "own" } })).await.expect(200);
    app.sign_up("own", "basic", "crm").await;
    assert_eq!(app.count(SHARED).await, 1, "who was there keeps its login");
    // Until it moves.
    for tier in ["database", "schema"] {
        let path = format!("/api/v1/tenants/{}/move", shared.slug);
        let begun = app.api.post(&path, json!({ "tier": tier })).await.expect(202).json();
        let moved = app.operation_ended(begun["operation"]["id"].as_str().unwrap()).await;
        assert_eq!(moved["state"], "succeeded", "{moved}");
    }
    assert_eq!(app.count(SHARED).await, 0);
    shared.data.get("/api/contacts").await.expect(200);
}

/// Logins are chosen by what a statement saw before it waited for the server that all of them want.
#[tokio::test(flavor = "multi_thread")]
async fn tenants_that_sign_up_at_once_are_never_given_the_same_login_of_their_own() {
    let app = TestApp::build().without_daily_quotas().start().await;
    app.api.patch("/api/v1/plans/basic", json!({ "database": { "connection": "own" } })).await.expect(200);
    let slugs: Vec<String> = (0..24).map(|n| format!("tenant-{n}")).collect();
    let plans = ["basic", "premium"].into_iter().cycle();
    let signed_up = slugs.iter().zip(plans).map(|(slug, plan)| app.sign_up(slug, plan, "crm"));
    for tenant in join_all(signed_up).await {
        tenant.data.get("/api/contacts").await.expect(200);
    }
    assert_eq!(app.count(SHARED).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_may_say_that_its_tenants_share_a_login() {
    let (app, status) = attempt("basic", json!({ "connection": "shared" })).await;
    // What this costs: the attempt succeeds. It is said in docs/isolation.md.
    assert_eq!(status, 201);
    // Whoever fills the pool of warm tenants may have added a login at the same moment as the first sign-up.
    let shared = "SELECT count(*) FROM server_logins WHERE tenants > 1 AND NOT own";
    assert!(app.count(shared).await > 0);
}
