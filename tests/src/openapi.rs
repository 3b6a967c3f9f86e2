//! What would make clients that are generated from an OpenAPI document worse.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Properties and parameters that have one of few values.
const OF_FEW_VALUES: &[&str] =
    &["status", "state", "kind", "lane", "tier", "provider", "jsonCase", "connection", "scopes", "tiers"];

/// Everything that is wrong with a document, in sentences.
pub fn faults(document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    for (path, item) in members(&document["paths"]) {
        for (method, operation) in members(item) {
            let of = format!("{method} {path}");
            if !operation["operationId"].as_str().is_some_and(|id| ids.insert(id)) {
                faults.push(format!("{of} has no operationId of its own"));
            }
            for (status, response) in members(&operation["responses"]) {
                if response["description"].as_str().is_none_or(str::is_empty) {
                    faults.push(format!("{status} of {of} has no description"));
                }
                let is_error = status == "default" || status.starts_with(['4', '5']);
                if is_error
                    && !members(&response["content"]).map(|(media, _)| media).eq(["application/problem+json"])
                {
                    faults.push(format!("{status} of {of} is no problem document"));
                }
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap_or_default();
                if parameter["in"] == "query" && is_bare_text(name, &parameter["schema"]) {
                    faults.push(format!("{name} of {of} is no enum"));
                }
            }
            for content in members(&operation["requestBody"]["content"]).map(|(_, content)| content) {
                if !content["schema"]["$ref"].is_string() {
                    faults.push(format!("the body of {of} has no name"));
                }
            }
        }
    }
    for (name, schema) in members(&document["components"]["schemas"]) {
        if name.starts_with("Listing_") && !schema["properties"]["items"]["items"]["$ref"].is_string() {
            faults.push(format!("the items of {name} have no name"));
        }
        for (property, schema) in members(&schema["properties"]) {
            if name != "Problem" && is_bare_text(property, schema) {
                faults.push(format!("{property} of {name} is no enum"));
            }
        }
    }
    faults
}

/// Operations with this method that take no body.
pub fn without_body<'a>(document: &'a Value, method: &str) -> Vec<&'a str> {
    let all = members(&document["paths"]).map(|(_, item)| &item[method]);
    let bodiless = all.filter(|operation| operation.is_object() && operation["requestBody"].is_null());
    bodiless.filter_map(|operation| operation["operationId"].as_str()).collect()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

fn is_bare_text(name: &str, schema: &Value) -> bool {
    let schema = if schema["items"].is_object() { &schema["items"] } else { schema };
    OF_FEW_VALUES.contains(&name)
        && schema["$ref"].is_null()
        && schema["enum"].is_null()
        && ["oneOf", "anyOf", "allOf"].iter().all(|several| schema[*several].is_null())
}
