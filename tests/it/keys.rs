//! API keys: scopes, expiry, revocation, and that nothing secret is stored or shown.

use chrono::Duration;
use reqwest::Method;
use serde_json::{Value, json};
use tenantry_domain::{Clock, SystemClock};
use tenantry_tests::{Api, TestApp, clock::MovedClock, within::within};

/// A client with a new key of these scopes, and the key's id.
async fn key_with(app: &TestApp, scopes: &[&str]) -> (Api, String) {
    let made =
        app.api.post("/api/v1/keys", json!({ "name": "test", "scopes": scopes })).await.expect(201).json();
    (app.api.with_key(made["key"].as_str().unwrap()), made["id"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_do_what_its_scopes_say_and_nothing_else() {
    let app = TestApp::build().without_worker().start().await;
    let (reader, _) = key_with(&app, &["tenants:read"]).await;
    reader.get("/api/v1/tenants").await.expect(200);
    let body = json!({ "name": "Acme", "slug": app.slug("acme"), "plan": "basic", "app": "crm" });
    let refused = reader.post("/api/v1/tenants", body.clone()).await.expect_problem(403, "scope_missing");
    assert_eq!(refused.json()["scope"], "tenants:write");
    for path in ["/api/v1/plans", "/api/v1/servers", "/api/v1/apps", "/api/v1/keys", "/api/v1/operations"] {
        reader.get(path).await.expect_problem(403, "scope_missing");
    }
    // Who may not do it does not hear what else is wrong with it.
    reader.post("/api/v1/tenants", json!({ "nonsense": 1 })).await.expect_problem(403, "scope_missing");
    assert_eq!(app.count("SELECT count(*) FROM tenants").await, 0);

    let (writer, _) = key_with(&app, &["tenants:write"]).await;
    writer.post("/api/v1/tenants", body).await.expect(202);
    writer.get("/api/v1/tenants").await.expect_problem(403, "scope_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scope_that_an_endpoint_documents_is_the_one_it_needs() {
    let app = TestApp::build().without_worker().start().await;
    let document = app.api.get("/openapi.json").await.expect(200).json();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(scope) = operation["security"][0]["apiKey"][0].as_str() else { continue };
            let (key, _) = key_with(&app, &[scope]).await;
            let filled = path.replace(['{', '}'], "");
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = key.send(key.request(method.clone(), &filled).json(&json!({}))).await;
            assert!(![401, 403].contains(&answer.status.as_u16()), "{method} {path}: {}", answer.text);
            assert!(!answer.status.is_server_error(), "{method} {path}: {}", answer.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_cannot_make_one_that_may_more_than_itself() {
    let app = TestApp::build().without_worker().start().await;
    let (maker, _) = key_with(&app, &["keys:write", "keys:read", "tenants:read"]).await;
    let before = app.count("SELECT count(*) FROM api_keys").await;
    for scopes in
        [json!(["tenants:write"]), json!(["tenants:read", "tenants:secrets"]), json!(["servers:write"])]
    {
        let body = json!({ "name": "more", "scopes": scopes });
        maker.post("/api/v1/keys", body).await.expect_problem(403, "scope_missing");
    }
    assert_eq!(app.count("SELECT count(*) FROM api_keys").await, before);
    let made =
        maker.post("/api/v1/keys", json!({ "name": "same", "scopes": ["keys:write", "tenants:read"] })).await;
    let made = made.expect(201).json();
    assert_eq!(made["scopes"], json!(["tenants:read", "keys:write"]));
    let grandchild = app.api.with_key(made["key"].as_str().unwrap());
    let body = json!({ "name": "more", "scopes": ["keys:read"] });
    grandchild.post("/api/v1/keys", body).await.expect_problem(403, "scope_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_key_works_no_longer_on_either_plane() {
    let clock = MovedClock::shared();
    let app = TestApp::build().with_clock(clock.clone()).start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let end = SystemClock.now() + Duration::hours(1);
    let body = json!({ "name": "short", "scopes": ["tenants:read"], "expiresAt": end });
    let made = app.api.post("/api/v1/keys", body).await.expect(201).json();
    let short = app.api.with_key(made["key"].as_str().unwrap());
    let path = format!("/api/v1/tenants/{}/keys", tenant.slug);
    let body = json!({ "name": "short", "scopes": ["data:read"], "expiresAt": end });
    let made = app.api.post(&path, body).await.expect(201).json();
    let data = tenant.data.with_key(made["key"].as_str().unwrap());

    short.get("/api/v1/tenants").await.expect(200);
    data.get("/api/contacts").await.expect(200);
    data.post("/api/contacts", json!({ "email": "a@example.com" }))
        .await
        .expect_problem(403, "scope_missing");
    clock.put_ahead(Duration::hours(2));
    short.get("/api/v1/tenants").await.expect_problem(401, "unauthenticated");
    data.get("/api/contacts").await.expect_problem(401, "key_invalid");
    // Others are not concerned.
    app.api.get("/api/v1/tenants").await.expect(200);
    tenant.data.get("/api/contacts").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_works_no_longer_from_that_moment() {
    let app = TestApp::build().without_worker().start().await;
    let (key, id) = key_with(&app, &["tenants:read", "keys:write"]).await;
    key.get("/api/v1/tenants").await.expect(200);
    app.api.delete(&format!("/api/v1/keys/{id}")).await.expect(204);
    key.get("/api/v1/tenants").await.expect_problem(401, "unauthenticated");
    app.api.delete(&format!("/api/v1/keys/{id}")).await.expect_problem(404, "key_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_tenant_key_opens_its_tenant_s_data_no_longer() {
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let path = format!("/api/v1/tenants/{}/keys", tenant.slug);
    let made = app.api.post(&path, json!({ "name": "second" })).await.expect(201).json();
    assert_eq!(made["scopes"], json!(["data:read", "data:write"]));
    let second = tenant.data.with_key(made["key"].as_str().unwrap());
    second.get("/api/contacts").await.expect(200);
    let id = made["id"].as_str().unwrap();
    app.api.delete(&format!("{path}/{id}")).await.expect(204);
    app.routes_caught_up().await;
    second.get("/api/contacts").await.expect_problem(401, "key_invalid");
    tenant.data.get("/api/contacts").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_s_key_opens_nothing_on_the_control_plane_and_an_operator_s_no_data() {
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let theirs = app.api.with_key(tenant.key.clone());
    for path in ["/api/v1/tenants", "/api/v1/keys", "/api/v1/plans"] {
        theirs.get(path).await.expect_problem(403, "wrong_kind_of_key");
    }
    let own = format!("/api/v1/tenants/{}", tenant.slug);
    theirs.get(&own).await.expect_problem(403, "wrong_kind_of_key");
    theirs.delete(&own).await.expect_problem(403, "wrong_kind_of_key");
    tenant.data.with_key(app.key.clone()).get("/api/contacts").await.expect_problem(401, "key_invalid");
    tenant.data.without_key().get("/api/contacts").await.expect_problem(401, "key_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_s_keys_are_neither_seen_nor_revoked_through_another() {
    let app = TestApp::build().without_worker().start().await;
    let mut ids = Vec::new();
    for name in ["one", "two"] {
        let body = json!({ "name": name, "slug": app.slug(name), "plan": "basic", "app": "crm" });
        app.api.post("/api/v1/tenants", body).await.expect(202);
        let path = format!("/api/v1/tenants/{}/keys", app.slug(name));
        let made = app.api.post(&path, json!({ "name": name })).await.expect(201).json();
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let keys_of_two = format!("/api/v1/tenants/{}/keys", app.slug("two"));
    let listed = app.api.get(&keys_of_two).await.expect(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["id"], ids[1]);
    app.api.delete(&format!("{keys_of_two}/{}", ids[0])).await.expect_problem(404, "key_not_found");
    // Nor is a tenant's key one of the control plane's.
    app.api.delete(&format!("/api/v1/keys/{}", ids[0])).await.expect_problem(404, "key_not_found");
    assert_eq!(app.count("SELECT count(*) FROM api_keys WHERE tenant_id IS NOT NULL").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_shown_once_and_stored_as_hashes_only() {
    let app = TestApp::build().without_worker().start().await;
    let made = app
        .api
        .post("/api/v1/keys", json!({ "name": "billing", "scopes": ["tenants:read"] }))
        .await
        .expect(201);
    assert_eq!(made.header("cache-control").as_deref(), Some("no-store"));
    let (made, key) = (made.json(), made.json()["key"].as_str().unwrap().to_owned());
    let listed = app.api.get("/api/v1/keys").await.expect(200);
    assert!(!listed.text.contains(&key) && !listed.text.contains("hash"), "{}", listed.text);
    assert!(listed.json()["items"].as_array().unwrap().iter().any(|item| item["id"] == made["id"]));

    let (row, is_hash): (String, bool) = sqlx::query_as(
        "SELECT k::text, k.hash = sha256(convert_to($1, 'UTF8')) FROM api_keys AS k WHERE name = 'billing'",
    )
    .bind(&key)
    .fetch_one(app.owner())
    .await
    .unwrap();
    assert!(is_hash);
    assert!(!row.contains(&key[4..]), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_shows_its_password_only_to_who_may_see_secrets_and_asks() {
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "premium", "crm").await;
    let path = format!("/api/v1/tenants/{}/connection", tenant.slug);
    let (reader, _) = key_with(&app, &["tenants:read"]).await;
    for path in [path.clone(), format!("{path}?reveal=false")] {
        let plain = reader.get(&path).await.expect(200);
        let expected = json!({
            "host": app.server().host(), "port": app.server().port(), "database": object_name(&tenant.slug),
            "schema": object_name(&tenant.slug), "role": object_name(&tenant.slug),
        });
        assert_eq!(plain.json(), expected);
        assert_eq!(plain.header("cache-control").as_deref(), Some("no-store"));
    }
    let reveal = format!("{path}?reveal=true");
    let refused = reader.get(&reveal).await.expect_problem(403, "scope_missing");
    assert_eq!(refused.json()["scope"], "tenants:secrets");
    // The scope alone is not enough either: the connection is part of the tenant.
    let (secrets, _) = key_with(&app, &["tenants:secrets"]).await;
    secrets.get(&reveal).await.expect_problem(403, "scope_missing");

    let (trusted, _) = key_with(&app, &["tenants:read", "tenants:secrets"]).await;
    assert_eq!(trusted.get(&path).await.expect(200).json()["password"], Value::Null);
    let shown = trusted.get(&reveal).await.expect(200).json()["password"].as_str().unwrap().to_owned();
    assert!(shown.len() >= 20);
    let sealed: Vec<u8> =
        sqlx::query_scalar("SELECT role_password FROM placements").fetch_one(app.owner()).await.unwrap();
    assert!(
        !sealed.windows(shown.len()).any(|window| window == shown.as_bytes()),
        "the password is stored as it is"
    );
}

fn object_name(slug: &str) -> String {
    format!("tenant_{}", slug.replace('-', "_"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_replaced_by_one_that_may_do_the_same_and_both_count_for_a_while() {
    let app = TestApp::start().await;
    let acme = app.sign_up("acme", "basic", "crm").await;
    let (reader, old) = key_with(&app, &["tenants:read"]).await;
    let path = format!("/api/v1/keys/{old}/rotate");
    let new = app.api.post(&path, json!({ "overlapSeconds": 3600 })).await.expect(201).json();
    assert_eq!(new["scopes"], json!(["tenants:read"]));
    let successor = app.api.with_key(new["key"].as_str().unwrap().to_owned());
    for key in [&reader, &successor] {
        key.get("/api/v1/tenants").await.expect(200);
    }
    let path = format!("/api/v1/keys/{}/rotate", new["id"].as_str().unwrap());
    let last = app.api.post(&path, json!({ "overlapSeconds": 0 })).await.expect(201).json();
    within(std::time::Duration::from_secs(20), "the key before it is at its end", async || {
        successor.get("/api/v1/tenants").await.status == 401
    })
    .await;
    app.api.with_key(last["key"].as_str().unwrap().to_owned()).get("/api/v1/tenants").await.expect(200);
    // One that has ended has no successor; and nobody gives what he has not.
    app.api.post(&path, json!({})).await.expect_problem(404, "key_not_found");
    let (maker, _) = key_with(&app, &["keys:write"]).await;
    let path = format!("/api/v1/keys/{}/rotate", last["id"].as_str().unwrap());
    maker.post(&path, json!({})).await.expect_problem(403, "scope_missing");

    let keys = format!("/api/v1/tenants/{}/keys", acme.id);
    let old = app.api.get(&keys).await.expect(200).json()["items"][0]["id"].as_str().unwrap().to_owned();
    let new = app
        .api
        .post(&format!("{keys}/{old}/rotate"), json!({ "overlapSeconds": 0 }))
        .await
        .expect(201)
        .json();
    app.routes_caught_up().await;
    acme.data.with_key(new["key"].as_str().unwrap().to_owned()).get("/api/contacts").await.expect(200);
    acme.data.get("/api/contacts").await.expect_problem(401, "key_invalid");
    let told = app.api.get("/api/v1/events?type=key.rotated").await.expect(200).json();
    assert_eq!(told["items"].as_array().unwrap().len(), 3, "{told}");
    assert_eq!(told["items"][0]["data"]["formerKeyId"], old.as_str());
    for body in [json!({ "overlapSeconds": 2_592_001 }), json!({ "overlapSeconds": -1 })] {
        let path = format!("{keys}/{}/rotate", new["id"].as_str().unwrap());
        assert_eq!(app.api.post(&path, body).await.expect(400).fields(), ["overlapSeconds"]);
    }
}
