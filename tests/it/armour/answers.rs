//! Answers that are large, and those that would be.

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tenantry_tests::{Signup, TestApp, server};

/// A tenant with rows that SQL makes in its schema.
async fn filled(app: &TestApp, slug: &str, sql: &str) -> Signup {
    let tenant = app.sign_up(slug, "basic", "crm").await;
    let schema = format!("tenant_{}", tenant.slug.replace('-', "_"));
    let mut admin = server::admin(app.server(), app.shared_database()).await;
    let fill = format!("SET search_path = {schema}; {sql}");
    sqlx::raw_sql(AssertSqlSafe(fill)).execute(&mut admin).await.unwrap();
    tenant
}

fn contacts(count: u32, bytes: u32) -> String {
    format!(
        "INSERT INTO contacts (email, company)
         SELECT n || '@example.com', repeat('x', {bytes}) FROM generate_series(1, {count}) n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_comes_whole_and_its_connection_goes_on() {
    let app = TestApp::build().without_daily_quotas().with_apps(&["crm"]).start().await;
    let tenant = filled(&app, "acme", &contacts(1_000, 10_000)).await;
    for _ in 0..3 {
        let answer = tenant.data.get("/api/contacts?select=email,company&order=email").await.expect(200);
        assert_eq!(answer.header("content-range").as_deref(), Some("0-999/*"));
        let rows: Vec<Value> = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(rows.len(), 1_000);
        assert!(rows.iter().all(|row| row["company"].as_str().unwrap().len() == 10_000));
        tenant.data.get("/api/contacts?select=email&limit=1").await.expect(200);
    }
    let one = tenant.data.get("/api/contacts?select=email&email=eq.7@example.com").await.expect(200);
    assert_eq!(one.json(), json!([{ "email": "7@example.com" }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_too_many_bytes_is_refused_and_says_which_limit() {
    let app = TestApp::build().without_daily_quotas().with_apps(&["crm"]).start().await;
    let tenant = filled(&app, "acme", &contacts(200, 100_000)).await;
    let refused = tenant.data.get("/api/contacts").await.expect_problem(413, "answer_too_large");
    assert_eq!(refused.json()["limit"], 16 << 20);
    // A write is undone with it.
    let every = "/api/contacts?email=like.*";
    let change = tenant.data.request(reqwest::Method::PATCH, every).header("prefer", "return=representation");
    let answer = tenant.data.send(change.json(&json!({ "phone": "1" }))).await;
    answer.expect_problem(413, "answer_too_large");
    let changed = tenant.data.get("/api/contacts?select=email&phone=eq.1").await.expect(200);
    assert_eq!(changed.json(), json!([]));
    tenant.data.get("/api/contacts?limit=100").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_embeddings_multiply_are_refused_before_the_server_has_made_them() {
    let app = TestApp::build().without_daily_quotas().with_apps(&["crm"]).start().await;
    let fill = format!(
        "{}; INSERT INTO conversations (contact_id, channel)
             SELECT id, 'email' FROM contacts, generate_series(1, 1000)",
        contacts(1, 10)
    );
    let tenant = filled(&app, "acme", &fill).await;
    let once = tenant.data.get("/api/conversations?select=id,contacts(email)").await.expect(200);
    assert_eq!(once.json().as_array().unwrap().len(), 1_000);
    let twice = "/api/conversations?select=*,contacts(*,conversations(*))";
    tenant.data.get(twice).await.expect_problem(413, "answer_too_large");
    let thrice =
        "/api/contacts?select=*,conversations(*,contacts(*,conversations(*,contacts(*,conversations(*)))))";
    tenant.data.get(thrice).await.expect_problem(413, "answer_too_large");
    // What is small enough comes in order, whatever stands around it.
    let few = "/api/contacts?select=email,conversations(channel,contacts(email,conversations(channel)))\
               &conversations.limit=2&conversations.contacts.conversations.limit=1";
    let rows = tenant.data.get(few).await.expect(200).json();
    let inner = json!({ "email": "1@example.com", "conversations": [{ "channel": "email" }] });
    let outer = json!({ "channel": "email", "contacts": inner });
    assert_eq!(rows, json!([{ "email": "1@example.com", "conversations": [outer, outer] }]));
}
