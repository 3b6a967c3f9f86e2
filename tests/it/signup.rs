//! Many sign-ups at once.

use std::collections::BTreeSet;

use futures::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use tenantry_tests::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_sign_ups_at_once_are_all_ready_and_none_is_made_twice() {
    let app = TestApp::start().await;
    let slugs: BTreeSet<String> = (0..200).map(|n| app.slug(&format!("t{n}"))).collect();
    let answers = join_all(slugs.iter().map(|slug| {
        let body = json!({ "name": slug, "slug": slug, "plan": "basic", "app": "crm" });
        app.api.post_and_wait("/api/v1/tenants", body)
    }))
    .await;
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        assert_eq!(answer.json()["tenant"]["status"], "active");
        assert_eq!(answer.json()["operation"]["state"], "succeeded");
    }

    let expected: BTreeSet<String> =
        slugs.iter().map(|slug| format!("tenant_{}", slug.replace('-', "_"))).collect();
    let on_server = app.on_server().await;
    assert_eq!(on_server.schemas, expected);
    assert_eq!(on_server.roles, expected);
    assert_eq!(app.count("SELECT count(*) FROM tenants WHERE status = 'active'").await, 200);
    assert_eq!(app.count("SELECT count(*) FROM placements WHERE state = 'serving'").await, 200);
    assert_eq!(app.count("SELECT tenants::bigint FROM servers").await, 200);
    assert_eq!(app.count("SELECT count(*) FROM operations WHERE state <> 'succeeded'").await, 0);
    assert_eq!(app.count("SELECT count(*) FROM operations").await, 200);
    // Jobs are acknowledged a moment after their operation ended.
    app.until_zero("SELECT count(*) FROM apalis.jobs WHERE status NOT IN ('Done', 'Killed', 'Failed')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_sign_ups_with_one_slug_one_is_taken_and_the_others_are_told() {
    let app = TestApp::start().await;
    let slug = app.slug("same");
    let answers = join_all((0..50).map(|_| {
        let body = json!({ "name": "Same", "slug": slug, "plan": "basic", "app": "crm" });
        app.api.post("/api/v1/tenants", body)
    }))
    .await;
    let (accepted, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|a| a.status == StatusCode::ACCEPTED);
    assert_eq!(accepted.len(), 1);
    assert_eq!(refused.len(), 49);
    for answer in refused {
        answer.expect_problem(409, "slug_taken");
    }
    let operation = accepted[0].json()["operation"]["id"].as_str().unwrap().to_owned();
    assert_eq!(app.operation_ended(&operation).await["state"], "succeeded");
    assert_eq!(app.on_server().await.schemas.len(), 1);
    assert_eq!(app.count("SELECT count(*) FROM tenants").await, 1);
    assert_eq!(app.count("SELECT count(*) FROM operations").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_of_each_tier_gets_its_own_schema_or_database() {
    let app = TestApp::start().await;
    let small = app.sign_up("small", "basic", "crm").await;
    let large = app.sign_up("large", "premium", "crm").await;
    let on_server = app.on_server().await;
    assert_eq!(on_server.schemas.len(), 1);
    assert_eq!(on_server.databases.len(), 1);
    for tenant in [&small, &large] {
        let made = tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await;
        made.expect(201);
        let found = tenant.data.get("/api/contacts?select=email").await.expect(200);
        assert_eq!(found.json(), json!([{ "email": "a@example.com" }]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_full_takes_no_more_and_says_so() {
    let app = TestApp::start().await;
    let server = app.api.get("/api/v1/servers/main").await.expect(200).json();
    let mut change = json!({});
    for field in ["host", "port", "region", "provider", "tiers", "state", "maxConnections"] {
        change[field] = server[field].clone();
    }
    change["capacity"] = json!(1);
    app.api.put("/api/v1/servers/main", change).await.expect(200);
    app.sign_up("first", "basic", "crm").await;
    let slug = app.slug("second");
    let body = json!({ "name": "Second", "slug": slug, "plan": "basic", "app": "crm" });
    let answer = app.api.post_and_wait("/api/v1/tenants", body).await.expect_problem(422, "operation_failed");
    assert!(answer.text.contains("no active server has room"), "{}", answer.text);
    assert_eq!(app.api.get(&format!("/api/v1/tenants/{slug}")).await.json()["status"], "failed");
    assert_eq!(app.on_server().await.schemas.len(), 1);
}
