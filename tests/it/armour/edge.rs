//! Requests that HTTP itself refuses.

use tenantry_tests::{TestApp, raw::RawRequest};

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_is_not_encoded_is_told_what_to_encode() {
    let app = TestApp::build().without_daily_quotas().start().await;
    for target in ["/api/contacts?select=metadata->>a", "/api/contacts?email=eq.\"a\"", "/api/contacts?a=<"] {
        for listener in [&app.data, &app.api] {
            let request = RawRequest::new("GET", target).header("host", "acme.localhost");
            let [answer] = &request.send(listener.address()).await[..] else { panic!("one answer") };
            assert_eq!(answer.status, 400, "{target}");
            let problem = answer.json();
            assert_eq!(problem["code"], "malformed_request", "{target}");
            assert_eq!(problem["message"], problem["detail"], "{target}");
            assert!(problem["detail"].as_str().unwrap().contains("> as %3E"), "{problem}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_line_or_headers_that_are_too_long_are_told_so() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let long = RawRequest::new("GET", format!("/api/contacts?a={}", "a".repeat(70_000))).header("host", "x");
    assert_eq!(long.send(app.data.address()).await[0].json()["code"], "uri_too_long");
    let mut many = RawRequest::new("GET", "/api/contacts").header("host", "x");
    for n in 0..200 {
        many = many.header(&format!("x-{n}"), "a");
    }
    assert_eq!(many.send(app.data.address()).await[0].json()["code"], "headers_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_every_kind_have_what_clients_of_postgrest_read() {
    let app = TestApp::build()
        .without_daily_quotas()
        .with_apps(&["crm"])
        .data_plane(|plane| plane.max_body = 1_000)
        .start()
        .await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let too_large = serde_json::json!({ "email": "x".repeat(2_000) });
    let refusals = [
        (401, tenant.data.without_key().get("/api/contacts").await),
        (404, tenant.data.get("/api/nowhere").await),
        (404, tenant.data.get("/nowhere").await),
        (405, tenant.data.delete("/api/tenant").await),
        (400, tenant.data.get("/api/contacts?nope=eq.1").await),
        (400, app.data.get("/api/contacts").await),
        (413, tenant.data.post("/api/contacts", too_large).await),
    ];
    for (status, answer) in refusals {
        assert_eq!(answer.status, status, "{}", answer.text);
        let problem = answer.json();
        assert!(problem["message"].is_string() && problem["detail"].is_string(), "{problem}");
        assert!(
            problem["code"].is_string() && problem["hint"].is_null() && problem["details"].is_null(),
            "{problem}"
        );
        assert!(problem.as_object().unwrap().contains_key("details"), "{problem}");
    }
}
