//! Tenants on servers of their own, which provider `local` makes.

use std::{process::Command, time::Duration};

use serde_json::{Value, json};
use tenantry_postgres::embedded::Durability;
use tenantry_tests::{TestApp, local_servers, server, within::within};
use tenantry_worker::{providers::Providers, reconcilers::sweep_own_servers};

async fn server_of(app: &TestApp, slug: &str) -> Value {
    let servers = app.api.get("/api/v1/servers").await.expect(200).json();
    let tenant = app.api.get(&format!("/api/v1/tenants/{slug}")).await.expect(200).json();
    let name = tenant["placement"]["server"].clone();
    let found = servers["items"].as_array().unwrap().iter().find(|server| server["name"] == name);
    found.unwrap_or_else(|| panic!("{name} among {servers}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_of_plan_enterprise_has_a_server_of_its_own_from_sign_up_to_purge() {
    let app = TestApp::build().without_daily_quotas().with_apps(&["crm"]).start().await;
    for plan in ["enterprise", "custom"] {
        let tenant = app.sign_up(plan, plan, "crm").await;
        tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
        let server = server_of(&app, &tenant.slug).await;
        assert_eq!(
            (&server["provider"], &server["tiers"], &server["tenants"], &server["capacity"]),
            (&json!("local"), &json!(["instance"]), &json!(1), &json!(1))
        );
        let path = format!("/api/v1/tenants/{}", tenant.slug);
        app.api.post_and_wait(&format!("{path}/suspend"), json!({})).await.expect(200);
        tenant.data.get("/api/contacts").await.expect_problem(403, "tenant_suspended");
        app.api.post_and_wait(&format!("{path}/resume"), json!({})).await.expect(200);
        app.api.delete_and_wait(&path).await.expect(200);
        app.api.post_and_wait(&format!("{path}/restore"), json!({})).await.expect(200);
        assert_eq!(tenant.data.get("/api/contacts").await.expect(200).json().as_array().unwrap().len(), 1);
        app.api.delete_and_wait(&format!("{path}?purge=now")).await.expect(200);
        app.api.get(&format!("/api/v1/servers/{}", server["name"].as_str().unwrap())).await.expect(404);
        app.assert_nothing_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_tenant_goes_to_a_server_that_was_made_for_one() {
    let app = TestApp::build().without_daily_quotas().with_apps(&["crm"]).start().await;
    let (one, other) =
        tokio::join!(app.sign_up("one", "enterprise", "crm"), app.sign_up("other", "custom", "crm"));
    let (first, second) = (server_of(&app, &one.slug).await, server_of(&app, &other.slug).await);
    assert_ne!(first["name"], second["name"]);
    // Not even when it has room, nor when it is asked for.
    let name = first["name"].as_str().unwrap();
    app.api.patch(&format!("/api/v1/servers/{name}"), json!({ "capacity": 10 })).await.expect(200);
    for change in [json!({ "tiers": ["schema"] }), json!({ "provider": "static" })] {
        app.api.patch(&format!("/api/v1/servers/{name}"), change).await.expect_problem(400, "invalid_field");
    }
    let mixed = json!({ "tiers": ["schema", "instance"] });
    app.api.patch("/api/v1/servers/main", mixed).await.expect_problem(400, "invalid_field");
    let path = format!("/api/v1/tenants/{}/move", other.slug);
    app.api.post_and_wait(&path, json!({ "server": name })).await.expect_problem(422, "operation_failed");
    assert_eq!(server_of(&app, &other.slug).await["name"], second["name"]);
    app.api.delete(&format!("/api/v1/servers/{name}")).await.expect_problem(409, "server_in_use");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_somebody_registered_for_the_tier_is_used_before_one_is_made() {
    let app = TestApp::build().without_daily_quotas().with_apps(&["crm"]).start().await;
    let own = server::start(Durability::Volatile).await.unwrap();
    app.add_cordoned_server("roomy", &own).await;
    let change = json!({ "tiers": ["instance"], "state": "active" });
    app.api.patch("/api/v1/servers/roomy", change).await.expect(200);
    let first = app.sign_up("first", "enterprise", "crm").await;
    assert_eq!(server_of(&app, &first.slug).await["name"], "roomy");
    assert!(local_servers::existing(app.label()).is_empty());
    let second = app.sign_up("second", "enterprise", "crm").await;
    assert_eq!(server_of(&app, &second.slug).await["provider"], "local", "of its own is what holds no other");
    let path = format!("/api/v1/tenants/{}?purge=now", first.slug);
    app.api.delete_and_wait(&path).await.expect(200);
    app.api.get("/api/v1/servers/roomy").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_want_the_only_free_server_one_gets_it_and_one_is_made_for_the_other() {
    let mut app = TestApp::build().without_daily_quotas().with_apps(&["crm"]).without_worker().start().await;
    let own = server::start(Durability::Volatile).await.unwrap();
    app.add_cordoned_server("roomy", &own).await;
    let change = json!({ "tiers": ["instance"], "state": "active" });
    app.api.patch("/api/v1/servers/roomy?check=false", change).await.expect(200);
    let (one, other) = (app.slug("one"), app.slug("other"));
    let begun = [app.begin_sign_up(&one, "enterprise").await, app.begin_sign_up(&other, "enterprise").await];
    app.start_worker(app.worker_settings()).await;
    for operation in &begun {
        let ended = app.operation_ended(operation).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
    }
    let mut providers =
        [server_of(&app, &one).await["provider"].clone(), server_of(&app, &other).await["provider"].clone()];
    providers.sort_by_key(ToString::to_string);
    assert_eq!(providers, ["local", "static"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_lost_with_its_tenant_and_one_that_was_left_are_deleted_at_their_provider() {
    let app = TestApp::build().without_daily_quotas().with_apps(&["crm"]).start().await;
    let (lost, left) =
        (app.sign_up("lost", "enterprise", "crm").await, app.sign_up("left", "enterprise", "crm").await);
    let name = server_of(&app, &lost.slug).await["name"].as_str().unwrap().to_owned();
    let is_shown = async || {
        let metric = format!(r#"tenantry_server_reachable{{server="{name}"}}"#);
        app.admin.get("/metrics").await.text.contains(&metric)
    };
    within(Duration::from_secs(20), "its metric is shown", is_shown).await;
    let away = "UPDATE servers SET unreachable_since = now(), unreachable_error = 'the test says so' WHERE name = $1";
    sqlx::query(away).bind(&name).execute(app.owner()).await.unwrap();
    let begun = app.api.delete(&format!("/api/v1/servers/{name}?lost=true")).await.expect(202).json();
    let ended = app.operation_ended(begun["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(local_servers::existing(app.label()).len(), 1);
    within(Duration::from_secs(20), "its metric is gone", async || !is_shown().await).await;
    // As if its purge had been given up in the middle.
    for give_up in [
        "DELETE FROM placements WHERE tenant_id = $1::uuid",
        "UPDATE tenants SET status = 'purged', purge_at = NULL WHERE id = $1::uuid",
    ] {
        sqlx::query(give_up).bind(&left.id).execute(app.owner()).await.unwrap();
    }
    let resources = app.worker.as_ref().unwrap().resources();
    assert_eq!(sweep_own_servers::run(resources).await.unwrap(), 1);
    assert!(local_servers::existing(app.label()).is_empty());
    assert_eq!(app.count("SELECT count(*) FROM servers WHERE owner_id IS NOT NULL").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_provider_or_a_free_server_the_sign_up_fails_and_says_what_to_do() {
    let build =
        TestApp::build().without_daily_quotas().worker(|worker| worker.providers = Providers::default());
    let app = build.with_apps(&["crm"]).start().await;
    let body = json!({ "name": "acme", "slug": app.slug("acme"), "plan": "enterprise", "app": "crm" });
    let failed = app.api.post_and_wait("/api/v1/tenants", body).await.expect_problem(422, "operation_failed");
    let detail = failed.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("--local-servers") && detail.contains("register"), "{detail}");
    app.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_a_tenants_own_is_started_again_when_it_ends_and_by_the_next_worker() {
    let mut app = TestApp::build().without_daily_quotas().with_apps(&["crm"]).without_worker().start().await;
    let mut settings = app.worker_settings();
    settings.providers = local_servers::providers(app.label(), Durability::Full);
    app.start_worker(settings.clone()).await;
    let tenant = app.sign_up("acme", "enterprise", "crm").await;
    tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
    let folder = local_servers::existing(app.label()).pop().unwrap();
    let serves_again = async || {
        let again = async || tenant.data.get("/api/contacts").await.status == 200;
        within(Duration::from_secs(30), "its data is served again", again).await;
    };
    let pid = local_servers::postmaster(&folder).unwrap();
    assert!(Command::new("kill").args(["-s", "KILL", &pid]).status().unwrap().success());
    within(Duration::from_secs(30), "another postmaster runs", async || {
        local_servers::postmaster(&folder).is_some_and(|now| now != pid)
    })
    .await;
    serves_again().await;
    app.stop_worker().await;
    assert_eq!(local_servers::postmaster(&folder), None, "it ends with the worker");
    app.start_worker(settings).await;
    serves_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_had_goes_with_its_server_even_if_nobody_reaches_that() {
    let mut app = TestApp::build().without_daily_quotas().with_apps(&["crm"]).start().await;
    let tenant = app.sign_up("acme", "enterprise", "crm").await;
    app.stop_worker().await;
    let folder = local_servers::existing(app.label()).pop().unwrap();
    std::fs::remove_file(folder.join("postgres/data/global/pg_control")).unwrap();
    app.start_worker(app.worker_settings()).await;
    let path = format!("/api/v1/tenants/{}?purge=now", tenant.slug);
    app.api.delete_and_wait(&path).await.expect(200);
    app.assert_nothing_left().await;
}
