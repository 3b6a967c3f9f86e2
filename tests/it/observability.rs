//! What an operator sees of a process: its metrics and its access log.

use std::collections::BTreeSet;

use secrecy::ExposeSecret;
use tenantry_tests::{Api, TestApp, process::RoleProcess};

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_says_what_it_is() {
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    tenant.data.get("/api/contacts").await.expect(200);
    let metrics = app.admin.get("/metrics").await.expect(200).text;
    let named = |keyword: &str| -> BTreeSet<&str> {
        metrics.lines().filter_map(|line| line.strip_prefix(keyword)?.split(' ').next()).collect()
    };
    let (types, helps) = (named("# TYPE "), named("# HELP "));
    let silent: Vec<_> = types.difference(&helps).collect();
    assert!(silent.is_empty(), "without a help text: {silent:?}");
    for name in [
        "tenantry_build_info",
        "tenantry_registry_connections",
        "tenantry_registry_connections_max",
        "tenantry_signups_total",
        "tenantry_http_request_duration_seconds",
        "tenantry_lane_operations",
        "tenantry_lane_oldest_due_seconds",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(types.contains(name), "no {name} in {types:?}");
    }
    let line = metrics.lines().find(|line| line.starts_with("tenantry_build_info{")).unwrap();
    assert!(line.contains(env!("CARGO_PKG_VERSION")), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_has_one_line_for_each_request() {
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let url = app.registry_url().expose_secret();
    let binary = env!("CARGO_BIN_EXE_tenantry-under-test");
    let mut plane = RoleProcess::start(binary, "data-plane", url, &app.kek, &["--access-log", "all"]).await;
    let data = Api::new(plane.serving().await).with_key(tenant.key.clone());
    let data = data.with_host(format!("{}.localhost", tenant.slug));
    let request = data.request(reqwest::Method::GET, "/api/contacts?email=eq.someone@example.com");
    data.send(request.header("x-request-id", "the-one-to-find")).await.expect(200);
    let line = plane.logged("the-one-to-find").await;
    for text in ["GET", "/api/contacts", "200", &tenant.id, "elapsed_ms"] {
        assert!(line.contains(text), "no {text}: {line}");
    }
    assert!(!line.contains("someone@example.com"), "the query is data: {line}");

    let mut plane =
        RoleProcess::start(binary, "control-plane", url, &app.kek, &["--access-log", "1/2"]).await;
    let api = Api::new(plane.serving().await).with_key(app.key.clone());
    for id in ["first", "second", "third"] {
        let request = api.request(reqwest::Method::GET, &format!("/api/v1/tenants/{}", tenant.slug));
        api.send(request.header("x-request-id", format!("{id}-request"))).await.expect(200);
    }
    let line = plane.logged("third-request").await;
    assert!(line.contains(&tenant.id), "{line}");
    assert!(plane.log().iter().any(|line| line.contains("first-request")));
    assert!(!plane.log().iter().any(|line| line.contains("second-request")));
}
