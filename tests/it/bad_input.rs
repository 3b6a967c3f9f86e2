//! Bad input on the control plane: a problem document that names what is wrong, and nothing written.

mod case;
mod requests;
mod types;
mod values;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;
use sqlx::Row;
use tenantry_tests::TestApp;

use self::{
    case::{Case, ask, mistake},
    requests::{bad_bodies, bad_requests},
    types::wrong_types,
    values::{bad_catalogue, bad_tenants},
};

/// How much there is of everything that a request could write, and a hash over it.
async fn everything(app: &TestApp) -> Vec<(String, i64, String)> {
    let tables = [
        "tenants",
        "tenant_labels",
        "domains",
        "placements",
        "operations",
        "operation_events",
        "apalis.jobs",
        "plans",
        "servers",
        "server_logins",
        "api_keys",
        "apps",
        "app_versions",
    ];
    let mut all = Vec::new();
    for table in tables {
        let query = format!(
            "SELECT count(*), md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} AS t"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_one(app.owner()).await.unwrap();
        all.push((table.to_owned(), row.get(0), row.get(1)));
    }
    all
}

async fn refuses_and_writes_nothing(cases: Vec<Case>) {
    // Without a worker nothing changes by itself.
    let app = TestApp::build().without_worker().start().await;
    app.api.put("/api/v1/apps/empty", json!({})).await.expect(200);
    let known = app.slug("known");
    let body = json!({ "name": "Known", "slug": known, "plan": "basic", "app": "crm" });
    let made = app.api.post("/api/v1/tenants", body).await.expect(202).json();
    let operation = made["operation"]["id"].as_str().unwrap();
    let before = everything(&app).await;
    let mut mistakes = Vec::new();
    for case in &cases {
        let answer = ask(&app, case, &known, operation).await;
        mistakes.extend(mistake(case, &answer));
    }
    assert!(
        mistakes.is_empty(),
        "{} of {} requests were answered otherwise:\n{}",
        mistakes.len(),
        cases.len(),
        mistakes.join("\n")
    );
    assert_eq!(everything(&app).await, before, "a refused request has written");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_another_type_is_refused_by_name() {
    refuses_and_writes_nothing(wrong_types()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_cannot_be_is_refused_and_nothing_is_written() {
    refuses_and_writes_nothing(bad_tenants()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_servers_keys_domains_and_versions_that_cannot_be_are_refused() {
    refuses_and_writes_nothing(bad_catalogue()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_json_or_too_much_of_it_are_refused() {
    refuses_and_writes_nothing(bad_bodies()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_parameters_and_paths_that_mean_nothing_are_refused() {
    refuses_and_writes_nothing(bad_requests()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_wrong_with_a_tenant_is_said_at_once() {
    let app = TestApp::build().without_worker().start().await;
    let body =
        json!({ "name": "", "slug": "a b", "plan": "A", "app": "B", "domain": "x", "subdomain": "www" });
    let answer = app.api.post("/api/v1/tenants", body).await.expect_problem(400, "invalid_field");
    assert_eq!(answer.fields(), ["name", "plan", "slug", "app", "domain", "subdomain"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slug_subdomain_or_domain_that_somebody_has_is_refused_by_name_and_nothing_is_written() {
    let app = TestApp::build().without_worker().start().await;
    let (one, two) = (app.slug("one"), app.slug("two"));
    let domain = format!("events.{one}.example.com");
    let body = json!({ "name": "One", "slug": one, "subdomain": two, "domain": domain, "plan": "basic", "app": "crm" });
    app.api.post("/api/v1/tenants", body).await.expect(202);
    // A domain is somebody's once it is proven.
    sqlx::query("UPDATE domains SET verified_at = now()").execute(app.owner()).await.unwrap();
    let before = everything(&app).await;
    let other = app.slug("other");
    for (slug, subdomain, domain, code, field) in [
        (&one, None, None, "slug_taken", "slug"),
        (&two, None, None, "slug_taken", "slug"),
        (&other, Some(&one), None, "subdomain_taken", "subdomain"),
        (&other, Some(&two), None, "subdomain_taken", "subdomain"),
        (&other, None, Some(&domain), "domain_taken", "domain"),
    ] {
        let body = json!({
            "name": "Other", "slug": slug, "subdomain": subdomain, "domain": domain, "plan": "basic", "app": "crm"
        });
        let answer = app.api.post("/api/v1/tenants", body).await.expect_problem(409, code);
        assert_eq!(answer.fields(), [field]);
    }
    assert_eq!(everything(&app).await, before);
}

/// Every endpoint of the control plane. One that is missing here, or gone, fails the test below: then
/// think of what it refuses, and add it above.
const ENDPOINTS: &[&str] = &[
    "DELETE /api/v1/apps/{app}/versions/{version}",
    "DELETE /api/v1/keys/{key}",
    "DELETE /api/v1/plans/{plan}",
    "DELETE /api/v1/server-classes/{serverClass}",
    "DELETE /api/v1/servers/{server}",
    "DELETE /api/v1/tenants/{tenant}",
    "DELETE /api/v1/tenants/{tenant}/config/{key}",
    "DELETE /api/v1/tenants/{tenant}/domains/{domain}",
    "DELETE /api/v1/tenants/{tenant}/keys/{key}",
    "DELETE /api/v1/webhooks/{webhook}",
    "GET /api/v1/apps",
    "GET /api/v1/apps/{app}",
    "GET /api/v1/apps/{app}/types",
    "GET /api/v1/apps/{app}/verify",
    "GET /api/v1/audit",
    "GET /api/v1/audit/export",
    "GET /api/v1/audit/verify",
    "GET /api/v1/events",
    "GET /api/v1/keys",
    "GET /api/v1/operations",
    "GET /api/v1/operations/{id}",
    "GET /api/v1/operations/{id}/events",
    "GET /api/v1/plans",
    "GET /api/v1/plans/{plan}",
    "GET /api/v1/rollouts",
    "GET /api/v1/rollouts/{rollout}",
    "GET /api/v1/rollouts/{rollout}/events",
    "GET /api/v1/rollouts/{rollout}/tenants",
    "GET /api/v1/server-classes",
    "GET /api/v1/server-classes/{serverClass}",
    "GET /api/v1/server-orders",
    "GET /api/v1/servers",
    "GET /api/v1/servers/{server}",
    "GET /api/v1/servers/{server}/audit",
    "GET /api/v1/tenants",
    "GET /api/v1/tenants/{tenant}",
    "GET /api/v1/tenants/{tenant}/branding",
    "GET /api/v1/tenants/{tenant}/config",
    "GET /api/v1/tenants/{tenant}/config/{key}",
    "GET /api/v1/tenants/{tenant}/connection",
    "GET /api/v1/tenants/{tenant}/domains",
    "GET /api/v1/tenants/{tenant}/health",
    "GET /api/v1/tenants/{tenant}/keys",
    "GET /api/v1/tenants/{tenant}/move/undo",
    "GET /api/v1/tenants/{tenant}/operations",
    "GET /api/v1/tenants/{tenant}/signing-keys",
    "GET /api/v1/tenants/{tenant}/usage",
    "GET /api/v1/webhooks",
    "GET /api/v1/webhooks/{webhook}",
    "GET /api/v1/webhooks/{webhook}/deliveries",
    "GET /api/v1/webhooks/{webhook}/deliveries/{delivery}",
    "PATCH /api/v1/plans/{plan}",
    "PATCH /api/v1/servers/{server}",
    "PATCH /api/v1/tenants/{tenant}",
    "PATCH /api/v1/webhooks/{webhook}",
    "POST /api/v1/apps/{app}/versions",
    "POST /api/v1/apps/{app}/versions/{version}/promote",
    "POST /api/v1/keys",
    "POST /api/v1/keys/{key}/rotate",
    "POST /api/v1/operations/{id}/abandon",
    "POST /api/v1/operations/{id}/cancel",
    "POST /api/v1/operations/{id}/retry",
    "POST /api/v1/plans",
    "POST /api/v1/rollouts",
    "POST /api/v1/rollouts/{rollout}/abort",
    "POST /api/v1/rollouts/{rollout}/pause",
    "POST /api/v1/rollouts/{rollout}/resume",
    "POST /api/v1/rollouts/{rollout}/rollback",
    "POST /api/v1/server-classes",
    "POST /api/v1/servers",
    "POST /api/v1/servers/rebalance",
    "POST /api/v1/servers/{server}/check",
    "POST /api/v1/servers/{server}/drain",
    "POST /api/v1/servers/{server}/hibernate",
    "POST /api/v1/servers/{server}/resize",
    "POST /api/v1/servers/{server}/wake",
    "POST /api/v1/signup",
    "POST /api/v1/tenants",
    "POST /api/v1/tenants/{tenant}/config",
    "POST /api/v1/tenants/{tenant}/domains",
    "POST /api/v1/tenants/{tenant}/domains/{domain}/verify",
    "POST /api/v1/tenants/{tenant}/impersonate",
    "POST /api/v1/tenants/{tenant}/keys",
    "POST /api/v1/tenants/{tenant}/keys/{key}/rotate",
    "POST /api/v1/tenants/{tenant}/migrate",
    "POST /api/v1/tenants/{tenant}/move",
    "POST /api/v1/tenants/{tenant}/move/undo",
    "POST /api/v1/tenants/{tenant}/restore",
    "POST /api/v1/tenants/{tenant}/resume",
    "POST /api/v1/tenants/{tenant}/signing-keys",
    "POST /api/v1/tenants/{tenant}/suspend",
    "POST /api/v1/webhooks",
    "POST /api/v1/webhooks/{webhook}/deliveries/{delivery}/replay",
    "POST /api/v1/webhooks/{webhook}/replay",
    "POST /api/v1/webhooks/{webhook}/rotate-secret",
    "POST /api/v1/webhooks/{webhook}/test",
    "PUT /api/v1/apps/{app}",
    "PUT /api/v1/plans/{plan}",
    "PUT /api/v1/server-classes/{serverClass}",
    "PUT /api/v1/servers/{server}",
    "PUT /api/v1/tenants/{tenant}/config/{key}",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_of_the_document_refuses_a_request_without_a_key() {
    let app = TestApp::build().without_worker().start().await;
    let nobody = app.api.without_key();
    let document = nobody.get("/openapi.json").await.expect(200).json();
    let mut endpoints = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            endpoints.insert(format!("{method} {path}"));
        }
    }
    assert_eq!(endpoints, ENDPOINTS.iter().map(|&endpoint| endpoint.to_owned()).collect());

    let strangers = [nobody.clone(), nobody.with_key("tnt_unknown"), nobody.with_key("é")];
    for endpoint in ENDPOINTS {
        let (method, path) = endpoint.split_once(' ').unwrap();
        let path = path.replace(['{', '}'], "");
        let method: Method = method.parse().unwrap();
        if path == "/api/v1/signup" {
            nobody.post(&path, json!({})).await.expect_problem(404, "signup_disabled");
            continue;
        }
        for stranger in &strangers {
            // Whatever else is wrong with the request is nobody's business.
            let request = stranger.request(method.clone(), &format!("{path}?nonsense=1")).body("nonsense");
            let answer = stranger.send(request).await.expect_problem(401, "unauthenticated");
            assert!(
                answer.header("www-authenticate").is_some_and(|header| header.starts_with("Bearer")),
                "{endpoint}"
            );
        }
    }
}
