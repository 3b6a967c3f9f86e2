//! Public sign-up: off unless switched on, and limited per address.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};
use tenantry_control_plane::SignupSettings;
use tenantry_domain::{app::AppName, plan::PlanName};
use tenantry_tests::{Answer, Api, TestApp, app::TestAppBuilder};
use tenantry_worker::{
    StepError,
    engine::{Moment, Point, Probe},
};

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

/// A server on which nothing can be made until it is mended.
#[derive(Debug, Default)]
struct Broken(AtomicBool);

#[async_trait]
impl Probe for Broken {
    async fn reached(&self, point: Point) -> Result<(), StepError> {
        if point.moment == Moment::Before && !self.0.load(Ordering::Acquire) {
            return Err(StepError::permanent("the disk of db-7.internal is full"));
        }
        Ok(())
    }
}

/// A sign-up as it comes through a proxy, from an address.
async fn from(api: &Api, address: &str, key: Option<&str>, body: &Value) -> Answer {
    let mut request = api.request(Method::POST, "/api/v1/signup").header("prefer", "wait=30").json(body);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    api.send(request.header("x-forwarded-for", address)).await
}

fn behind_a_proxy(per_minute: u32) -> TestAppBuilder {
    TestApp::build().control_plane(move |settings| {
        settings.signup = Some(SignupSettings {
            per_minute: NonZeroU32::new(per_minute).unwrap(),
            plan: PlanName::parse("basic").unwrap(),
            app: Some(AppName::parse("crm").unwrap()),
        });
        settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_trusted_proxies_each_visitor_has_a_limit_of_its_own() {
    let app = behind_a_proxy(1).without_worker().start().await;
    let visitor = app.api.without_key();
    let mut number = 0;
    let mut sign_up = async |headers: &[(&'static str, &str)]| {
        number += 1;
        let body = json!({ "name": "Acme", "slug": app.slug(&format!("n{number}")) });
        let request = visitor.request(Method::POST, "/api/v1/signup").json(&body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        visitor.send(request).await.status.as_u16()
    };
    let mut statuses = Vec::new();
    for headers in [
        [("x-forwarded-for", "192.0.2.1")].as_slice(),
        &[("x-forwarded-for", "192.0.2.2, 10.0.0.7")],
        // The first one again, by the other header and behind two proxies.
        &[("forwarded", "for=203.0.113.5, for=192.0.2.1;proto=https, for=\"10.0.0.7:443\"")],
        // What stands left of the visitor is what the visitor says.
        &[("x-forwarded-for", "203.0.113.6, 192.0.2.2")],
        // One line of IPv6 is one visitor.
        &[("x-forwarded-for", "2001:db8::1")],
        &[("forwarded", "for=\"[2001:db8::2]:4711\"")],
        // Headers that disagree leave the proxy itself, the first time and no more.
        &[("forwarded", "for=203.0.113.7"), ("x-forwarded-for", "192.0.2.1")],
        &[("forwarded", "for=203.0.113.8"), ("x-forwarded-for", "192.0.2.1")],
    ] {
        statuses.push(sign_up(headers).await);
    }
    assert_eq!(statuses, [202, 202, 429, 429, 202, 429, 202, 429]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_visitors_behind_one_proxy_may_use_the_same_idempotency_key() {
    let app = behind_a_proxy(60).start().await;
    let visitor = app.api.without_key();
    let (one, two) = (
        json!({ "name": "One", "slug": app.slug("one") }),
        json!({ "name": "Two", "slug": app.slug("two") }),
    );
    let first = from(&visitor, "192.0.2.1", Some("k"), &one).await.expect(201).json();
    from(&visitor, "192.0.2.2", Some("k"), &two).await.expect(201);
    assert_eq!(from(&visitor, "192.0.2.1", Some("k"), &one).await.expect(201).json(), first);
    from(&visitor, "192.0.2.1", Some("k"), &two).await.expect_problem(422, "idempotency_key_reused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_that_failed_is_taken_up_by_the_same_visitor_and_by_nobody_else() {
    let server = Arc::<Broken>::default();
    let app = behind_a_proxy(2).with_shared_probe(server.clone()).start().await;
    let visitor = app.api.without_key();
    let body = json!({ "name": "Acme", "slug": app.slug("acme") });
    // Our failures do not count, however many there are; and say nothing of the inside.
    for _ in 0..4 {
        let failed = from(&visitor, "192.0.2.1", None, &body).await.expect_problem(503, "signup_failed");
        assert!(failed.header("retry-after").is_some());
        // Not "db-7" alone: an id of the request may have that in it.
        assert!(!failed.text.contains("db-7.internal"), "{}", failed.text);
    }
    assert_eq!(app.count("SELECT count(*) FROM tenants").await, 1);
    from(&visitor, "192.0.2.2", None, &body).await.expect_problem(409, "slug_taken");

    server.0.store(true, Ordering::Release);
    from(&visitor, "192.0.2.2", None, &body).await.expect_problem(409, "slug_taken");
    let renamed =
        json!({ "name": "Acme Ltd", "slug": app.slug("acme"), "domain": "acme.customersite.example" });
    let made = from(&visitor, "192.0.2.1", None, &renamed).await.expect(201).json();
    assert_eq!((&made["tenant"]["status"], &made["tenant"]["name"]), (&json!("active"), &json!("Acme Ltd")));
    assert_eq!(made["domain"]["domain"], "acme.customersite.example");
    assert_eq!(app.count("SELECT count(*) FROM tenants").await, 1);
    let data = app.data.with_host(format!("{}.localhost", app.slug("acme")));
    data.with_key(app.data_key(&app.slug("acme")).await).get("/api/contacts").await.expect(200);
    // One that succeeded is not taken up.
    from(&visitor, "192.0.2.1", None, &body).await.expect_problem(409, "slug_taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_that_failed_is_repeated_with_its_idempotency_key() {
    let server = Arc::<Broken>::default();
    let app = behind_a_proxy(1).with_shared_probe(server.clone()).start().await;
    let visitor = app.api.without_key();
    let body = json!({ "name": "Acme", "slug": app.slug("acme") });
    for _ in 0..2 {
        from(&visitor, "192.0.2.1", Some("k"), &body).await.expect_problem(503, "signup_failed");
    }
    server.0.store(true, Ordering::Release);
    let made = from(&visitor, "192.0.2.1", Some("k"), &body).await.expect(201).json();
    assert_eq!(made["tenant"]["status"], "active");
    assert_eq!(app.count("SELECT count(*) FROM operations").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_tenant_of_an_operator_is_nothing_that_a_visitor_may_take_up() {
    let server = Arc::<Broken>::default();
    let app = behind_a_proxy(60).with_shared_probe(server.clone()).start().await;
    let slug = app.slug("acme");
    let body = json!({ "name": "Acme", "slug": slug, "plan": "basic", "app": "crm" });
    app.api.post_and_wait("/api/v1/tenants", body).await.expect_problem(422, "operation_failed");
    server.0.store(true, Ordering::Release);
    let visitor = app.api.without_key();
    let body = json!({ "name": "Acme", "slug": slug });
    from(&visitor, "192.0.2.1", None, &body).await.expect_problem(409, "slug_taken");
}
