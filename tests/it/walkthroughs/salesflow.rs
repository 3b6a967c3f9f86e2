//! `seeds/salesflow.md`, "Testing Multi-Tenancy".
//!
//! | the document's call | ours | |
//! |---|---|---|
//! | `POST /api/auth/tenant/register` `{tenantId, name}` | `POST /api/v1/tenants` `{slug, name, plan, app}` | covered |
//! | `GET /api/auth/admin/tenants` | `GET /api/v1/tenants` | covered |
//! | `POST tenant1.localhost/api/auth/register`, `/login`; `GET /api/auth/validate` | the same; the roles are `["member"]`, not Spring's `["ROLE_USER"]` | covered |
//! | `POST`, `GET tenant1.localhost:8080/api/contacts` | the same on the data plane | covered |
//! | `POST`, `GET localhost:8080/api/contacts` with `X-Tenant-ID: tenant1` | the same | covered |
//! | `GET tenant1.localhost/api/contacts` with tenant2's token: 403 | the same, and with tenant2's key | covered |
//! | `SELECT table_name ... WHERE table_schema = 'tenant_tenant1'` | the same schema | covered |
//! | default data is seeded; tags, activities | `GET /api/tags`, `/api/activities` | covered |
//! | deactivation period, deletion | `DELETE /api/v1/tenants/{tenant}` | covered in `lifecycle` |
//! | backup, restore, rate limits, metrics | | later issues |

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tenantry_tests::{Api, TestApp, server};

use super::{create, get_with, object_name};

struct Tenant {
    slug: String,
    data: Api,
}

/// "Register Tenants": each answers `{tenantId, name, status, createdAt}`.
async fn register(app: &TestApp, tenant_id: &str, name: &str) -> Tenant {
    let slug = app.slug(tenant_id);
    let body = json!({ "slug": slug, "name": name, "plan": "basic", "app": "salesflow" });
    let answer = app.api.post_and_wait("/api/v1/tenants", body).await.expect(201).json();
    let tenant = &answer["tenant"];
    assert_eq!((&tenant["slug"], &tenant["name"]), (&json!(slug), &json!(name)));
    assert_eq!(tenant["status"].as_str().unwrap().to_uppercase(), "ACTIVE");
    assert!(tenant["createdAt"].as_str().unwrap().ends_with('Z'), "a time in UTC");
    let key = app.data_key(&slug).await;
    Tenant { data: app.data.with_host(format!("{slug}.localhost:8080")).with_key(key), slug }
}

async fn emails(api: &Api) -> Value {
    api.get("/api/contacts?select=email&order=email").await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_register_and_keep_their_contacts_to_themselves() {
    let app = TestApp::start().await;
    // 1. Register tenants, and list them.
    let tenant1 = register(&app, "tenant1", "Tenant 1 Organization").await;
    let tenant2 = register(&app, "tenant2", "Tenant 2 Organization").await;
    let listed = app.api.get("/api/v1/tenants").await.expect(200).json();
    let slugs: Vec<_> =
        listed["items"].as_array().unwrap().iter().map(|tenant| tenant["slug"].clone()).collect();
    assert_eq!(slugs, [json!(tenant2.slug), json!(tenant1.slug)]);

    // 4. Method A: by subdomain.
    let alice = json!({
        "firstName": "Alice", "lastName": "Johnson", "email": "alice@example.com", "phone": "555-123-4567"
    });
    let made = create(&tenant1.data, "/api/contacts", &alice).await;
    for field in ["firstName", "lastName", "email", "phone"] {
        assert_eq!(made[field], alice[field], "{field}");
    }
    assert!(made["id"].is_string() && made["createdAt"].is_string(), "{made}");
    assert_eq!(tenant1.data.get("/api/contacts").await.expect(200).json(), json!([made]));
    let bob = json!({ "firstName": "Bob", "lastName": "Smith", "email": "bob@example.com", "phone": "555-987-6543" });
    create(&tenant2.data, "/api/contacts", &bob).await;
    assert_eq!(emails(&tenant2.data).await, json!([{ "email": "bob@example.com" }]));

    // Method B: by header, at a host that is nobody's.
    let key = app.data_key(&tenant1.slug).await;
    let by_header = app.data.with_key(key);
    let charlie = json!({
        "firstName": "Charlie", "lastName": "Brown", "email": "charlie@example.com", "phone": "555-555-5555"
    });
    let request = by_header.request(Method::POST, "/api/contacts").header("x-tenant-id", &tenant1.slug);
    by_header.send(request.json(&charlie)).await.expect(201);
    let read =
        get_with(&by_header, "/api/contacts?select=email&order=email", "x-tenant-id", &tenant1.slug).await;
    assert_eq!(
        read.expect(200).json(),
        json!([{ "email": "alice@example.com" }, { "email": "charlie@example.com" }])
    );
    assert_eq!(emails(&tenant2.data).await, json!([{ "email": "bob@example.com" }]));

    // 5. Testing data isolation: tenant1's data with tenant2's credentials.
    let crossing = app
        .data
        .with_host(format!("{}.localhost:8080", tenant1.slug))
        .with_key(app.data_key(&tenant2.slug).await);
    let refused = crossing.get("/api/contacts").await.expect_problem(403, "tenant_mismatch");
    assert!(!refused.text.contains("alice"), "{}", refused.text);
    let request = crossing.request(Method::POST, "/api/contacts").json(&bob);
    crossing.send(request).await.expect_problem(403, "tenant_mismatch");
    let by_header = app.data.with_key(app.data_key(&tenant2.slug).await);
    let refused = get_with(&by_header, "/api/contacts", "x-tenant-id", &tenant1.slug).await;
    refused.expect_problem(403, "tenant_mismatch");
    app.data
        .with_host("tenant9.localhost")
        .get("/api/contacts")
        .await
        .expect_problem(404, "tenant_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_two_tenants_register_log_in_and_keep_to_their_own_tenant() {
    let app = TestApp::start().await;
    let mut tokens = Vec::new();
    for (tenant, username, first, last) in
        [("tenant1", "user1", "John", "Doe"), ("tenant2", "user2", "Jane", "Smith")]
    {
        let tenant = register(&app, tenant, "An Organization").await;
        let data = tenant.data.without_key();
        // 2. Create tenant users. The document's `tenantId` is our slug.
        let user = json!({
            "username": username, "email": format!("{username}@tenant.com"), "password": "securePassword123",
            "tenantId": tenant.slug, "firstName": first, "lastName": last,
        });
        let registered = data.post("/api/auth/register", user).await.expect(201).json();
        let expected = json!({
            "id": 1, "username": username, "email": format!("{username}@tenant.com"), "tenantId": tenant.slug,
            "enabled": true, "roles": ["member"],
        });
        assert_eq!(registered, expected);
        // 3. Login as tenant user, and verify that the token is valid.
        let login = json!({ "username": username, "password": "securePassword123" });
        let answer = data.post("/api/auth/login", login).await.expect(200).json();
        let token = answer["accessToken"].as_str().unwrap().to_owned();
        let as_user = data.with_key(token.clone());
        let valid = as_user.get("/api/auth/validate").await.expect(200).json();
        assert_eq!((&valid["valid"], &valid["user"]["username"]), (&json!(true), &json!(username)));
        // 4. Use services with tenant context: by subdomain, then by header.
        let contact = json!({
            "firstName": first, "lastName": last, "email": format!("{first}@example.com"), "phone": "555-123-4567"
        });
        create(&as_user, "/api/contacts", &contact).await;
        let by_header = app.data.with_key(token.clone());
        let read = get_with(&by_header, "/api/contacts?select=firstName", "x-tenant-id", &tenant.slug).await;
        assert_eq!(read.expect(200).json(), json!([{ "firstName": first }]));
        tokens.push((tenant, token));
    }
    // 5. Testing data isolation.
    let [(tenant1, _), (_, of_tenant2)] = &tokens[..] else { panic!("two tenants") };
    let crossing = tenant1.data.with_key(of_tenant2.clone());
    let refused = crossing.get("/api/contacts").await.expect_problem(403, "tenant_mismatch");
    assert!(!refused.text.contains("John"), "{}", refused.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_tenant_has_its_schema_its_tables_and_its_default_data() {
    let app = TestApp::start().await;
    let tenant = register(&app, "tenant1", "Tenant 1 Organization").await;
    let mut shared = server::admin(app.server(), app.shared_database()).await;
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT table_name::text FROM information_schema.tables WHERE table_schema = $1")
            .bind(object_name(&tenant.slug))
            .fetch_all(&mut shared)
            .await
            .unwrap();
    let tables: BTreeSet<_> = tables.iter().map(String::as_str).collect();
    for table in ["contacts", "tags", "contact_tags", "activities"] {
        assert!(tables.contains(table), "no {table} in {tables:?}");
    }
    let tags = tenant.data.get("/api/tags?select=name&order=name").await.expect(200).json();
    assert_eq!(tags, json!([{ "name": "customer" }, { "name": "lead" }, { "name": "partner" }]));

    let contact = create(&tenant.data, "/api/contacts", &json!({ "firstName": "Alice" })).await;
    let call = json!({ "contactId": contact["id"], "type": "call", "subject": "First call" });
    create(&tenant.data, "/api/activities", &call).await;
    let read = tenant.data.get("/api/contacts?select=firstName,activities(subject)").await.expect(200).json();
    assert_eq!(read, json!([{ "firstName": "Alice", "activities": [{ "subject": "First call" }] }]));
}
