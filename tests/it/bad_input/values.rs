//! Values of the right type that cannot be.

use reqwest::Method;
use serde_json::{Value, json};

use super::case::{Case, key, plan, server, tenant, version, with, without};

/// What a tenant may not be.
pub(super) fn bad_tenants() -> Vec<Case> {
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
pub(super) fn bad_catalogue() -> Vec<Case> {
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
