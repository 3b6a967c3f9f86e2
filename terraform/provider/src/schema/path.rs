//! Where in a configuration something is wrong.

use super::attribute::{Attribute, Type};
use crate::protocol::pb::{
    AttributePath,
    attribute_path::{Step, step::Selector},
};

/// The way to an attribute, or to an item of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path(Vec<Selector>);

impl Path {
    pub(crate) fn to(name: &str) -> Self {
        Self(vec![Selector::AttributeName(name.to_owned())])
    }

    #[must_use]
    fn item(mut self, key: &str) -> Self {
        self.0.push(Selector::ElementKeyString(key.to_owned()));
        self
    }
}

impl From<Path> for AttributePath {
    fn from(path: Path) -> Self {
        Self { steps: path.0.into_iter().map(|selector| Step { selector: Some(selector) }).collect() }
    }
}

/// The attribute that the API means by a field, e.g. `limits.maxUsers`; none if there is no such.
pub(crate) fn path_of_field(attributes: &[Attribute], field: &str) -> Option<Path> {
    let (first, rest) = field.split_once('.').unwrap_or((field, ""));
    let attribute = attributes.iter().find(|a| a.api == first && a.is_configurable())?;
    let path = Path::to(attribute.name);
    Some(match &attribute.kind {
        _ if rest.is_empty() => path,
        Type::Map(_) => path.item(rest),
        // Terraform shows the line of an attribute and of an item, and none of a nested attribute.
        _ => path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_the_api_is_an_attribute() {
        let limits = Type::Object(vec![Attribute::integer("max_users", "").optional()]);
        let attributes = [
            Attribute::new("limits", limits, "").optional(),
            Attribute::new("features", Type::map_of(Type::Bool), "").optional(),
            Attribute::json("settings", "").optional(),
        ];
        let path = |field| path_of_field(&attributes, field);
        assert_eq!(path("limits.maxUsers"), Some(Path::to("limits")));
        assert_eq!(path("features.a.b"), Some(Path::to("features").item("a.b")));
        assert_eq!(path("settings.a"), Some(Path::to("settings")));
        assert_eq!(path("Idempotency-Key"), None);
    }
}
