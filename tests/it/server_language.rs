//! A server whose messages are in another language (`lc_messages`): errors are known by their codes.

use std::time::Duration;

use futures::future::join_all;
use secrecy::ExposeSecret;
use serde_json::json;
use tenantry_cli::embedded::database_url;
use tenantry_postgres::embedded::Durability;
use tenantry_registry::{Part, Registry};
use tenantry_tests::{TestApp, server, translator::Translator};

const APP: &str = "
    CREATE TABLE notes (
        id int PRIMARY KEY, body text NOT NULL DEFAULT 'x' CHECK (length(body) < 10), kind regclass, at timestamptz);
    CREATE FUNCTION fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'no' USING ERRCODE = 'PT402'; END $$;
    CREATE FUNCTION slow() RETURNS void LANGUAGE sql AS $$ SELECT pg_sleep(60) $$;";

/// An app, and who stands in front of its server for as long as it is held.
async fn start() -> (TestApp, Translator) {
    let translator = Translator::before(server::shared().await).await;
    let app = TestApp::build()
        .with_apps(&[])
        .with_registry_proxy(translator.address)
        .with_worker_registry_proxy(translator.address)
        .with_control_plane_registry_proxy(translator.address)
        .with_tenant_server_proxy(translator.address)
        .data_plane(|plane| plane.statement_timeout = Duration::from_secs(1))
        .start()
        .await;
    app.api.put("/api/v1/apps/notes", json!({})).await.expect(200);
    let version = json!({ "version": 1, "name": "notes", "up": APP });
    app.api.post("/api/v1/apps/notes/versions", version).await.expect(201);
    (app, translator)
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_made_moved_suspended_and_purged_whatever_the_server_s_language() {
    let (app, _translator) = start().await;
    let slugs: Vec<String> = (0..8).map(|n| format!("tenant-{n}")).collect();
    let plans = ["basic", "premium"].into_iter().cycle();
    // At once, so that they meet each other's rows in PostgreSQL's catalog.
    let signed_up = slugs.iter().zip(plans).map(|(slug, plan)| app.sign_up(slug, plan, "notes"));
    let tenants = join_all(signed_up).await;
    let moved = &tenants[0];
    moved.data.post("/api/notes", json!({ "id": 1 })).await.expect(201);
    let path = format!("/api/v1/tenants/{}", moved.slug);
    for tier in ["database", "schema"] {
        let begun = app.api.post(&format!("{path}/move"), json!({ "tier": tier })).await.expect(202).json();
        let ended = app.operation_ended(begun["operation"]["id"].as_str().unwrap()).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
        assert_eq!(moved.data.get("/api/notes?select=id").await.expect(200).json(), json!([{ "id": 1 }]));
    }
    let begun = app.api.post(&format!("{path}/suspend"), json!({})).await.expect(202).json();
    let ended = app.operation_ended(begun["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    app.api.delete_and_wait(&format!("{path}?purge=now")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_s_errors_have_their_statuses_and_codes_whatever_the_server_s_language() {
    let (app, _translator) = start().await;
    let tenant = app.sign_up("acme", "basic", "notes").await;
    tenant.data.post("/api/notes", json!({ "id": 1 })).await.expect(201);
    for (method, path, body, status, code) in [
        ("POST", "/api/notes", json!({ "id": 1 }), 409, "23505"),
        ("POST", "/api/notes", json!({ "id": 2, "body": null }), 400, "23502"),
        ("POST", "/api/notes", json!({ "id": 2, "body": "much too long" }), 400, "23514"),
        ("POST", "/api/notes", json!({ "id": "two" }), 400, "22P02"),
        ("POST", "/api/notes", json!({ "id": 2, "kind": "nowhere" }), 404, "42P01"),
        ("POST", "/api/notes", json!({ "id": 2, "at": "never" }), 400, "22007"),
        ("GET", "/api/notes?id=eq.two", json!(null), 400, "22P02"),
        ("GET", "/api/nowhere", json!(null), 404, "PGRST205"),
        ("POST", "/api/rpc/fail", json!({}), 402, "PT402"),
        ("POST", "/api/rpc/slow", json!({}), 504, "statement_timeout"),
    ] {
        let answer = match method {
            "GET" => tenant.data.get(path).await,
            _ => tenant.data.post(path, body.clone()).await,
        };
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["code"]),
            (status, &json!(code)),
            "{path} {body}: {}",
            answer.text
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_s_faults_are_explained_whatever_the_server_s_language() {
    let (app, _translator) = start().await;
    for (up, says) in [
        ("BEGIN; CREATE TABLE a (id int); COMMIT", "Leave out what begins or ends one"),
        ("CREATE TABLE a (id int); COPY a FROM stdin", "INSERT instead of COPY"),
        ("SELECT 1 AS id INTO a", "CREATE TABLE ... AS SELECT"),
    ] {
        let version = json!({ "version": 2, "name": "more", "up": up });
        let refused = app.api.post("/api/v1/apps/notes/versions", version).await;
        let detail = refused.expect_problem(422, "version_invalid").json()["detail"].to_string();
        assert!(detail.contains(says), "{up}: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_not_migrated_is_known_whatever_the_server_s_language() {
    // The roles are there once for a server.
    let bare = server::start(Durability::Volatile).await.unwrap();
    let translator = Translator::before(&bare).await;
    let here = format!("127.0.0.1:{}", bare.port());
    let url = database_url(&bare, "postgres").expose_secret().replace(&here, &translator.address.to_string());
    let registry = Registry::connect_lazy(&url, Part::Worker, 1).unwrap();
    let refused = registry.reach().await.unwrap_err().to_string();
    assert!(refused.contains("tenantry migrate"), "{refused}");
    bare.stop().await.unwrap();
}
