//! What can be told to be wrong without asking the API.

use serde_json::Value as Json;

use super::{
    attribute::{Attribute, Type},
    path::Path,
    value::{Object, Value},
};
use crate::diagnostic::Diagnostic;

/// All that is wrong with a configuration.
pub(crate) fn validate(attributes: &[Attribute], config: &Object) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    check(attributes, config, None, &mut found);
    found
}

fn check(attributes: &[Attribute], config: &Object, within: Option<&str>, found: &mut Vec<Diagnostic>) {
    for attribute in attributes {
        let Some(value) = config.get(attribute.name) else { continue };
        // Terraform shows no line of a nested attribute.
        let path = Path::to(within.unwrap_or(attribute.name));
        let mut wrong = |text: String| {
            let summary = format!("Invalid value of {}", attribute.name);
            found.push(Diagnostic::error(summary, text).at(Some(path.clone())));
        };
        let texts: Vec<&str> = match value {
            Value::String(text) => vec![text],
            Value::List(items) => items.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        for text in texts {
            if !attribute.one_of.is_empty() && !attribute.one_of.contains(&text) {
                wrong(format!("\"{text}\" is none of {}.", attribute.one_of.join(", ")));
            }
            if matches!(attribute.kind, Type::Json) {
                match serde_json::from_str::<Json>(text) {
                    Ok(Json::Object(_)) => {}
                    Ok(_) => wrong("It must be a JSON object: use jsonencode({ ... }).".to_owned()),
                    Err(error) => wrong(format!("It is no JSON ({error}): use jsonencode({{ ... }}).")),
                }
            }
        }
        if let (Type::Object(members), Value::Map(object)) = (&attribute.kind, value) {
            check(members, object, Some(within.unwrap_or(attribute.name)), found);
        }
    }
}
