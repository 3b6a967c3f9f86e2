//! `Idempotency-Key`: the same request again gets the first answer again, and the work is done once.

use chrono::Duration;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tenantry_tests::{Answer, Api, TestApp, clock::MovedClock};

async fn post(api: &Api, path: &str, idempotency_key: &str, body: &Value) -> Answer {
    api.send(api.request(Method::POST, path).header("idempotency-key", idempotency_key).json(body)).await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed").as_deref() == Some("true")
}

fn acme(app: &TestApp) -> Value {
    json!({ "name": "Acme", "slug": app.slug("acme"), "plan": "basic", "app": "crm" })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_and_body_get_the_first_answer_again() {
    let app = TestApp::build().without_worker().start().await;
    let body = acme(&app);
    let first = post(&app.api, "/api/v1/tenants", "one", &body).await.expect(202);
    assert!(!is_replayed(&first));
    let again = post(&app.api, "/api/v1/tenants", "one", &body).await.expect(202);
    assert!(is_replayed(&again));
    assert_eq!(again.json(), first.json());
    for header in ["content-type", "location"] {
        assert_eq!(again.header(header), first.header(header));
    }
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"), "each exchange has its own id");
    assert_eq!(app.count("SELECT count(*) FROM tenants").await, 1);
    assert_eq!(app.count("SELECT count(*) FROM operations").await, 1);

    // Without the key it is a new request, and the slug is taken.
    app.api.post("/api/v1/tenants", body).await.expect_problem(409, "slug_taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_answered_again_too_with_the_id_of_the_new_request() {
    let app = TestApp::build().without_worker().start().await;
    let body = json!({ "name": "Acme", "slug": "www", "plan": "basic", "app": "crm" });
    post(&app.api, "/api/v1/tenants", "one", &body).await.expect_problem(400, "invalid_field");
    let again = post(&app.api, "/api/v1/tenants", "one", &body).await.expect_problem(400, "invalid_field");
    assert!(is_replayed(&again));
    assert_eq!(again.fields(), ["slug"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_with_another_request_is_refused() {
    let app = TestApp::build().without_worker().start().await;
    let body = acme(&app);
    post(&app.api, "/api/v1/tenants", "one", &body).await.expect(202);
    let mut other = body.clone();
    other["name"] = json!("Acme 2");
    for (path, body) in [("/api/v1/tenants", &other), ("/api/v1/plans", &body)] {
        let refused = post(&app.api, path, "one", body).await.expect_problem(422, "idempotency_key_reused");
        assert_eq!(refused.fields(), ["Idempotency-Key"]);
        assert!(!is_replayed(&refused));
    }
    // The first answer stays.
    assert!(is_replayed(&post(&app.api, "/api/v1/tenants", "one", &body).await.expect(202)));
    assert_eq!(app.count("SELECT count(*) FROM tenants").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_at_once_do_the_work_once() {
    let app = TestApp::build().without_worker().start().await;
    // No slug: without the key, each would be a tenant of its own or a conflict.
    let body = json!({ "name": app.slug("Acme"), "plan": "basic", "app": "crm" });
    let answers = join_all((0..20).map(|_| post(&app.api, "/api/v1/tenants", "one", &body))).await;
    let (done, busy): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 202);
    assert_eq!(done.iter().filter(|answer| !is_replayed(answer)).count(), 1);
    assert!(done.iter().all(|answer| answer.json() == done[0].json()));
    for answer in busy {
        let answer = answer.expect_problem(409, "idempotency_key_in_progress");
        assert_eq!(answer.header("retry-after").as_deref(), Some("1"));
    }
    assert_eq!(app.count("SELECT count(*) FROM tenants").await, 1);
    assert_eq!(app.count("SELECT count(*) FROM operations").await, 1);
    assert!(is_replayed(&post(&app.api, "/api/v1/tenants", "one", &body).await.expect(202)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_caller_has_a_key_space_of_its_own() {
    let app = TestApp::build().without_worker().start().await;
    let made = app.api.post("/api/v1/keys", json!({ "name": "other", "scopes": ["plans:write"] })).await;
    let other = app.api.with_key(made.expect(201).json()["key"].as_str().unwrap());
    let plan = |name: &str| json!({ "name": name, "tier": "schema" });
    post(&app.api, "/api/v1/plans", "one", &plan("a")).await.expect(201);
    let theirs = post(&other, "/api/v1/plans", "one", &plan("b")).await.expect(201);
    assert!(!is_replayed(&theirs));
    assert_eq!(theirs.json()["name"], "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_kept_for_a_day_and_no_longer() {
    let clock = MovedClock::shared();
    let app = TestApp::build().without_worker().with_clock(clock.clone()).start().await;
    let plan = json!({ "name": "starter", "tier": "schema" });
    post(&app.api, "/api/v1/plans", "one", &plan).await.expect(201);
    clock.put_ahead(Duration::hours(23));
    assert!(is_replayed(&post(&app.api, "/api/v1/plans", "one", &plan).await.expect(201)));
    clock.put_ahead(Duration::hours(25));
    post(&app.api, "/api/v1/plans", "one", &plan).await.expect_problem(409, "plan_exists");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_key_is_answered_again_and_is_not_readable_in_the_registry() {
    let app = TestApp::build().without_worker().start().await;
    let body = json!({ "name": "billing", "scopes": ["tenants:read"] });
    let first = post(&app.api, "/api/v1/keys", "one", &body).await.expect(201).json();
    let again = post(&app.api, "/api/v1/keys", "one", &body).await.expect(201);
    assert!(is_replayed(&again));
    assert_eq!(again.json()["key"], first["key"]);
    assert_eq!(again.header("cache-control").as_deref(), Some("no-store"));

    let key = first["key"].as_str().unwrap();
    let stored: Vec<u8> = sqlx::query_scalar("SELECT body FROM idempotency_records WHERE key = 'one'")
        .fetch_one(app.owner())
        .await
        .unwrap();
    let holds = |text: &str| stored.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(!holds(key) && !holds("billing") && !holds("tnt_"), "the answer is kept as it was sent");
    // Only the key-encryption key opens it.
    let opened = app.kek.open("idempotency", &stored).expect("it is sealed with the key-encryption key");
    let opened: Value = serde_json::from_slice(secrecy::ExposeSecret::expose_secret(&opened)).unwrap();
    assert_eq!(opened["key"], key);
    let everything: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM idempotency_records AS r WHERE r::text LIKE '%' || $1 || '%' OR encode(r.body, 'escape') LIKE '%' || $1 || '%'",
    )
    .bind(key)
    .fetch_one(app.owner())
    .await
    .unwrap();
    assert_eq!(everything, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_on_our_side_is_not_kept_and_the_request_may_come_again() {
    let app = TestApp::build().without_worker().start().await;
    let body = json!({ "name": "billing", "scopes": ["tenants:read"] });
    let sql = |text: &'static str| sqlx::raw_sql(text).execute(app.owner());
    sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON api_keys FOR EACH ROW EXECUTE FUNCTION refuse()")
    .await
    .unwrap();
    let failed = post(&app.api, "/api/v1/keys", "one", &body).await.expect_problem(500, "internal");
    assert!(!failed.text.contains("not today"), "{}", failed.text);
    assert_eq!(app.count("SELECT count(*) FROM idempotency_records WHERE status IS NOT NULL").await, 0);

    sql("DROP TRIGGER refuse ON api_keys").await.unwrap();
    let made = post(&app.api, "/api/v1/keys", "one", &body).await.expect(201);
    assert!(!is_replayed(&made));
}

/// As if the control plane had died after the commit and before it kept the answer.
async fn forget_answers(app: &TestApp) {
    let forget = "UPDATE idempotency_records SET status = NULL, headers = NULL, body = NULL";
    sqlx::query(forget).execute(app.owner()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_after_a_crash_finds_what_was_done_and_does_it_once() {
    let clock = MovedClock::shared();
    let app = TestApp::build().with_clock(clock.clone()).start().await;
    let body = acme(&app);
    let first = post(&app.api, "/api/v1/tenants", "one", &body).await.expect(202).json();
    let id = first["operation"]["id"].as_str().unwrap().to_owned();
    let suspend = format!("/api/v1/tenants/{}/suspend", body["slug"].as_str().unwrap());
    assert_eq!(app.operation_ended(&id).await["state"], "succeeded");
    let suspended = post(&app.api, &suspend, "two", &json!({})).await.expect(202).json();
    app.operation_ended(suspended["operation"]["id"].as_str().unwrap()).await;
    forget_answers(&app).await;
    // The first request may still be at work, as far as anybody knows.
    post(&app.api, "/api/v1/tenants", "one", &body).await.expect_problem(409, "idempotency_key_in_progress");

    clock.put_ahead(Duration::seconds(80));
    let again = post(&app.api, "/api/v1/tenants", "one", &body).await.expect(201);
    assert_eq!(again.json()["operation"]["id"], id.as_str());
    let again = post(&app.api, &suspend, "two", &json!({})).await.expect(200).json();
    assert_eq!(again["operation"]["id"], suspended["operation"]["id"]);
    assert_eq!(app.count("SELECT count(*) FROM operations").await, 2);
    assert_eq!(app.count("SELECT count(*) FROM tenants").await, 1);
    assert!(is_replayed(&post(&app.api, "/api/v1/tenants", "one", &body).await.expect(201)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_crash_kept_from_being_shown_is_replaced() {
    let clock = MovedClock::shared();
    let app = TestApp::build().without_worker().with_clock(clock.clone()).start().await;
    let body = json!({ "name": "billing", "scopes": ["plans:read"] });
    let unseen = post(&app.api, "/api/v1/keys", "one", &body).await.expect(201).json();
    forget_answers(&app).await;
    clock.put_ahead(Duration::seconds(80));
    let shown = post(&app.api, "/api/v1/keys", "one", &body).await.expect(201).json();
    let plans = async |key: &Value| app.api.with_key(key["key"].as_str().unwrap()).get("/api/v1/plans").await;
    plans(&shown).await.expect(200);
    plans(&unseen).await.expect(401);
    assert_eq!(app.count("SELECT count(*) FROM api_keys WHERE name = 'billing'").await, 1);
}
