//! Public sign-up: off unless switched on, and limited per address.

use std::num::NonZeroU32;

use reqwest::Method;
use serde_json::json;
use tenantry_control_plane::SignupSettings;
use tenantry_domain::{app::AppName, plan::PlanName};
use tenantry_tests::{Api, TestApp, app::TestAppBuilder};

fn with_signup(per_minute: u32) -> TestAppBuilder {
    TestApp::build().control_plane(move |settings| {
        settings.signup = Some(SignupSettings {
            per_minute: NonZeroU32::new(per_minute).unwrap(),
            plan: PlanName::parse("basic").unwrap(),
            app: Some(AppName::parse("crm").unwrap()),
        });
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_up_is_off_unless_it_is_switched_on() {
    let app = TestApp::build().without_worker().start().await;
    let body = json!({ "name": "Acme", "slug": app.slug("acme") });
    for api in [&app.api, &app.api.without_key()] {
        api.post("/api/v1/signup", body.clone()).await.expect_problem(404, "signup_disabled");
    }
    assert_eq!(app.count("SELECT count(*) FROM tenants").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_signs_up_where_it_is_on_and_gets_the_operator_s_plan_and_app() {
    let app = with_signup(60).start().await;
    let visitor = app.api.without_key();
    let slug = app.slug("acme");
    let domain = format!("crm.{slug}.example.com");
    let body = json!({ "name": "Acme", "slug": slug, "domain": domain });
    let answer = visitor.post_and_wait("/api/v1/signup", body).await.expect(201).json();
    assert_eq!(answer["state"], "succeeded");
    assert_eq!(answer["tenant"]["status"], "active");
    assert_eq!(answer["tenant"]["host"], format!("{slug}.localhost"));
    assert_eq!(answer["domain"]["verified"], false);
    assert_eq!(answer["domain"]["record"]["name"], format!("_tenantry.{domain}"));

    let tenant = app.api.get(&format!("/api/v1/tenants/{slug}")).await.expect(200).json();
    assert_eq!(tenant["plan"], "basic");
    assert_eq!(tenant["app"], "crm");
    let data = app.data.with_host(format!("{slug}.localhost")).with_key(app.data_key(&slug).await);
    data.get("/api/contacts").await.expect(200);
    // Who signs up chooses a name, nothing that costs.
    for field in ["plan", "app", "features", "maxUsers"] {
        let answer = visitor.post("/api/v1/signup", json!({ "name": "B", field: "x" })).await;
        assert_eq!(answer.expect_problem(400, "unknown_field").fields(), [field]);
    }
    let again = json!({ "name": "Acme", "slug": slug });
    assert_eq!(
        visitor.post("/api/v1/signup", again).await.expect_problem(409, "slug_taken").fields(),
        ["slug"]
    );
    // And sees nothing of the rest.
    visitor.get("/api/v1/tenants").await.expect_problem(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_signs_up_too_often_is_told_when_to_come_back() {
    let app = with_signup(3).without_worker().start().await;
    let visitor = app.api.without_key();
    let sign_up = async |api: &Api, name: &str| {
        let slug = app.slug(name);
        api.post("/api/v1/signup", json!({ "name": slug, "slug": slug })).await
    };
    for name in ["a", "b", "c"] {
        sign_up(&visitor, name).await.expect(202);
    }
    let refused = sign_up(&visitor, "d").await.expect_problem(429, "too_many_signups");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&seconds), "one in 20 s, not in {seconds}");
    // Nobody talks himself out of it.
    let pretended = visitor
        .request(Method::POST, "/api/v1/signup")
        .header("x-forwarded-for", "10.1.2.3")
        .header("forwarded", "for=10.1.2.3")
        .json(&json!({ "name": "D" }));
    visitor.send(pretended).await.expect_problem(429, "too_many_signups");
    sign_up(&app.api, "e").await.expect_problem(429, "too_many_signups");
    assert_eq!(app.count("SELECT count(*) FROM tenants").await, 3);
    // Operators are not limited.
    let body = json!({ "name": "F", "slug": app.slug("f"), "plan": "basic", "app": "crm" });
    app.api.post("/api/v1/tenants", body).await.expect(202);
}
