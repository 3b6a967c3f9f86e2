//! Values as Terraform sends them: `MessagePack`, in which an extension stands for what is not known yet.

use std::collections::BTreeMap;

use rmpv::Value as Raw;
use serde_json::{Number, Value as Json};

use super::attribute::{Attribute, Type};

/// The attributes of an object, by name.
pub(crate) type Object = BTreeMap<String, Value>;

/// A value of an attribute. Sets are lists in order, so that equal sets are equal values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    /// It is known once the plan is applied.
    Unknown,
    Bool(bool),
    Number(Number),
    String(String),
    List(Vec<Value>),
    Map(Object),
}

/// What is no value of its type.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ValueError {
    #[error("Terraform sent a value that is no MessagePack: {0}")]
    Encoding(#[from] rmpv::decode::Error),
    #[error("Terraform sent a state that is no JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("Terraform sent a value of another type than the schema's")]
    Type,
}

impl Value {
    pub(crate) fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    pub(crate) fn strings<const N: usize>(texts: [&str; N]) -> Self {
        Self::List(texts.map(Self::string).into())
    }

    pub(crate) fn is_null(&self) -> bool {
        *self == Self::Null
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    pub(crate) fn is_true(&self) -> bool {
        *self == Self::Bool(true)
    }

    pub(crate) fn as_i64(&self) -> Option<i64> {
        if let Self::Number(number) = self { number.as_i64() } else { None }
    }

    /// Reads the object of a resource; none if it is null.
    pub(crate) fn decode(bytes: &[u8], attributes: &[Attribute]) -> Result<Option<Object>, ValueError> {
        let raw = rmpv::decode::read_value(&mut &*bytes)?;
        if raw.is_nil() {
            return Ok(None);
        }
        decode_object(raw, attributes).map(Some)
    }

    /// Reads a stored state. What a former version of the provider kept beside is dropped; what it did not know is null.
    pub(crate) fn from_state(bytes: &[u8], attributes: &[Attribute]) -> Result<Object, ValueError> {
        match serde_json::from_slice(bytes)? {
            Json::Object(mut members) => Ok(attributes
                .iter()
                .map(|a| (a.name.to_owned(), from_json(members.remove(a.name).unwrap_or_default(), &a.kind)))
                .collect()),
            _ => Err(ValueError::Type),
        }
    }

    pub(crate) fn encode(object: Option<&Object>) -> Vec<u8> {
        let raw = object.map_or(Raw::Nil, encode_object);
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, &raw).expect("a vector takes everything");
        bytes
    }
}

fn decode_object(raw: Raw, attributes: &[Attribute]) -> Result<Object, ValueError> {
    let Raw::Map(members) = raw else { return Err(ValueError::Type) };
    let mut given: BTreeMap<String, Raw> = members
        .into_iter()
        .filter_map(|(name, value)| name.as_str().map(str::to_owned).map(|name| (name, value)))
        .collect();
    attributes
        .iter()
        .map(|a| {
            let value = decode(given.remove(a.name).unwrap_or(Raw::Nil), &a.kind)?;
            Ok((a.name.to_owned(), value))
        })
        .collect()
}

fn decode(raw: Raw, kind: &Type) -> Result<Value, ValueError> {
    Ok(match (raw, kind) {
        (Raw::Nil, _) => Value::Null,
        // With or without what is known about it.
        (Raw::Ext(..), _) => Value::Unknown,
        (Raw::Boolean(value), Type::Bool) => Value::Bool(value),
        (Raw::Integer(value), Type::Integer) => {
            let number = value.as_i64().map(Number::from).or_else(|| value.as_u64().map(Number::from));
            Value::Number(number.ok_or(ValueError::Type)?)
        }
        (Raw::F64(value), Type::Integer) => Value::Number(Number::from_f64(value).ok_or(ValueError::Type)?),
        // Numbers that fit no machine type come as text.
        (Raw::String(value), Type::Integer) => {
            let number = value.as_str().and_then(|text| text.parse().ok());
            Value::Number(number.and_then(Number::from_f64).ok_or(ValueError::Type)?)
        }
        (Raw::String(value), Type::String | Type::Name | Type::Json) => {
            Value::String(value.into_str().ok_or(ValueError::Type)?)
        }
        (Raw::Array(items), Type::Set(of)) => {
            in_order(items.into_iter().map(|item| decode(item, of)).collect::<Result<_, _>>()?)
        }
        (Raw::Map(members), Type::Map(of)) => Value::Map(
            members
                .into_iter()
                .map(|(name, value)| {
                    let name = name.as_str().ok_or(ValueError::Type)?.to_owned();
                    Ok((name, decode(value, of)?))
                })
                .collect::<Result<_, ValueError>>()?,
        ),
        (raw @ Raw::Map(_), Type::Object(attributes)) => Value::Map(decode_object(raw, attributes)?),
        _ => return Err(ValueError::Type),
    })
}

/// A set.
pub(super) fn in_order(mut items: Vec<Value>) -> Value {
    items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    Value::List(items)
}

fn from_json(json: Json, kind: &Type) -> Value {
    match (json, kind) {
        (Json::Bool(value), Type::Bool) => Value::Bool(value),
        (Json::Number(value), Type::Integer) => Value::Number(value),
        (Json::String(value), Type::String | Type::Name | Type::Json) => Value::String(value),
        (Json::Array(items), Type::Set(of)) => {
            in_order(items.into_iter().map(|item| from_json(item, of)).collect())
        }
        (Json::Object(members), Type::Map(of)) => {
            Value::Map(members.into_iter().map(|(name, value)| (name, from_json(value, of))).collect())
        }
        (Json::Object(mut members), Type::Object(attributes)) => Value::Map(
            attributes
                .iter()
                .map(|a| (a.name.to_owned(), from_json(members.remove(a.name).unwrap_or_default(), &a.kind)))
                .collect(),
        ),
        // An attribute that has changed its type is read anew.
        _ => Value::Null,
    }
}

fn encode_object(object: &Object) -> Raw {
    Raw::Map(object.iter().map(|(name, value)| (name.as_str().into(), encode(value))).collect())
}

fn encode(value: &Value) -> Raw {
    match value {
        Value::Null => Raw::Nil,
        Value::Unknown => Raw::Ext(0, vec![0]),
        Value::Bool(value) => Raw::Boolean(*value),
        Value::Number(number) => number
            .as_i64()
            .map(Raw::from)
            .or_else(|| number.as_u64().map(Raw::from))
            .unwrap_or_else(|| Raw::F64(number.as_f64().unwrap_or_default())),
        Value::String(text) => text.as_str().into(),
        Value::List(items) => Raw::Array(items.iter().map(encode).collect()),
        Value::Map(object) => encode_object(object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes() -> Vec<Attribute> {
        vec![
            Attribute::string("name", "").required(),
            Attribute::integer("size", "").optional(),
            Attribute::new("tiers", Type::set_of_strings(), "").optional(),
            Attribute::new("limits", Type::Object(vec![Attribute::integer("users", "").optional()]), "")
                .optional(),
        ]
    }

    #[test]
    fn what_is_written_is_read_again() {
        let object = Object::from([
            ("name".into(), Value::string("a")),
            ("size".into(), Value::Unknown),
            ("tiers".into(), Value::strings(["database", "schema"])),
            ("limits".into(), Value::Map(Object::from([("users".into(), Value::Number(5.into()))]))),
        ]);
        let bytes = Value::encode(Some(&object));
        assert_eq!(Value::decode(&bytes, &attributes()).unwrap(), Some(object));
        assert_eq!(Value::decode(&Value::encode(None), &attributes()).unwrap(), None);
    }

    #[test]
    fn sets_are_equal_whatever_their_order() {
        let read = |tiers: &str| {
            Value::from_state(format!(r#"{{"name":"a","tiers":{tiers}}}"#).as_bytes(), &attributes()).unwrap()
        };
        assert_eq!(read(r#"["schema","database"]"#), read(r#"["database","schema"]"#));
    }

    #[test]
    fn a_state_of_another_version_is_read() {
        let object = Value::from_state(br#"{"name":"a","gone":1}"#, &attributes()).unwrap();
        assert_eq!(object.keys().collect::<Vec<_>>(), ["limits", "name", "size", "tiers"]);
        assert!(object["size"].is_null());
    }
}
