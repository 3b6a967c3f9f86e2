//! What may be wrong with a request whatever its fields: body, headers, parameters, path.

use reqwest::Method;
use serde_json::json;

use super::case::{Case, key, plan, tenant, version, with};

/// What is wrong with a body whatever its endpoint.
pub(super) fn bad_bodies() -> Vec<Case> {
    let good = tenant().to_string();
    let post = |path: &str| Case::of(Method::POST, path);
    let mut cases = Vec::new();
    for path in ["/tenants", "/plans", "/servers", "/keys", "/apps/crm/versions", "/tenants/KNOWN/keys"] {
        for text in ["", "{", "nonsense", "{\"name\": }", "{'name': 'a'}", "{\"name\": \"a\",}"] {
            cases.push(post(path).json_text(text).is("invalid_json", "body"));
        }
        cases.push(post(path).json_text("null").is("wrong_type", "body"));
        for content_type in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json", ""]
        {
            let case = post(path).text(good.clone()).header("content-type", content_type);
            cases.push(case.fails(415, "unsupported_media_type"));
        }
        cases.push(post(path).text(good.clone()).fails(415, "unsupported_media_type"));
        let large = json!({ "name": "a".repeat(2 << 20) }).to_string();
        cases.push(post(path).json_text(large).fails(413, "body_too_large"));
        // NUL, written as it is and escaped.
        cases.push(post(path).json_text("{\"name\": \"a\0b\"}").is("invalid_json", "body"));
        cases.push(post(path).json_text("{\"name\": \"a\\u0000b\"}").is("invalid_field", "name"));
        // Text that is no Unicode.
        cases.push(post(path).json_text(b"{\"name\": \"\xff\"}").is("invalid_json", "body"));
        cases.push(post(path).json_text("{\"name\": \"\\ud800\"}").is("invalid_json", "body"));
        cases.push(post(path).json_text("{\"name\": 1e999}").is("invalid_json", "body"));
        let deep = format!("{{\"name\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        cases.push(post(path).json_text(deep).is("wrong_type", "name"));
        let twice = "{\"name\": \"a\", \"name\": \"b\"}";
        cases.push(post(path).json_text(twice).is("invalid_field", "name"));
    }
    for (field, value, named) in [
        ("slug", json!("a\0b"), "slug"),
        ("settings", json!({ "a": [{ "b": "\0" }] }), "settings.a[0].b"),
        ("settings", json!({ "a\0": 1 }), "settings.a\\u0000"),
        ("features", json!({ "a\0": true }), "features.a\\u0000"),
    ] {
        cases.push(Case::post("/tenants", &with(&tenant(), field, value)).is("invalid_field", named));
    }
    let up = with(&version(), "up", json!("SELECT '\0'"));
    cases.push(Case::post("/apps/crm/versions", &up).is("invalid_field", "up"));
    let start = good.trim_end_matches('}');
    let deep = format!("{start}, \"settings\": {{\"a\": {}{}}}}}", "[".repeat(10_000), "]".repeat(10_000));
    cases.push(post("/tenants").json_text(deep).is("invalid_json", "body"));
    let huge = format!("{start}, \"settings\": {{\"a\": 1e999}}}}");
    cases.push(post("/tenants").json_text(huge).is("invalid_json", "body"));
    for number in ["123456789012345678901234567890", "1e3", "0.5"] {
        let body = format!("{start}, \"maxStorage\": {number}}}");
        cases.push(post("/tenants").json_text(body).is("wrong_type", "maxStorage"));
    }
    cases.push(post("/tenants").json_text(format!("{good} x")).is("invalid_json", "body"));
    cases.push(post("/tenants").json_text(format!("{good}{good}")).is("invalid_json", "body"));
    let twice = format!("{start}, \"slug\": \"other\"}}");
    cases.push(post("/tenants").json_text(twice).is("invalid_field", "slug"));
    cases
}

/// Headers, parameters and paths.
pub(super) fn bad_requests() -> Vec<Case> {
    let mut cases = Vec::new();
    for idempotency_key in [&b""[..], b"a b", b"a\tb", "schlüssel".as_bytes(), &[b'a'; 256]] {
        for (path, body) in [("/tenants", tenant()), ("/keys", key()), ("/plans", plan())] {
            let case = Case::post(path, &body).header("idempotency-key", idempotency_key);
            cases.push(case.is("invalid_field", "Idempotency-Key"));
        }
    }
    let twice =
        Case::post("/tenants", &tenant()).header("idempotency-key", "a").header("idempotency-key", "b");
    cases.push(twice.is("invalid_field", "Idempotency-Key"));
    for wait in ["wait", "wait=", "wait=-1", "wait=61", "wait=1.5", "wait=soon", "wait=99999999999999999999"]
    {
        let case = Case::post("/tenants", &tenant()).header("prefer", wait);
        cases.push(case.is("invalid_field", "Prefer"));
        let case = Case::of(Method::DELETE, "/tenants/KNOWN").header("prefer", wait);
        cases.push(case.is("invalid_field", "Prefer"));
        let case = Case::of(Method::POST, "/tenants/KNOWN/suspend").header("prefer", wait);
        cases.push(case.is("invalid_field", "Prefer"));
    }
    let events = "/operations/OPERATION/events";
    for id in ["x", "-1", "99999999999999999999"] {
        cases.push(Case::get(events).header("last-event-id", id).is("invalid_field", "Last-Event-ID"));
    }

    let lists = [
        "/tenants",
        "/operations",
        "/tenants/KNOWN/operations",
        "/plans",
        "/servers",
        "/keys",
        "/apps",
        "/tenants/KNOWN/keys",
        "/tenants/KNOWN/domains",
    ];
    for list in lists {
        for limit in ["0", "201", "-1", "x", "", "1.5", "99999999999999999999", "%00"] {
            cases.push(Case::get(&format!("{list}?limit={limit}")).is("invalid_field", "limit"));
        }
        for cursor in ["", "!", "a", "AAAA", "w6k", "%00"] {
            cases.push(Case::get(&format!("{list}?cursor={cursor}")).is("invalid_field", "cursor"));
        }
        cases.push(Case::get(&format!("{list}?limit=1&limit=2")).is("invalid_field", "limit"));
        cases.push(Case::get(&format!("{list}?nonsense=1")).is("unknown_parameter", "nonsense"));
        cases.push(Case::get(&format!("{list}?Limit=1")).is("unknown_parameter", "Limit"));
    }
    // A cursor of another list: `basic`.
    for list in ["/tenants", "/operations", "/tenants/KNOWN/operations"] {
        cases.push(Case::get(&format!("{list}?cursor=YmFzaWM")).is("invalid_field", "cursor"));
    }
    for (query, field) in [
        ("status=none", "status"),
        ("status=", "status"),
        ("plan=Gold%20Plan", "plan"),
        ("app=%27", "app"),
        ("tier=cluster", "tier"),
        ("server=EU%201", "server"),
        ("q=a%00b", "q"),
        ("status=active&status=failed", "status"),
    ] {
        cases.push(Case::get(&format!("/tenants?{query}")).is("invalid_field", field));
    }
    cases.push(Case::get(&format!("/tenants?q={}", "a".repeat(201))).is("invalid_field", "q"));
    for list in ["/operations", "/tenants/KNOWN/operations"] {
        for (query, field) in [("state=none", "state"), ("kind=fly", "kind")] {
            cases.push(Case::get(&format!("{list}?{query}")).is("invalid_field", field));
        }
    }
    cases.push(Case::get("/operations?tenant=a%20b").fails(404, "tenant_not_found"));
    cases.push(Case::get("/tenants/KNOWN/connection?reveal=yes").is("invalid_field", "reveal"));
    let delete = |query: &str| Case::of(Method::DELETE, &format!("/tenants/KNOWN?{query}"));
    cases.push(delete("purge=later").is("invalid_field", "purge"));
    cases.push(delete("Purge=now").is("unknown_parameter", "Purge"));
    cases.push(Case::post("/tenants?plan=basic", &tenant()).is("unknown_parameter", "plan"));

    for bad in ["a%20b", "..%2fx", "%00", "%ff", "a%27--", "a.b", &"a".repeat(300)] {
        for (path, code) in [
            ("/tenants/BAD", "tenant_not_found"),
            ("/tenants/BAD/connection", "tenant_not_found"),
            ("/tenants/BAD/branding", "tenant_not_found"),
            ("/tenants/BAD/operations", "tenant_not_found"),
            ("/tenants/BAD/keys", "tenant_not_found"),
            ("/tenants/BAD/domains", "tenant_not_found"),
            ("/operations/BAD", "operation_not_found"),
            ("/operations/BAD/events", "operation_not_found"),
            ("/plans/BAD", "plan_not_found"),
            ("/servers/BAD", "server_not_found"),
            ("/apps/BAD", "app_not_found"),
        ] {
            cases.push(Case::get(&path.replace("BAD", bad)).fails(404, code));
        }
        for (method, path, code) in [
            (Method::DELETE, "/tenants/BAD", "tenant_not_found"),
            (Method::POST, "/tenants/BAD/suspend", "tenant_not_found"),
            (Method::POST, "/tenants/BAD/resume", "tenant_not_found"),
            (Method::POST, "/tenants/BAD/restore", "tenant_not_found"),
            (Method::POST, "/operations/BAD/retry", "operation_not_found"),
            (Method::POST, "/operations/BAD/cancel", "operation_not_found"),
            (Method::DELETE, "/plans/BAD", "plan_not_found"),
            (Method::DELETE, "/servers/BAD", "server_not_found"),
            (Method::DELETE, "/keys/BAD", "key_not_found"),
            (Method::DELETE, "/tenants/KNOWN/keys/BAD", "key_not_found"),
            (Method::DELETE, "/tenants/BAD/keys/BAD", "tenant_not_found"),
        ] {
            // A segment that is not UTF-8 spoils its neighbours too.
            let code = if bad == "%ff" && path.starts_with("/tenants") { "tenant_not_found" } else { code };
            cases.push(Case::of(method, &path.replace("BAD", bad)).fails(404, code));
        }
    }
    cases.push(Case::of(Method::DELETE, "/tenants/KNOWN/domains/nodots").fails(404, "domain_not_found"));
    let nobody = "019a0000-0000-7000-8000-000000000000";
    cases.push(Case::get(&format!("/tenants/{nobody}")).fails(404, "tenant_not_found"));
    cases.push(Case::get(&format!("/operations/{nobody}")).fails(404, "operation_not_found"));
    cases.push(Case::sends(Method::PATCH, "/tenants/nobody", &json!({})).fails(404, "tenant_not_found"));
    cases.push(
        Case::sends(Method::PUT, "/plans/nobody", &json!({ "tier": "schema" })).fails(404, "plan_not_found"),
    );
    cases.push(
        Case::sends(Method::PUT, "/servers/nobody", &json!({ "host": "a", "capacity": 1 }))
            .fails(404, "server_not_found"),
    );
    cases.push(Case::post("/apps/nobody/versions", &version()).fails(404, "app_not_found"));
    cases.push(Case::get("/nonsense").fails(404, "endpoint_not_found"));
    cases.push(Case::get("/tenants/KNOWN/nonsense").fails(404, "endpoint_not_found"));
    cases.push(Case::sends(Method::PUT, "/tenants", &tenant()).fails(405, "method_not_allowed"));
    cases.push(Case::of(Method::DELETE, "/keys").fails(405, "method_not_allowed"));
    cases
}
