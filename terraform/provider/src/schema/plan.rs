//! What a resource will be, of its configuration and of what it is.

use super::{
    attribute::{Attribute, Mode, Type},
    path::Path,
    value::{Object, Value},
};

/// A plan of one resource.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    pub(crate) state: Object,
    /// What makes another object of it.
    pub(crate) replaced_by: Vec<Path>,
}

/// Plans a creation (`prior` is none) or a change.
///
/// Terraform checks what comes out: an attribute that is configured is as configured, or as before where that means the
/// same.
pub(crate) fn plan(attributes: &[Attribute], prior: Option<&Object>, config: &Object) -> Planned {
    let mut state: Object = attributes
        .iter()
        .map(|a| {
            let was = prior.and_then(|prior| prior.get(a.name));
            (a.name.to_owned(), configured(a, was, config.get(a.name).unwrap_or(&Value::Null)))
        })
        .collect();
    let Some(prior) = prior else { return Planned { state, ..Planned::default() } };
    let replaced_by = attributes
        .iter()
        .filter(|a| a.replaces && prior.get(a.name) != state.get(a.name))
        .map(|a| Path::to(a.name))
        .collect();
    // What the API computes may be another once anything changes.
    if prior != &state {
        for a in attributes.iter().filter(|a| matches!(a.mode, Mode::Computed) && !a.stable) {
            state.insert(a.name.to_owned(), Value::Unknown);
        }
    }
    Planned { state, replaced_by }
}

/// The value of one attribute, as long as nothing else changes.
fn configured(attribute: &Attribute, was: Option<&Value>, config: &Value) -> Value {
    if !attribute.is_configurable() || config.is_null() {
        return match (&attribute.mode, was) {
            (Mode::Default(value), _) => value.clone(),
            (Mode::Optional | Mode::Required, _) => Value::Null,
            (Mode::Computed | Mode::OptionalComputed, Some(was)) => was.clone(),
            (Mode::Computed | Mode::OptionalComputed, None) => Value::Unknown,
        };
    }
    match (&attribute.kind, config, was) {
        (Type::Object(members), Value::Map(config), was) => {
            let was = if let Some(Value::Map(was)) = was { Some(was) } else { None };
            let state = members.iter().map(|m| {
                let value = config.get(m.name).unwrap_or(&Value::Null);
                (m.name.to_owned(), configured(m, was.and_then(|was| was.get(m.name)), value))
            });
            Value::Map(state.collect())
        }
        (kind, Value::String(text), Some(was @ Value::String(known))) if kind.is_same(text, known) => {
            was.clone()
        }
        _ => config.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes() -> Vec<Attribute> {
        let limits = vec![
            Attribute::integer("users", "").optional(),
            Attribute::integer("weight", "").default_number(1),
        ];
        vec![
            Attribute::string("id", "").stable(),
            Attribute::string("changed_at", ""),
            Attribute::string("name", "").required().replaces(),
            Attribute::name("slug", "").optional_computed(),
            Attribute::json("settings", "").default_text("{}"),
            Attribute::new("limits", Type::Object(limits), "").default_members(),
        ]
    }

    fn config(name: &str) -> Object {
        Object::from([("name".into(), Value::string(name))])
    }

    fn made() -> Object {
        let mut state = plan(&attributes(), None, &config("a")).state;
        for (name, text) in [("id", "1"), ("changed_at", "now"), ("slug", "a")] {
            state.insert(name.into(), Value::string(text));
        }
        state
    }

    #[test]
    fn what_is_left_out_of_a_creation_has_its_default_or_is_unknown() {
        let planned = plan(&attributes(), None, &config("a"));
        assert_eq!(planned.state["id"], Value::Unknown);
        assert_eq!(planned.state["slug"], Value::Unknown);
        let Value::Map(limits) = &planned.state["limits"] else { panic!("an object") };
        assert_eq!((&limits["users"], limits["weight"].as_i64()), (&Value::Null, Some(1)));
        assert!(planned.replaced_by.is_empty());
    }

    #[test]
    fn nothing_changes_without_a_change() {
        let planned = plan(&attributes(), Some(&made()), &config("a"));
        assert_eq!(planned.state, made());
    }

    #[test]
    fn what_the_api_computes_is_unknown_when_something_changes() {
        let mut config = config("a");
        config.insert("settings".into(), Value::string(r#"{"a":1}"#));
        let planned = plan(&attributes(), Some(&made()), &config);
        assert_eq!(planned.state["changed_at"], Value::Unknown);
        assert_eq!(planned.state["id"], made()["id"]);
        assert_eq!(planned.state["slug"], made()["slug"]);
    }

    #[test]
    fn json_of_the_same_meaning_is_no_change() {
        let mut config = config("a");
        config.insert("settings".into(), Value::string("{ }"));
        assert_eq!(plan(&attributes(), Some(&made()), &config).state, made());
    }

    #[test]
    fn another_spelling_of_a_name_is_no_change() {
        let mut config = config("a");
        config.insert("slug".into(), Value::string("A"));
        assert_eq!(plan(&attributes(), Some(&made()), &config).state, made());
    }

    #[test]
    fn another_name_makes_another_object() {
        assert_eq!(plan(&attributes(), Some(&made()), &config("b")).replaced_by, [Path::to("name")]);
    }
}
