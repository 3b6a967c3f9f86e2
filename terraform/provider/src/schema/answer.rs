//! A state of what the API has answered.

use serde_json::{Map, Value as Json};

use super::{
    attribute::{Attribute, Source, Type},
    value::{Object, Value, in_order},
};

/// The state after an answer. What the answer does not show is as it was planned or known before.
pub(crate) fn state_from(attributes: &[Attribute], answer: &Json, before: &Object) -> Object {
    let none = Map::new();
    members(attributes, answer.as_object().unwrap_or(&none), before)
}

fn members(attributes: &[Attribute], answer: &Map<String, Json>, before: &Object) -> Object {
    let state = attributes.iter().map(|a| {
        let before = before.get(a.name).filter(|value| **value != Value::Unknown).unwrap_or(&Value::Null);
        let read = (a.source == Source::Api).then(|| answer.get(&a.api)).flatten();
        let value = match read {
            Some(json) => from_json(json, &a.kind, before),
            None if before.is_null() => a.fallback().unwrap_or(Value::Null),
            None => before.clone(),
        };
        (a.name.to_owned(), value)
    });
    state.collect()
}

fn from_json(json: &Json, kind: &Type, before: &Value) -> Value {
    match (json, kind) {
        (Json::Null, _) => Value::Null,
        (json, Type::Json) => as_written(json.to_string(), kind, before),
        (Json::Bool(value), Type::Bool) => Value::Bool(*value),
        (Json::Number(number), Type::Integer) => Value::Number(number.clone()),
        (Json::String(text), Type::String | Type::Name) => as_written(text.clone(), kind, before),
        (Json::Array(items), Type::Set(of)) => {
            in_order(items.iter().map(|item| from_json(item, of, &Value::Null)).collect())
        }
        (Json::Object(object), Type::Map(of)) => Value::Map(
            object.iter().map(|(name, json)| (name.clone(), from_json(json, of, &Value::Null))).collect(),
        ),
        (Json::Object(object), Type::Object(attributes)) => {
            let none = Object::new();
            let before = if let Value::Map(members) = before { members } else { &none };
            Value::Map(members(attributes, object, before))
        }
        _ => Value::Null,
    }
}

/// A text, as it was written as long as it means the same.
fn as_written(text: String, kind: &Type, before: &Value) -> Value {
    match before.as_str() {
        Some(known) if kind.is_same(known, &text) => before.clone(),
        _ => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attributes() -> Vec<Attribute> {
        vec![
            Attribute::string("name", "").required(),
            Attribute::json("settings", "").default_text("{}"),
            Attribute::string("password", "").required().sensitive().sent(),
            Attribute::bool("purge", "").default(Value::Bool(false)).of_provider(),
        ]
    }

    #[test]
    fn json_stays_as_it_was_written_while_it_means_the_same() {
        let before = Object::from([("settings".into(), Value::string(r#"{ "b":1,"a":2 }"#))]);
        let same = state_from(&attributes(), &json!({ "settings": { "a": 2, "b": 1 } }), &before);
        assert_eq!(same["settings"], before["settings"]);
        let other = state_from(&attributes(), &json!({ "settings": { "a": 3 } }), &before);
        assert_eq!(other["settings"].as_str(), Some(r#"{"a":3}"#));
    }

    #[test]
    fn what_is_never_shown_stays_as_it_was_sent() {
        let before = Object::from([("password".into(), Value::string("secret"))]);
        let state = state_from(&attributes(), &json!({ "name": "a", "password": "***" }), &before);
        assert_eq!(state["password"].as_str(), Some("secret"));
    }

    #[test]
    fn what_was_imported_has_the_providers_defaults() {
        let state = state_from(&attributes(), &json!({ "name": "a" }), &Object::new());
        assert_eq!(state["purge"], Value::Bool(false));
    }
}
