//! How fast a tenant may send requests.

use std::time::Duration;

use futures::future::join_all;
use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};
use tenantry_tests::{Answer, TestApp};

async fn limit(app: &TestApp, plan: &str, limits: Value) {
    app.api.patch(&format!("/api/v1/plans/{plan}"), json!({ "limits": limits })).await.expect(200);
    app.routes_caught_up().await;
}

fn header(answer: &Answer, name: &str) -> u64 {
    let value = answer.headers.get(name).unwrap_or_else(|| panic!("no {name}: {answer:?}"));
    value.to_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_sends_too_fast_is_told_when_to_go_on_and_others_go_on() {
    let app = TestApp::start().await;
    let (acme, other) =
        (app.sign_up("acme", "basic", "crm").await, app.sign_up("other", "basic", "crm").await);
    let answer = acme.data.get("/api/contacts").await.expect(200);
    assert!(!answer.headers.contains_key("ratelimit-limit"), "nothing limits it: {answer:?}");
    limit(&app, "basic", json!({ "requestsPerSecond": 1, "burst": 5 })).await;

    let answers = join_all((0..50).map(|_| acme.data.get("/api/contacts?limit=1"))).await;
    let served: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    // Some may have come after a second or two on a busy machine.
    assert!((5..=20).contains(&served.len()), "{}", served.len());
    assert!(served.iter().all(|answer| header(answer, "ratelimit-limit") == 5));
    assert!(served.iter().any(|answer| header(answer, "ratelimit-remaining") == 0));
    for answer in answers.into_iter().filter(|answer| answer.status != 200) {
        let answer = answer.expect_problem(429, "rate_limit_exceeded");
        let wait = answer.headers[RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap();
        assert!((1..=5).contains(&wait), "{answer:?}");
        assert_eq!((header(&answer, "ratelimit-remaining"), header(&answer, "ratelimit-reset")), (0, wait));
    }
    other.data.get("/api/contacts").await.expect(200);
    // Whoever waits as he is told is served.
    tokio::time::sleep(Duration::from_secs(1)).await;
    acme.data.get("/api/contacts").await.expect(200);
    limit(&app, "basic", json!({ "requestsPerSecond": null, "burst": null })).await;
    let answers = join_all((0..20).map(|_| acme.data.get("/api/contacts"))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_floods_the_log_in_takes_nothing_from_those_who_are_logged_in() {
    let app = TestApp::start().await;
    let acme = app.sign_up("acme", "basic", "salesflow").await;
    limit(&app, "basic", json!({ "requestsPerSecond": 1, "burst": 3 })).await;
    let open = acme.data.without_key();
    let login = || open.post("/api/auth/login", json!({ "username": "x", "password": "y" }));
    let answers = join_all((0..30).map(|_| login())).await;
    assert!(answers.iter().any(|answer| answer.status == 429));
    acme.data.get("/api/contacts").await.expect(200);
    // Keys that are none cost the tenant nothing either.
    let forged = format!("tnt_{}_forged", acme.id.replace('-', ""));
    let stranger = acme.data.with_key(forged);
    join_all((0..30).map(|_| stranger.get("/api/contacts"))).await;
    acme.data.get("/api/contacts").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_a_positive_number() {
    let app = TestApp::build().without_worker().start().await;
    for (field, value) in [("requestsPerSecond", json!(0)), ("burst", json!(-1)), ("burst", json!("many"))] {
        let body = json!({ "limits": { field: value } });
        let answer = app.api.patch("/api/v1/plans/basic", body).await.expect(400).json();
        assert_eq!(answer["errors"][0]["field"], format!("limits.{field}"), "{answer}");
    }
    let limits = json!({ "requestsPerSecond": 50, "burst": 100 });
    let plan = app.api.patch("/api/v1/plans/basic", json!({ "limits": limits })).await.expect(200).json();
    assert_eq!((&plan["limits"]["requestsPerSecond"], &plan["limits"]["burst"]), (&json!(50), &json!(100)));
    assert_eq!(plan["limits"]["maxUsers"], 100);
}
