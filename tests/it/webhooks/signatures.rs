//! Signatures, checked by a package of another language.

use std::fs;

use tenantry_tests::clients::{Workshop, succeeded};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn each_request_of_a_run_is_verified_by_the_npm_package_with_either_secret_of_a_rotation() {
    let Some(workshop) = Workshop::with_node() else { return };
    let app = TestApp::build().worker(eager).start().await;
    let receiver = Receiver::start().await;
    let (id, first) = webhook(&app, &receiver, &["*"]).await;
    let acme = app.sign_up("acme", "basic", "salesflow").await;
    receiver.answers(|request| Reply::Status(if request.kind() == "user.registered" { 500 } else { 200 }));
    tell(&app, acme.id.parse().unwrap(), 1).await;
    let before = receiver.has(3).await.len();
    let rotated =
        app.api.post(&format!("/api/v1/webhooks/{id}/rotate-secret"), json!({})).await.expect(200).json();
    let second = rotated["secret"].as_str().unwrap().to_owned();
    assert!(rotated["formerSecretUntil"].is_string());
    app.api.post(&format!("/api/v1/webhooks/{id}/test"), json!({})).await.expect(202);
    let requests = receiver.has(before + 1).await;
    // Each with the secret that was good then; the last with both.
    let mut checks: Vec<Value> = requests
        .iter()
        .map(|request| json!({ "secret": first, "headers": request.headers, "body": request.body, "valid": true }))
        .collect();
    let last = requests.last().unwrap();
    assert_eq!(last.headers["webhook-signature"].split(' ').count(), 2);
    checks.push(json!({ "secret": second, "headers": last.headers, "body": last.body, "valid": true }));
    checks.push(
        json!({ "secret": second, "headers": requests[0].headers, "body": requests[0].body, "valid": false }),
    );
    let altered = last.body.replace("webhook.test", "webhook.tests");
    checks.push(json!({ "secret": first, "headers": last.headers, "body": altered, "valid": false }));
    fs::write(workshop.path().join("requests.json"), Value::from(checks.clone()).to_string()).unwrap();
    let said = succeeded(workshop.node(&["webhooks.mjs", "requests.json"])).await;
    assert_eq!(said.trim(), format!("{} requests", checks.len()));
}
