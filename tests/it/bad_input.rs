//! Bad input on the control plane: a problem document that names what is wrong, and nothing written.

use std::collections::BTreeSet;

use reqwest::{Method, header::HeaderValue};
use serde_json::{Value, json};
use sqlx::Row;
use tenantry_tests::{Answer, TestApp};

/// One refused request.
struct Case {
    method: Method,
    path: String,
    headers: Vec<(&'static str, HeaderValue)>,
    body: Option<Vec<u8>>,
    status: u16,
    code: &'static str,
    /// The field that the answer names; none where the fault has no field.
    field: Option<String>,
}

impl Case {
    fn of(method: Method, path: &str) -> Self {
        let (headers, status, code) = (Vec::new(), 400, "invalid_field");
        Self { method, path: format!("/api/v1{path}"), headers, body: None, status, code, field: None }
    }

    fn get(path: &str) -> Self {
        Self::of(Method::GET, path)
    }

    fn post(path: &str, body: &Value) -> Self {
        Self::sends(Method::POST, path, body)
    }

    fn sends(method: Method, path: &str, body: &Value) -> Self {
        Self::of(method, path).text(body.to_string()).header("content-type", "application/json")
    }

    /// A body as it goes over the wire, as JSON or not.
    fn text(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    fn json_text(self, body: impl Into<Vec<u8>>) -> Self {
        self.text(body).header("content-type", "application/json")
    }

    fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name, HeaderValue::from_bytes(value.as_ref()).unwrap()));
        self
    }

    /// 400 with this code for this field.
    fn is(mut self, code: &'static str, field: impl Into<String>) -> Self {
        (self.code, self.field) = (code, Some(field.into()));
        self
    }

    /// Another status, this code, and no field.
    fn fails(mut self, status: u16, code: &'static str) -> Self {
        (self.status, self.code, self.field) = (status, code, None);
        self
    }

    fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// A body with one field in another shape, or gone.
fn with(body: &Value, field: &str, value: Value) -> Value {
    let mut body = body.clone();
    body[field] = value;
    body
}

fn without(body: &Value, field: &str) -> Value {
    let mut body = body.clone();
    body.as_object_mut().unwrap().remove(field);
    body
}

fn tenant() -> Value {
    json!({ "name": "Acme", "slug": "acme", "plan": "basic", "app": "crm" })
}

fn plan() -> Value {
    json!({ "name": "starter", "tier": "schema" })
}

fn server() -> Value {
    json!({ "name": "eu-1", "host": "10.0.0.5", "adminUser": "postgres", "adminPassword": "secret", "capacity": 5 })
}

fn key() -> Value {
    json!({ "name": "billing", "scopes": ["tenants:read"] })
}

fn version() -> Value {
    json!({ "version": 20_991_231_000_000_i64, "name": "more", "up": "SELECT 1" })
}

/// The shapes that a field takes; every other one is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Text,
    Count,
    Array,
    Object,
}

use Shape::{Array, Count, Object, Text};

/// Every field of a body, with its shape and whether it may be null.
type Fields = &'static [(&'static str, Shape, bool)];

const TENANT_FIELDS: Fields = &[
    ("name", Text, false),
    ("slug", Text, true),
    ("plan", Text, false),
    ("app", Text, true),
    ("domain", Text, true),
    ("subdomain", Text, true),
    ("features", Object, false),
    ("settings", Object, false),
    ("maxUsers", Count, true),
    ("maxStorage", Count, true),
];
const PATCH_FIELDS: Fields = &[
    ("name", Text, true),
    ("settings", Object, true),
    ("features", Object, true),
    ("maxUsers", Count, true),
    ("maxStorage", Count, true),
];
const PLAN_FIELDS: Fields = &[
    ("name", Text, true),
    ("tier", Text, false),
    ("limits", Object, false),
    ("features", Object, false),
    ("defaultConfig", Object, false),
    ("retentionDays", Count, false),
];
const SERVER_FIELDS: Fields = &[
    ("name", Text, true),
    ("region", Text, false),
    ("host", Text, false),
    ("port", Count, false),
    ("adminUser", Text, true),
    ("adminPassword", Text, true),
    ("sharedDatabase", Text, true),
    ("state", Text, false),
    ("provider", Text, false),
    ("tiers", Array, false),
    ("capacity", Count, false),
    ("maxConnections", Count, false),
];
const KEY_FIELDS: Fields = &[("name", Text, false), ("scopes", Array, false), ("expiresAt", Text, true)];
const VERSION_FIELDS: Fields =
    &[("version", Count, false), ("name", Text, false), ("up", Text, false), ("down", Text, true)];

/// Each field of each body in each wrong type.
fn wrong_types() -> Vec<Case> {
    let bodies = [
        (Method::POST, "/tenants", tenant(), TENANT_FIELDS),
        (Method::PATCH, "/tenants/KNOWN", json!({}), PATCH_FIELDS),
        (Method::POST, "/plans", plan(), PLAN_FIELDS),
        (Method::POST, "/servers", server(), SERVER_FIELDS),
        (Method::POST, "/keys", key(), KEY_FIELDS),
        (Method::POST, "/apps/crm/versions", version(), VERSION_FIELDS),
    ];
    let mut cases = Vec::new();
    for (method, path, body, fields) in bodies {
        for &(field, shape, nullable) in fields {
            let values = [
                (Some(Text), json!("5")),
                (Some(Count), json!(5)),
                (None, json!(1.5)),
                (None, json!(true)),
                (Some(Array), json!([])),
                (None, json!([1, 2, 3])),
                (Some(Object), json!({})),
            ];
            for (is, value) in values {
                let fits = is == Some(shape) || (shape == Array && value.is_array());
                if !fits {
                    let body = with(&body, field, value);
                    cases.push(Case::sends(method.clone(), path, &body).is("wrong_type", field));
                }
            }
            if !nullable {
                let body = with(&body, field, Value::Null);
                cases.push(Case::sends(method.clone(), path, &body).is("wrong_type", field));
            }
        }
        cases.push(
            Case::sends(method.clone(), path, &with(&body, "nonsense", json!(1)))
                .is("unknown_field", "nonsense"),
        );
        cases.push(Case::sends(method.clone(), path, &json!([body.clone()])).is("wrong_type", "body"));
        cases.push(Case::sends(method, path, &json!("text")).is("wrong_type", "body"));
    }
    cases
}

/// What a tenant may not be.
fn bad_tenants() -> Vec<Case> {
    let tenant = tenant();
    let post = |field: &str, value: Value| {
        Case::post("/tenants", &with(&tenant, field, value)).is("invalid_field", field)
    };
    let mut cases = Vec::new();
    let too_long = "a".repeat(41);
    for slug in [
        "", "-acme", "acme-", "_acme", "a b", "a.b", "a/b", "a'--", "a\"b", "akmé", "xn--acme", "a;drop",
        "%41", "../x", &too_long,
    ] {
        cases.push(post("slug", json!(slug)));
        cases.push(post("subdomain", json!(slug)));
    }
    for reserved in ["www", "API", "admin", "postgres", "tenantry", "well_known", "public"] {
        cases.push(post("slug", json!(reserved)));
        cases.push(post("subdomain", json!(reserved)));
    }
    for name in ["", "   ", "a\nb", "a\u{7}b", &"a".repeat(201)] {
        cases.push(post("name", json!(name)));
    }
    // A name that no slug can be derived from.
    for name in ["日本", "!!!", "Admin"] {
        cases.push(
            Case::post("/tenants", &json!({ "name": name, "plan": "basic", "app": "crm" }))
                .is("invalid_field", "name"),
        );
    }
    for domain in [
        "",
        "localhost",
        "10.0.0.1",
        "a..b",
        "-a.com",
        "a_b.com",
        "a.com:80",
        "http://a.com",
        "acme.localhost",
    ] {
        cases.push(post("domain", json!(domain)));
    }
    for plan in ["", "Basic", "basic ", "a b", &too_long] {
        cases.push(post("plan", json!(plan)));
        cases.push(post("app", json!(plan)));
    }
    cases.push(post("plan", json!("gold")).is("unknown_plan", "plan").with_status(422));
    cases.push(post("app", json!("erp")).is("unknown_app", "app").with_status(422));
    cases.push(post("app", json!("empty")).is("app_has_no_versions", "app").with_status(422));
    cases.push(Case::post("/tenants", &without(&tenant, "app")).is("app_required", "app").with_status(422));
    for plan in ["enterprise", "custom"] {
        cases.push(post("plan", json!(plan)).is("tier_unavailable", "plan").with_status(422));
    }
    for (field, value) in
        [("maxUsers", json!(-1)), ("maxUsers", json!(4_294_967_296_u64)), ("maxStorage", json!(-1))]
    {
        cases.push(post(field, value.clone()));
        cases.push(
            Case::sends(Method::PATCH, "/tenants/KNOWN", &json!({ field: value })).is("invalid_field", field),
        );
    }
    cases.push(post("features", json!({ "ok": 1 })).is("wrong_type", "features.ok"));
    cases.push(post("features", json!({ "a b": true })).is("invalid_field", "features.a b"));
    cases.push(post("features", json!({ "": true })).is("invalid_field", "features."));
    for field in ["name", "plan"] {
        cases.push(Case::post("/tenants", &without(&tenant, field)).is("missing_field", field));
    }
    for name in ["", "\t", &"a".repeat(201)] {
        cases.push(
            Case::sends(Method::PATCH, "/tenants/KNOWN", &json!({ "name": name }))
                .is("invalid_field", "name"),
        );
    }
    cases.push(
        Case::sends(Method::PATCH, "/tenants/KNOWN", &json!({ "slug": "other" })).is("unknown_field", "slug"),
    );
    cases
}

/// What plans, servers, keys, domains and versions may not be.
fn bad_catalogue() -> Vec<Case> {
    let mut cases = Vec::new();
    let too_long = "a".repeat(41);
    for (field, value, named) in [
        ("name", json!("Gold Plan"), "name"),
        ("name", json!(too_long), "name"),
        ("tier", json!("cluster"), "tier"),
        ("limits", json!({ "maxUsers": -1 }), "limits.maxUsers"),
        ("retentionDays", json!(3651), "retentionDays"),
        ("retentionDays", json!(70_000), "retentionDays"),
        ("retentionDays", json!(-1), "retentionDays"),
        ("features", json!({ "a b": true }), "features.a b"),
        ("defaultConfig", json!({ "": 1 }), "defaultConfig."),
    ] {
        cases.push(Case::post("/plans", &with(&plan(), field, value)).is("invalid_field", named));
    }
    let limits = |limits: Value| Case::post("/plans", &with(&plan(), "limits", limits));
    cases.push(limits(json!({ "maxRows": 1 })).is("unknown_field", "limits.maxRows"));
    cases.push(limits(json!({ "maxUsers": "1" })).is("wrong_type", "limits.maxUsers"));
    for field in ["name", "tier"] {
        cases.push(Case::post("/plans", &without(&plan(), field)).is("missing_field", field));
    }
    let renamed = json!({ "name": "other", "tier": "schema" });
    cases.push(Case::sends(Method::PUT, "/plans/basic", &renamed).is("invalid_field", "name"));

    for (field, value) in [
        ("name", json!("EU 1")),
        ("host", json!("")),
        ("host", json!("a b")),
        ("host", json!("db:5432")),
        ("host", json!("u@db")),
        ("host", json!("/var/run")),
        ("port", json!(0)),
        ("port", json!(65_536)),
        ("port", json!(-1)),
        ("region", json!("")),
        ("adminUser", json!("")),
        ("adminUser", json!("a".repeat(64))),
        ("adminPassword", json!("")),
        ("sharedDatabase", json!("a b")),
        ("sharedDatabase", json!("x\"; DROP DATABASE y; --")),
        ("state", json!("asleep")),
        ("provider", json!("azure")),
        ("tiers", json!([])),
        ("capacity", json!(-1)),
        ("capacity", json!(3_000_000_000_u64)),
        ("maxConnections", json!(0)),
    ] {
        cases.push(Case::post("/servers", &with(&server(), field, value)).is("invalid_field", field));
    }
    let tiers = |tiers: Value| Case::post("/servers", &with(&server(), "tiers", tiers));
    cases.push(tiers(json!(["schema", "shard"])).is("invalid_field", "tiers[1]"));
    cases.push(tiers(json!(["schema", 5])).is("wrong_type", "tiers[1]"));
    for field in ["name", "host", "adminUser", "adminPassword", "capacity"] {
        cases.push(Case::post("/servers", &without(&server(), field)).is("missing_field", field));
    }

    for (field, value, named) in [
        ("name", json!(""), "name"),
        ("name", json!("a\u{1}"), "name"),
        ("scopes", json!([]), "scopes"),
        ("scopes", json!(["data:read"]), "scopes"),
        ("scopes", json!(["tenants:read", "root"]), "scopes[1]"),
        ("expiresAt", json!("tomorrow"), "expiresAt"),
        ("expiresAt", json!("2001-01-01T00:00:00Z"), "expiresAt"),
        ("expiresAt", json!("+12001-01-01T00:00:00Z"), "expiresAt"),
    ] {
        cases.push(Case::post("/keys", &with(&key(), field, value)).is("invalid_field", named));
    }
    cases.push(Case::post("/keys", &with(&key(), "scopes", json!([7]))).is("wrong_type", "scopes[0]"));
    for field in ["name", "scopes"] {
        cases.push(Case::post("/keys", &without(&key(), field)).is("missing_field", field));
    }
    let tenant_key = |body: Value| Case::post("/tenants/KNOWN/keys", &body);
    cases.push(tenant_key(json!({ "name": "a", "scopes": ["tenants:read"] })).is("invalid_field", "scopes"));
    cases.push(tenant_key(json!({ "name": "a", "scopes": [] })).is("invalid_field", "scopes"));
    cases.push(tenant_key(json!({})).is("missing_field", "name"));

    let domain = |domain: Value| Case::post("/tenants/KNOWN/domains", &json!({ "domain": domain }));
    cases.push(domain(json!("nodots")).is("invalid_field", "domain"));
    cases.push(domain(json!("acme.localhost")).is("invalid_field", "domain"));
    cases.push(domain(json!(7)).is("wrong_type", "domain"));
    cases.push(Case::post("/tenants/KNOWN/domains", &json!({})).is("missing_field", "domain"));

    for (field, value) in [
        ("version", json!(0)),
        ("version", json!(-1)),
        ("version", json!(1_u64 << 53)),
        ("name", json!("")),
        ("up", json!("  ")),
    ] {
        cases.push(
            Case::post("/apps/crm/versions", &with(&version(), field, value)).is("invalid_field", field),
        );
    }
    for field in ["version", "name", "up"] {
        cases.push(Case::post("/apps/crm/versions", &without(&version(), field)).is("missing_field", field));
    }
    let manifest = |manifest: Value| Case::sends(Method::PUT, "/apps/crm", &json!({ "manifest": manifest }));
    cases.push(
        manifest(json!({ "extensions": ["x\"; DROP TABLE y"] })).is("invalid_field", "manifest.extensions"),
    );
    cases.push(manifest(json!({ "jsonCase": "kebab" })).is("invalid_field", "manifest.jsonCase"));
    cases.push(manifest(json!({ "tables": [] })).is("unknown_field", "manifest.tables"));
    cases.push(manifest(json!(["description"])).is("wrong_type", "manifest"));
    cases
}

/// What is wrong with a body whatever its endpoint.
fn bad_bodies() -> Vec<Case> {
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
fn bad_requests() -> Vec<Case> {
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
    cases.push(Case::get("/nonsense").fails(404, "no_such_endpoint"));
    cases.push(Case::get("/tenants/KNOWN/nonsense").fails(404, "no_such_endpoint"));
    cases.push(Case::sends(Method::PUT, "/tenants", &tenant()).fails(405, "method_not_allowed"));
    cases.push(Case::of(Method::DELETE, "/keys").fails(405, "method_not_allowed"));
    cases
}

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

async fn ask(app: &TestApp, case: &Case, known: &str, operation: &str) -> Answer {
    let path = case.path.replace("KNOWN", known).replace("OPERATION", operation);
    let mut request = app.api.request(case.method.clone(), &path);
    for (name, value) in &case.headers {
        request = request.header(*name, value.clone());
    }
    if let Some(body) = &case.body {
        request = request.body(body.clone());
    }
    app.api.send(request).await
}

/// What an answer has against what it should have; `None` if all is as it should.
fn mistake(case: &Case, answer: &Answer) -> Option<String> {
    let is_problem = answer.header("content-type").as_deref() == Some("application/problem+json");
    let code = if is_problem {
        answer.json()["code"].as_str().unwrap_or_default().to_owned()
    } else {
        String::new()
    };
    let fields = if is_problem { answer.fields() } else { Vec::new() };
    let named = case.field.as_ref().is_none_or(|field| fields.contains(field));
    if answer.status.as_u16() == case.status && code == case.code && named {
        answer.assert_problem();
        return None;
    }
    let body =
        case.body.as_deref().map(|body| String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned());
    Some(format!(
        "{} {} {:?} {}\n    expected {} {} {:?}\n    got {} {}",
        case.method,
        &case.path[..case.path.len().min(100)],
        case.headers,
        body.unwrap_or_default(),
        case.status,
        case.code,
        case.field,
        answer.status,
        answer.text,
    ))
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
    "DELETE /api/v1/keys/{key}",
    "DELETE /api/v1/plans/{plan}",
    "DELETE /api/v1/servers/{server}",
    "DELETE /api/v1/tenants/{tenant}",
    "DELETE /api/v1/tenants/{tenant}/domains/{domain}",
    "DELETE /api/v1/tenants/{tenant}/keys/{key}",
    "GET /api/v1/apps",
    "GET /api/v1/apps/{app}",
    "GET /api/v1/keys",
    "GET /api/v1/operations",
    "GET /api/v1/operations/{id}",
    "GET /api/v1/operations/{id}/events",
    "GET /api/v1/plans",
    "GET /api/v1/plans/{plan}",
    "GET /api/v1/servers",
    "GET /api/v1/servers/{server}",
    "GET /api/v1/tenants",
    "GET /api/v1/tenants/{tenant}",
    "GET /api/v1/tenants/{tenant}/branding",
    "GET /api/v1/tenants/{tenant}/connection",
    "GET /api/v1/tenants/{tenant}/domains",
    "GET /api/v1/tenants/{tenant}/keys",
    "GET /api/v1/tenants/{tenant}/operations",
    "PATCH /api/v1/tenants/{tenant}",
    "POST /api/v1/apps/{app}/versions",
    "POST /api/v1/keys",
    "POST /api/v1/operations/{id}/cancel",
    "POST /api/v1/operations/{id}/retry",
    "POST /api/v1/plans",
    "POST /api/v1/servers",
    "POST /api/v1/signup",
    "POST /api/v1/tenants",
    "POST /api/v1/tenants/{tenant}/domains",
    "POST /api/v1/tenants/{tenant}/keys",
    "POST /api/v1/tenants/{tenant}/restore",
    "POST /api/v1/tenants/{tenant}/resume",
    "POST /api/v1/tenants/{tenant}/suspend",
    "PUT /api/v1/apps/{app}",
    "PUT /api/v1/plans/{plan}",
    "PUT /api/v1/servers/{server}",
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
        let path = path.replace('{', "").replace('}', "");
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
