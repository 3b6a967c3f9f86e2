//! An app whose functions run what a tenant wrote.

use serde_json::json;
use tenantry_tests::TestApp;

const SCRIPTS: &str = "
    CREATE TABLE scripts (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text, result text);
    CREATE FUNCTION run() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN EXECUTE NEW.code INTO NEW.result; RETURN NEW; END $$;
    CREATE TRIGGER run BEFORE INSERT ON scripts FOR EACH ROW WHEN (NEW.code IS NOT NULL) EXECUTE FUNCTION run();";

/// What becomes of a tenant's attempt to become another, in an app with this manifest: its answer.
async fn attempt(manifest: serde_json::Value) -> (TestApp, u16) {
    let app = TestApp::build().with_apps(&[]).worker(|worker| worker.warm_tenants = 2).start().await;
    app.api.put("/api/v1/apps/scripts", json!({ "manifest": manifest })).await.expect(200);
    let version = json!({ "version": 1, "name": "scripts", "up": SCRIPTS });
    app.api.post("/api/v1/apps/scripts/versions", version).await.expect(201);
    let victim = app.sign_up("victim", "basic", "scripts").await;
    let role = format!("tenant_{}", victim.slug.replace('-', "_"));
    let secret = json!({ "result": "the victim's" });
    victim.data.post("/api/scripts", secret).await.expect(201);
    let mut last = 0;
    for slug in ["first", "second", "third", "fourth"] {
        let attacker = app.sign_up(slug, "basic", "scripts").await;
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
    let (app, status) = attempt(json!({})).await;
    assert!(status == 400 || status == 403, "{status}");
    let shared = "SELECT count(*) FROM placements p JOIN server_logins l ON l.server_id = p.server_id AND l.name = p.login
                  WHERE l.tenants > 1 OR NOT l.own";
    assert_eq!(app.count(shared).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_may_say_that_its_tenants_share_a_login() {
    let (app, status) = attempt(json!({ "connection": "shared" })).await;
    // What this costs: the attempt succeeds. It is said in docs/isolation.md.
    assert_eq!(status, 201);
    // Whoever fills the pool of warm tenants may have added a login at the same moment as the first sign-up.
    let shared = "SELECT count(*) FROM server_logins WHERE tenants > 1 AND NOT own";
    assert!(app.count(shared).await > 0);
}
