//! Every field of every body in every wrong type.

use reqwest::Method;
use serde_json::{Value, json};

use super::case::{Case, key, plan, server, tenant, version, with};

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
    ("database", Object, false),
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
pub(super) fn wrong_types() -> Vec<Case> {
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
