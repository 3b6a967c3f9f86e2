//! One attribute: a line in a resource's file.

use super::value::{Object, Value};

/// The type of an attribute.
#[derive(Debug, Clone)]
pub(crate) enum Type {
    String,
    /// A name that the API spells in its way: in lower case, with `-` for `_`.
    Name,
    Integer,
    Bool,
    /// JSON text (`jsonencode`); two texts of the same meaning are the same value.
    Json,
    Set(Box<Type>),
    Map(Box<Type>),
    Object(Vec<Attribute>),
}

impl Type {
    pub(crate) fn set_of_strings() -> Self {
        Self::Set(Box::new(Self::String))
    }

    /// Whether two texts of the type are the same value.
    pub(crate) fn is_same(&self, a: &str, b: &str) -> bool {
        let spelled = |text: &str| text.to_ascii_lowercase().replace('_', "-");
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        match self {
            Self::Name => spelled(a) == spelled(b),
            Self::Json => parsed(a).is_some_and(|json| parsed(b) == Some(json)),
            // Line ends around a certificate say nothing.
            _ => a.trim() == b.trim(),
        }
    }

    pub(crate) fn map_of(of: Self) -> Self {
        Self::Map(Box::new(of))
    }
}

/// Who gives an attribute its value.
#[derive(Debug, Clone)]
pub(crate) enum Mode {
    /// The configuration, always.
    Required,
    /// The configuration, or nobody.
    Optional,
    /// The configuration, or else it is this.
    Default(Value),
    /// The configuration, or else the API.
    OptionalComputed,
    /// The API.
    Computed,
}

/// Where an attribute goes and comes from, at the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// It is sent, if it can be configured, and read.
    Api,
    /// It is sent and never shown, or not as it was sent.
    Sent,
    /// The API does not know it.
    Provider,
}

/// An attribute of a resource, a data source or the provider.
#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    /// Terraform's name for it.
    pub(crate) name: &'static str,
    /// The API's.
    pub(crate) api: String,
    pub(crate) kind: Type,
    pub(crate) mode: Mode,
    pub(crate) source: Source,
    pub(crate) sensitive: bool,
    /// Another value makes another object.
    pub(crate) replaces: bool,
    /// It stays as it is when others change.
    pub(crate) stable: bool,
    /// The texts that it can have, or each of its items; any, if there are none.
    pub(crate) one_of: &'static [&'static str],
    pub(crate) doc: &'static str,
}

impl Attribute {
    /// An attribute that only the API gives a value, until it is said otherwise.
    pub(crate) fn new(name: &'static str, kind: Type, doc: &'static str) -> Self {
        Self {
            name,
            api: camel_case(name),
            kind,
            mode: Mode::Computed,
            source: Source::Api,
            sensitive: false,
            replaces: false,
            stable: false,
            one_of: &[],
            doc,
        }
    }

    pub(crate) fn string(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, Type::String, doc)
    }

    pub(crate) fn name(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, Type::Name, doc)
    }

    pub(crate) fn integer(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, Type::Integer, doc)
    }

    pub(crate) fn bool(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, Type::Bool, doc)
    }

    pub(crate) fn json(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, Type::Json, doc)
    }

    pub(crate) fn required(self) -> Self {
        Self { mode: Mode::Required, ..self }
    }

    pub(crate) fn optional(self) -> Self {
        Self { mode: Mode::Optional, ..self }
    }

    pub(crate) fn optional_computed(self) -> Self {
        Self { mode: Mode::OptionalComputed, stable: true, ..self }
    }

    pub(crate) fn default(self, value: Value) -> Self {
        Self { mode: Mode::Default(value), ..self }
    }

    pub(crate) fn default_text(self, text: &str) -> Self {
        self.default(Value::string(text))
    }

    pub(crate) fn default_number(self, number: i64) -> Self {
        self.default(Value::Number(number.into()))
    }

    /// An object whose members have their defaults where it is left out.
    pub(crate) fn default_members(self) -> Self {
        let Type::Object(members) = &self.kind else { return self };
        let members = members.iter().map(|m| (m.name.to_owned(), m.fallback().unwrap_or(Value::Null)));
        let value = Value::Map(members.collect::<Object>());
        self.default(value)
    }

    /// The API's name, where it is not the same in camel case.
    pub(crate) fn api(self, name: &str) -> Self {
        Self { api: name.to_owned(), ..self }
    }

    pub(crate) fn one_of(self, texts: &'static [&'static str]) -> Self {
        Self { one_of: texts, ..self }
    }

    pub(crate) fn sensitive(self) -> Self {
        Self { sensitive: true, ..self }
    }

    pub(crate) fn replaces(self) -> Self {
        Self { replaces: true, ..self }
    }

    pub(crate) fn stable(self) -> Self {
        Self { stable: true, ..self }
    }

    pub(crate) fn sent(self) -> Self {
        Self { source: Source::Sent, ..self }
    }

    pub(crate) fn of_provider(self) -> Self {
        Self { source: Source::Provider, ..self }
    }

    /// Its value where the configuration has none.
    pub(crate) fn fallback(&self) -> Option<Value> {
        if let Mode::Default(value) = &self.mode { Some(value.clone()) } else { None }
    }

    pub(crate) fn is_required(&self) -> bool {
        matches!(self.mode, Mode::Required)
    }

    pub(crate) fn is_configurable(&self) -> bool {
        !matches!(self.mode, Mode::Computed)
    }

    /// Whether its value may come from elsewhere than the configuration.
    pub(crate) fn is_computed(&self) -> bool {
        matches!(self.mode, Mode::Computed | Mode::OptionalComputed | Mode::Default(_))
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut all, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        all.push_str(&head.to_ascii_uppercase());
        all.push_str(tail);
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_has_the_name_in_camel_case() {
        for (name, api) in [("name", "name"), ("api_requests_per_day", "apiRequestsPerDay"), ("a_", "a")] {
            assert_eq!(camel_case(name), api);
        }
    }
}
