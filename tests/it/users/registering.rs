//! Who may register, and as what.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tenantry_tests::{Signup, TestApp, within::within};

use super::{PASSWORD, log_in, of, register, register_as, tenant, with_token};

#[tokio::test(flavor = "multi_thread")]
async fn names_and_addresses_are_unique_within_a_tenant_whatever_their_case() {
    let app = TestApp::start().await;
    for plan in ["basic", "premium"] {
        let (acme, other) = (
            tenant(&app, &format!("acme-{plan}"), plan).await,
            tenant(&app, &format!("other-{plan}"), plan).await,
        );
        let ada = register(&acme.data, "ada").await;
        assert_eq!(ada["username"], "ada");
        assert_eq!(ada["roles"], json!(["member"]));
        let open = acme.data.without_key();
        let answer = open.post("/api/auth/register", of("Ada")).await.expect(409);
        assert_eq!(answer.json()["code"], "username_taken");
        let again = json!({ "username": "ada2", "email": "ADA@example.com", "password": PASSWORD });
        assert_eq!(open.post("/api/auth/register", again).await.expect(409).json()["code"], "email_taken");
        // Nor is anything the matter with the same one elsewhere.
        assert_eq!(register(&other.data, "ada").await["id"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_himself_more_than_a_member() {
    let app = TestApp::start().await;
    let acme = tenant(&app, "acme", "basic").await;
    let open = acme.data.without_key();
    let mut body = of("eve");
    body["roles"] = json!(["owner"]);
    let answer = open.post("/api/auth/register", body.clone()).await.expect(403);
    assert_eq!(answer.json()["code"], "role_not_yours");
    register_as(&acme.data, "olga", &["owner"]).await;
    register_as(&acme.data, "adam", &["admin"]).await;
    register(&acme.data, "mia").await;
    for (who, roles, status) in [
        ("mia", json!(["admin"]), 403),
        ("adam", json!(["owner"]), 403),
        ("adam", json!(["admin", "owner"]), 403),
        ("adam", json!(["admin"]), 201),
        ("olga", json!(["owner"]), 201),
    ] {
        let as_user = with_token(&acme.data, &log_in(&acme.data, who).await);
        let mut body = of(&format!("by-{who}-{status}"));
        body["roles"] = roles;
        as_user.post("/api/auth/register", body).await.expect(status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_registration_is_by_invitation_a_key_an_owner_or_an_admin_invites() {
    let app = TestApp::build().with_apps(&["mis", "crm"]).start().await;
    let mis = app.sign_up("Members", "basic", "mis").await;
    let answer = mis.data.without_key().post("/api/auth/register", of("eve")).await.expect(401);
    assert_eq!(answer.json()["code"], "key_required");
    register_as(&mis.data, "olga", &["owner"]).await;
    let olga = with_token(&mis.data, &log_in(&mis.data, "olga").await);
    olga.post("/api/auth/register", of("mia")).await.expect(201);
    let mia = with_token(&mis.data, &log_in(&mis.data, "mia").await);
    let answer = mia.post("/api/auth/register", of("eve")).await.expect(403);
    assert_eq!(answer.json()["code"], "role_not_yours");

    let crm = app.sign_up("Contacts", "basic", "crm").await;
    let answer = crm.data.post("/api/auth/register", of("eve")).await.expect(404);
    assert_eq!(answer.json()["code"], "users_not_enabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_register_at_once_no_more_become_users_than_the_plan_allows() {
    let app = TestApp::start().await;
    for plan in ["basic", "premium"] {
        let acme = tenant(&app, &format!("acme-{plan}"), plan).await;
        let limits = json!({ "maxUsers": 3 });
        app.api.patch(&format!("/api/v1/tenants/{}", acme.id), limits).await.expect(200);
        app.routes_caught_up().await;
        let open = acme.data.without_key();
        let all = join_all((0..12).map(|n| {
            let open = open.clone();
            async move { open.post("/api/auth/register", of(&format!("user{n}"))).await }
        }))
        .await;
        let registered = all.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(registered, 3, "{all:?}");
        for answer in all.iter().filter(|answer| answer.status != 201) {
            assert_eq!(answer.status, 403);
            assert_eq!(answer.json()["code"], "user_limit_reached");
            assert_eq!(answer.json()["limit"], 3);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_new_user_is_told_by_field() {
    let app = TestApp::start().await;
    let acme = tenant(&app, "acme", "basic").await;
    let open = acme.data.without_key();
    for (field, value, code) in [
        ("username", json!("a b"), "invalid_field"),
        ("username", json!("ada@example.com"), "invalid_field"),
        ("email", json!("nobody"), "invalid_field"),
        ("password", json!("short"), "invalid_field"),
        ("password", json!(12_345_678), "wrong_type"),
        ("roles", json!(["king"]), "invalid_field"),
        ("roles", json!([]), "invalid_field"),
        ("firstName", json!("a\nb"), "invalid_field"),
        ("tenantId", json!("a'b"), "invalid_tenant"),
        ("admin", json!(true), "unknown_field"),
    ] {
        let mut body = of("ada");
        body[field] = value;
        let answer = open.post("/api/auth/register", body).await.expect(400).json();
        assert_eq!(answer["code"], code, "{field}: {answer}");
        assert!(answer["errors"][0]["field"].as_str().unwrap().starts_with(field), "{answer}");
        assert!(!answer.to_string().contains(PASSWORD));
    }
    let mut body = of("ada");
    body["tenantId"] = json!("somebody-else");
    assert_eq!(open.post("/api/auth/register", body).await.expect(400).json()["code"], "tenant_conflict");
}

/// A tenant of an app without users, and the manifest of that app with them.
async fn without_users(app: &TestApp) -> (Signup, Value, Value) {
    let crm = app.sign_up("crm", "basic", "crm").await;
    let without = app.api.get("/api/v1/apps/crm").await.expect(200).json()["manifest"].clone();
    let mut with = without.clone();
    with["registration"] = json!("open");
    (crm, without, with)
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_from_before_their_app_had_users_get_them_from_a_reconciler() {
    let app = TestApp::start().await;
    let (crm, _, with) = without_users(&app).await;
    let large = app.sign_up("large", "premium", "crm").await;
    // Whoever is at work on it makes them, or is waited for.
    let moving = app.sign_up("moving", "basic", "crm").await;
    app.keep_from_workers("add_users").await;
    app.api.put("/api/v1/apps/crm", json!({ "manifest": with })).await.expect(200);
    app.routes_caught_up().await;
    let path = format!("/api/v1/tenants/{}/migrate", moving.id);
    let begun = app.api.post(&path, json!({ "targetPlan": "premium" })).await.expect(202).json();
    app.leave_to_workers("add_users").await;
    app.operation_ended(begun["operation"]["id"].as_str().unwrap()).await;
    for tenant in [&crm, &large, &moving] {
        let name = &tenant.slug;
        within(Duration::from_secs(30), &format!("{name} has users"), async || {
            let answer = tenant.data.without_key().post("/api/auth/register", of("ada")).await;
            answer.status == 201
        })
        .await;
        let ada = with_token(&tenant.data, &log_in(&tenant.data, "ada").await);
        ada.get("/api/contacts").await.expect(200);
    }
    // New ones have them from the beginning: nobody is looked at again.
    app.keep_from_workers("add_users").await;
    let new = app.sign_up("new", "basic", "crm").await;
    register(&new.data, "ada").await;
    let without = "SELECT count(*) FROM placements WHERE NOT has_users AND state = 'serving'";
    let without: i64 = sqlx::query_scalar(without).fetch_one(app.owner()).await.unwrap();
    assert_eq!(without, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_from_before_its_app_had_users_gets_them_with_a_move_and_keeps_them_in_the_next() {
    let app = TestApp::start().await;
    app.keep_from_workers("add_users").await;
    let (crm, without, with) = without_users(&app).await;
    // Another one's, so that the server's login for them is there.
    tenant(&app, "acme", "basic").await;
    app.api.put("/api/v1/apps/crm", json!({ "manifest": with })).await.expect(200);
    app.routes_caught_up().await;
    let open = crm.data.without_key();
    open.post("/api/auth/register", of("ada")).await.expect_problem(409, "users_not_ready");
    let path = format!("/api/v1/tenants/{}/migrate", crm.id);
    app.api.post_and_wait(&path, json!({ "targetPlan": "premium" })).await.expect(200);
    app.routes_caught_up().await;
    register(&crm.data, "ada").await;
    let ada = with_token(&crm.data, &log_in(&crm.data, "ada").await);
    ada.get("/api/contacts").await.expect(200);
    // What the app does not want any more stays, and moves.
    app.api.put("/api/v1/apps/crm", json!({ "manifest": without })).await.expect(200);
    app.api.post_and_wait(&path, json!({ "targetPlan": "basic" })).await.expect(200);
    app.api.put("/api/v1/apps/crm", json!({ "manifest": with })).await.expect(200);
    app.routes_caught_up().await;
    log_in(&crm.data, "ada").await;
}
