//! Which tenant a request is for, whether it may be served, and how soon a change is heard of.

use std::time::Duration;

use chrono::Utc;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenantry_data_plane::{Method as By, Methods};
use tenantry_domain::{Clock, Slug};
use tenantry_tests::{Answer, Api, Signup, TestApp, app::random_suffix, clock::MovedClock, raw::RawRequest};

/// GET with headers, to an address that names nobody.
async fn get_with(api: &Api, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers
        .iter()
        .fold(api.request(Method::GET, path), |request, (name, value)| request.header(*name, *value));
    api.send(request).await
}

/// The slug of the tenant that was served.
#[track_caller]
fn served(answer: Answer) -> String {
    answer.expect(200).header("x-tenant").expect("an answer names its tenant")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_finds_the_tenant() {
    let app = TestApp::start().await;
    for plan in ["basic", "premium"] {
        let tenant = app.sign_up(plan, plan, "crm").await;
        let Signup { id, slug, .. } = &tenant;
        // The key is another's claim to the same tenant; without it in the game the rest must still do.
        let keyed = app.data.with_key(tenant.key.clone());
        let port = app.data.address().port();
        for host in [
            format!("{slug}.localhost"),
            format!("{}.LOCALHOST", slug.to_uppercase()),
            format!("{slug}.localhost:{port}"),
            format!("{slug}.localhost."),
            format!("{slug}.localhost.:{port}"),
        ] {
            assert_eq!(served(keyed.with_host(host.clone()).get("/api/contacts").await), *slug, "{host}");
        }
        for (name, value) in [
            ("x-tenant-id", id.clone()),
            ("x-tenant-id", slug.clone()),
            ("x-tenant-id", slug.replace('-', "_")),
            ("x-tenant-id", slug.to_uppercase()),
            ("x-tenant-slug", slug.clone()),
            ("x-tenant-slug", slug.replace('-', "_")),
        ] {
            let answer = get_with(&keyed, "/api/contacts", &[(name, &value)]).await;
            assert_eq!(served(answer), *slug, "{name}: {value}");
        }
        for path in [
            format!("/t/{slug}/api/contacts"),
            format!("/t/{}/api/contacts", slug.replace('-', "_")),
            format!("/t/{slug}/api/tenant"),
            format!("/api/contacts?tenant={slug}"),
            format!("/api/contacts?tenant={id}"),
            format!("/api/contacts?tenant_id={id}"),
            format!("/api/contacts?tenant_id={slug}"),
            format!("/api/contacts?select=id&tenant={slug}&limit=1"),
            // The key alone.
            "/api/contacts".to_owned(),
        ] {
            assert_eq!(served(keyed.get(&path).await), *slug, "{path}");
        }
        let whole = RawRequest::new("GET", format!("http://{slug}.localhost/api/contacts"))
            .header("Authorization", format!("Bearer {}", tenant.key.expose_secret()));
        let answer = whole.send(app.data.address()).await.remove(0);
        assert_eq!(served(answer), *slug);
        // All at once, as long as they agree.
        let all = keyed.with_host(format!("{slug}.localhost"));
        let path = format!("/t/{slug}/api/contacts?tenant={id}&tenant_id={slug}");
        let answer = get_with(&all, &path, &[("x-tenant-id", id), ("x-tenant-slug", slug)]).await;
        assert_eq!(served(answer), *slug);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_names_the_tenant_also_without_the_key_s_word() {
    let app = TestApp::build()
        .data_plane(|settings| {
            settings.methods = [By::Subdomain, By::Header, By::Path, By::Query].into_iter().collect();
        })
        .start()
        .await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let slug = &tenant.slug;
    let keyed = app.data.with_key(tenant.key.clone());
    tenant.data.get("/api/contacts").await.expect(200);
    get_with(&keyed, "/api/contacts", &[("x-tenant-slug", slug)]).await.expect(200);
    keyed.get(&format!("/t/{slug}/api/contacts")).await.expect(200);
    keyed.get(&format!("/api/contacts?tenant={slug}")).await.expect(200);
    keyed.get("/api/contacts").await.expect_problem(400, "tenant_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tenant_and_an_unknown_tenant_are_told_apart() {
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let answer = app.data.get("/api/contacts").await.expect_problem(400, "tenant_required");
    for way in ["<slug>.", "X-Tenant-ID", "/t/<slug>/", "tenant_id", "bearer"] {
        assert!(answer.text.contains(way), "{way}: {}", answer.text);
    }
    for api in [app.data.clone(), app.data.with_key(tenant.key.clone())] {
        let unknown = app.slug("nobody");
        let id = "019a0000-0000-7000-8000-000000000001";
        api.with_host(format!("{unknown}.localhost"))
            .get("/api/contacts")
            .await
            .expect_problem(404, "tenant_not_found");
        for (name, value) in [("x-tenant-id", id), ("x-tenant-id", &*unknown), ("x-tenant-slug", &*unknown)] {
            get_with(&api, "/api/contacts", &[(name, value)]).await.expect_problem(404, "tenant_not_found");
        }
        for path in [
            format!("/t/{unknown}/api/contacts"),
            format!("/api/contacts?tenant={unknown}"),
            format!("/api/contacts?tenant_id={id}"),
        ] {
            api.get(&path).await.expect_problem(404, "tenant_not_found");
        }
    }
    // Somebody and nobody at once contradict each other.
    get_with(&tenant.data, "/api/contacts", &[("x-tenant-id", &app.slug("nobody"))])
        .await
        .expect_problem(400, "tenant_conflict");
    // A refusal names the field that is wrong.
    let answer = get_with(&tenant.data, "/api/contacts", &[("x-tenant-id", "a b")]).await;
    assert_eq!(answer.expect_problem(400, "invalid_tenant").fields(), ["X-Tenant-ID"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_can_be_switched_off() {
    let app = TestApp::build()
        .data_plane(|settings| settings.methods = [By::Header].into_iter().collect::<Methods>())
        .start()
        .await;
    let (tenant, other) =
        (app.sign_up("acme", "basic", "crm").await, app.sign_up("other", "basic", "crm").await);
    let keyed = app.data.with_key(tenant.key.clone());
    tenant.data.get("/api/contacts").await.expect_problem(400, "tenant_required");
    keyed.get("/api/contacts").await.expect_problem(400, "tenant_required");
    keyed.get(&format!("/t/{}/api/contacts", tenant.slug)).await.expect_problem(404, "endpoint_not_found");
    keyed.get(&format!("/api/contacts?tenant={}", tenant.slug)).await.expect_problem(400, "tenant_required");
    // What is off is not heard, not even where it contradicts.
    let elsewhere = keyed.with_host(format!("{}.localhost", other.slug));
    let answer = get_with(&elsewhere, "/api/contacts", &[("x-tenant-id", &tenant.slug)]).await;
    assert_eq!(served(answer), tenant.slug);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_tenant_is_served_without_being_named_and_no_other_is() {
    let slug = format!("only-{}", random_suffix());
    let only = Slug::parse(&slug).unwrap();
    let app = TestApp::build().data_plane(move |settings| settings.single_tenant = Some(only)).start().await;
    app.data.get("/api/contacts").await.expect_problem(404, "tenant_not_found");
    let tenant = app.sign_up_as(&slug, "Only", "basic", "crm").await;
    let other = app.sign_up("other", "basic", "crm").await;
    let keyed = app.data.with_key(tenant.key.clone());
    app.routes_caught_up().await;
    keyed.get("/api/contacts").await.expect(200);
    assert_eq!(served(keyed.with_host("api.example.com").get("/api/contacts").await), slug);
    assert_eq!(served(tenant.data.get("/api/contacts").await), slug);

    app.data.get("/api/contacts").await.expect_problem(401, "key_required");
    for (path, headers) in [
        (format!("/t/{}/api/contacts", other.slug), vec![]),
        (format!("/api/contacts?tenant={}", other.slug), vec![]),
        ("/api/contacts".to_owned(), vec![("x-tenant-id", other.id.as_str())]),
        ("/api/contacts".to_owned(), vec![("x-tenant-slug", "nobody-at-all")]),
    ] {
        get_with(&keyed, &path, &headers).await.expect_problem(400, "tenant_conflict");
    }
    other.data.get("/api/contacts").await.expect_problem(400, "tenant_conflict");
    app.data.with_key(other.key).get("/api/contacts").await.expect_problem(403, "tenant_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_was_asked_for_too_early_is_served_as_soon_as_it_is_there() {
    // Unknown tenants are remembered for an hour, so that only the change feed can end it.
    let app =
        TestApp::build().data_plane(|settings| settings.unknown_ttl = Duration::from_hours(1)).start().await;
    for plan in ["basic", "premium"] {
        let early = app.data.with_host(format!("{}.localhost", app.slug(plan)));
        for _ in 0..3 {
            early.get("/api/contacts").await.expect_problem(404, "tenant_not_found");
        }
        let tenant = app.sign_up(plan, plan, "crm").await;
        app.routes_caught_up().await;
        tenant.data.get("/api/contacts").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_a_feature_are_served_to_tenants_that_have_it() {
    let app = TestApp::build().with_apps(&["cashflow"]).start().await;
    let (clinic, plain) =
        (app.sign_up("clinic", "basic", "cashflow").await, app.sign_up("plain", "basic", "cashflow").await);
    clinic.data.get("/api/products").await.expect(200);
    for table in ["patients", "treatments", "dental_supplies", "materials", "bom_items"] {
        let answer =
            clinic.data.get(&format!("/api/{table}")).await.expect_problem(403, "feature_not_enabled");
        assert!(answer.json()["feature"].is_string(), "{}", answer.text);
    }
    let patient = json!({ "first_name": "Ann" });
    clinic.data.post("/api/patients", patient.clone()).await.expect_problem(403, "feature_not_enabled");
    // Nor through a table that one has.
    clinic.data.get("/api/invoices?select=*,treatments(*)").await.expect_problem(400, "unknown_relationship");

    let path = format!("/api/v1/tenants/{}", clinic.id);
    let switch = async |features: Value| {
        app.api.patch(&path, json!({ "features": features })).await.expect(200);
        app.routes_caught_up().await;
    };
    switch(json!({ "patient_management": true })).await;
    clinic.data.get("/api/patients").await.expect(200);
    clinic.data.post("/api/patients", patient).await.expect(201);
    clinic.data.get("/api/treatments").await.expect_problem(403, "feature_not_enabled");
    clinic.data.get("/api/patients?select=*,treatments(*)").await.expect_problem(400, "unknown_relationship");
    plain.data.get("/api/patients").await.expect_problem(403, "feature_not_enabled");

    switch(json!({ "patient_management": true, "treatment_tracking": true })).await;
    clinic.data.get("/api/patients?select=first_name,treatments(*)").await.expect(200);
    switch(json!({})).await;
    clinic.data.get("/api/patients").await.expect_problem(403, "feature_not_enabled");
}

/// A key with scopes and an end, and its id.
async fn key(app: &TestApp, tenant: &Signup, wish: Value) -> (Api, String) {
    let path = format!("/api/v1/tenants/{}/keys", tenant.id);
    let made = app.api.post(&path, wish).await.expect(201).json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (tenant.data.with_key(text("key")), text("id"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_what_its_scopes_say() {
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let row = json!({ "email": "a@example.com" });
    let (reader, _) = key(&app, &tenant, json!({ "name": "reader", "scopes": ["data:read"] })).await;
    reader.get("/api/contacts").await.expect(200);
    reader.send(reader.request(Method::HEAD, "/api/contacts")).await.expect(200);
    for (method, path) in [
        (Method::POST, "/api/contacts"),
        (Method::PATCH, "/api/contacts?id=not.is.null"),
        (Method::DELETE, "/api/contacts?id=not.is.null"),
        (Method::PUT, "/api/contacts/019a0000-0000-7000-8000-000000000001"),
    ] {
        let answer = reader.send(reader.request(method, path).json(&row)).await;
        assert_eq!(answer.expect_problem(403, "scope_missing").json()["scope"], "data:write");
    }
    let (writer, _) = key(&app, &tenant, json!({ "name": "writer", "scopes": ["data:write"] })).await;
    writer.post("/api/contacts", row).await.expect(201);
    writer.get("/api/contacts").await.expect_problem(403, "scope_missing");
    assert_eq!(reader.get("/api/contacts").await.expect(200).json().as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_opens_at_once_and_a_revoked_one_is_closed_once_that_is_heard() {
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    tenant.data.get("/api/contacts").await.expect(200);
    for n in 0..5 {
        let (second, id) = key(&app, &tenant, json!({ "name": format!("key {n}") })).await;
        second.get("/api/contacts").await.expect(200);
        app.api.delete(&format!("/api/v1/tenants/{}/keys/{id}", tenant.id)).await.expect(204);
        app.routes_caught_up().await;
        second.get("/api/contacts").await.expect_problem(401, "key_invalid");
    }
    tenant.data.get("/api/contacts").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_closes_when_its_time_is_over() {
    let clock = MovedClock::shared();
    let app = TestApp::build().with_clock(clock.clone()).start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let end: chrono::DateTime<Utc> = clock.now() + chrono::Duration::hours(1);
    let (brief, _) = key(&app, &tenant, json!({ "name": "brief", "expiresAt": end })).await;
    brief.get("/api/contacts").await.expect(200);
    clock.put_ahead(chrono::Duration::minutes(59));
    brief.get("/api/contacts").await.expect(200);
    clock.put_ahead(chrono::Duration::minutes(61));
    brief.get("/api/contacts").await.expect_problem(401, "key_invalid");
    tenant.data.get("/api/contacts").await.expect(200);
}
