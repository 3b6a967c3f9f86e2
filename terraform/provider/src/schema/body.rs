//! A request's body of what is planned.

use serde_json::{Map, Value as Json};

use super::{
    attribute::{Attribute, Source, Type},
    value::{Object, Value},
};

/// What a null becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nulls {
    /// It is left out, so that the API takes its default.
    LeftOut,
    /// It is sent, so that the API takes back what was set.
    Sent,
}

/// The members that the API is told.
pub(crate) fn body_of(attributes: &[Attribute], object: &Object, nulls: Nulls) -> Map<String, Json> {
    attributes
        .iter()
        .filter(|a| a.is_configurable() && a.source != Source::Provider)
        .filter_map(|a| {
            let json = to_json(object.get(a.name)?, &a.kind, nulls);
            (nulls == Nulls::Sent || !json.is_null()).then(|| (a.api.clone(), json))
        })
        .collect()
}

fn to_json(value: &Value, kind: &Type, nulls: Nulls) -> Json {
    match (value, kind) {
        (Value::Bool(value), _) => (*value).into(),
        (Value::Number(number), _) => Json::Number(number.clone()),
        (Value::String(text), Type::Json) => serde_json::from_str(text).unwrap_or_default(),
        (Value::String(text), _) => text.as_str().into(),
        (Value::List(items), Type::Set(of)) => items.iter().map(|item| to_json(item, of, nulls)).collect(),
        (Value::Map(members), Type::Object(attributes)) => Json::Object(body_of(attributes, members, nulls)),
        (Value::Map(members), Type::Map(of)) => {
            members.iter().map(|(name, value)| (name.clone(), to_json(value, of, nulls))).collect()
        }
        // Nothing unknown is left when a plan is applied.
        (Value::Null | Value::Unknown | Value::List(_) | Value::Map(_), _) => Json::Null,
    }
}
