//! A schema as Terraform reads it.

use serde_json::{Value as Json, json};

use super::pb::{
    Schema,
    schema::{Attribute as Message, Block, Object, object::NestingMode},
};
use crate::schema::{Attribute, Type};

/// The schema of a resource, a data source or the provider.
pub(super) fn schema_of(doc: &str, attributes: &[Attribute]) -> Schema {
    // New attributes need no new version: what a stored state does not have is null.
    let block = Block { version: 0, attributes: messages(attributes), description: doc.to_owned() };
    Schema { version: 0, block: Some(block) }
}

fn messages(attributes: &[Attribute]) -> Vec<Message> {
    attributes.iter().map(message).collect()
}

fn message(attribute: &Attribute) -> Message {
    let nested = match &attribute.kind {
        Type::Object(members) => {
            Some(Object { attributes: messages(members), nesting: NestingMode::Single.into() })
        }
        _ => None,
    };
    Message {
        name: attribute.name.to_owned(),
        r#type: if nested.is_some() { Vec::new() } else { type_of(&attribute.kind).to_string().into_bytes() },
        nested_type: nested,
        description: attribute.doc.to_owned(),
        required: attribute.is_required(),
        optional: attribute.is_configurable() && !attribute.is_required(),
        computed: attribute.is_computed(),
        sensitive: attribute.sensitive,
    }
}

/// A type in cty's JSON.
fn type_of(kind: &Type) -> Json {
    match kind {
        Type::String | Type::Name | Type::Json => "string".into(),
        Type::Integer => "number".into(),
        Type::Bool => "bool".into(),
        Type::Set(of) => json!(["set", type_of(of)]),
        Type::Map(of) => json!(["map", type_of(of)]),
        Type::Object(members) => {
            let members: serde_json::Map<_, _> =
                members.iter().map(|m| (m.name.to_owned(), type_of(&m.kind))).collect();
            json!(["object", members])
        }
    }
}
