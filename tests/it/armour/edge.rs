//! Requests that HTTP itself refuses.

use tenantry_tests::{TestApp, raw::RawRequest};

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_is_not_encoded_is_told_what_to_encode() {
    let app = TestApp::start().await;
    for target in ["/api/contacts?select=metadata->>a", "/api/contacts?email=eq.\"a\"", "/api/contacts?a=<"] {
        for listener in [&app.data, &app.api] {
            let request = RawRequest::new("GET", target).header("host", "acme.localhost");
            let [answer] = &request.send(listener.address()).await[..] else { panic!("one answer") };
            assert_eq!(answer.status, 400, "{target}");
            let problem = answer.json();
            assert_eq!(problem["code"], "malformed_request", "{target}");
            assert!(problem["detail"].as_str().unwrap().contains("> as %3E"), "{problem}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_line_or_headers_that_are_too_long_are_told_so() {
    let app = TestApp::start().await;
    let long = RawRequest::new("GET", format!("/api/contacts?a={}", "a".repeat(70_000))).header("host", "x");
    assert_eq!(long.send(app.data.address()).await[0].json()["code"], "uri_too_long");
    let mut many = RawRequest::new("GET", "/api/contacts").header("host", "x");
    for n in 0..200 {
        many = many.header(&format!("x-{n}"), "a");
    }
    assert_eq!(many.send(app.data.address()).await[0].json()["code"], "headers_too_large");
}
