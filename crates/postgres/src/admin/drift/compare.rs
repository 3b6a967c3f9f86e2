//! How a tenant's schema differs from its version.

use std::collections::{BTreeMap, BTreeSet};

use tenantry_domain::{drift::Difference, names::ObjectName};

use super::{
    catalog::{Key, Kind, Object, SCHEMA, VersionCatalog, without},
    mend,
};

/// A schema that is not as its version says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// All of it.
    pub differences: Vec<Difference>,
    /// The SQL that mends it, to be run as the owner role with the schema first on the search path. What it leaves undone it
    /// says in comments.
    pub mend: String,
}

/// What is wrong with an object.
pub(super) enum Change<'a> {
    /// It is not there.
    Missing { key: &'a Key, object: &'a Object },
    /// The version has none.
    Extra { key: &'a Key },
    /// It is like `found`.
    Different { key: &'a Key, expected: &'a Object, found: &'a Object, facts: Vec<Fact<'a>> },
}

/// A piece that differs.
pub(super) struct Fact<'a> {
    pub(super) name: &'a str,
    pub(super) expected: Option<&'a str>,
    pub(super) found: Option<&'a str>,
}

impl VersionCatalog {
    /// How the schema of a tenant differs from this, which is that of its version; none: it does not.
    pub fn drift(&self, tenant: &Self, schema: &ObjectName) -> Option<Drift> {
        // The version may have the tenant's schema's name in its texts, where it means something else: a column `tenant_id`, and
        // the tenant `id`.
        let expected: BTreeMap<Key, (&Key, &Object)> =
            self.objects.iter().map(|(key, object)| (key.without(schema), (key, object))).collect();
        let mut changes = Vec::new();
        for (alike, (key, object)) in &expected {
            let Some(found) = tenant.objects.get(alike) else {
                changes.push(Change::Missing { key, object });
                continue;
            };
            let facts = facts(object, found, schema);
            if !facts.is_empty() {
                changes.push(Change::Different { key, expected: object, found, facts });
            }
        }
        changes.extend(
            tenant.objects.keys().filter(|key| !expected.contains_key(key)).map(|key| Change::Extra { key }),
        );
        // What belongs to a table that is too many goes with it.
        let owned_by = |key: &Key| tenant.objects[key].facts.get("owned by").cloned();
        let extra: Vec<String> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Extra { key } if is_relation(key) => Some(key.name.clone()),
                _ => None,
            })
            .collect();
        changes.retain(|change| match change {
            Change::Extra { key } => {
                let of = owned_by(key);
                !extra.iter().any(|table| {
                    key.parent.as_ref() == Some(table)
                        || of.as_ref().is_some_and(|of| of.starts_with(&format!("{table}.")))
                })
            }
            _ => true,
        });
        if changes.is_empty() {
            return None;
        }
        Some(Drift { differences: differences(&changes, schema), mend: mend::sql(self, &changes, schema) })
    }
}

/// Whether it is something that other objects belong to.
fn is_relation(key: &Key) -> bool {
    matches!(key.kind, Kind::Table | Kind::View | Kind::MaterializedView)
}

fn facts<'a>(expected: &'a Object, found: &'a Object, schema: &ObjectName) -> Vec<Fact<'a>> {
    let mut facts = Vec::new();
    let mut known = BTreeSet::new();
    for (name, fact) in &expected.facts {
        let alike = without(name, schema);
        let there = found.facts.get(&alike);
        if there.is_none_or(|there| *there != without(fact, schema)) {
            facts.push(Fact { name, expected: Some(fact), found: there.map(String::as_str) });
        }
        known.insert(alike);
    }
    for (name, fact) in found.facts.iter().filter(|(name, _)| !known.contains(*name)) {
        facts.push(Fact { name, expected: None, found: Some(fact) });
    }
    // They come with the type.
    if facts.iter().any(|fact| fact.name == "type") {
        facts.retain(|fact| !matches!(fact.name, "storage" | "collation"));
    }
    facts
}

/// The missing table or view that a missing object belongs to.
pub(super) fn missing_table<'a>(changes: &'a [Change<'_>], key: &Key, object: &Object) -> Option<&'a Object> {
    let of = key.parent.as_deref().or_else(|| Some(object.facts.get("owned by")?.rsplit_once('.')?.0))?;
    changes.iter().find_map(|change| match change {
        Change::Missing { key, object } if is_relation(key) && key.name == of => Some(*object),
        _ => None,
    })
}

fn differences(changes: &[Change<'_>], schema: &ObjectName) -> Vec<Difference> {
    let mut differences = Vec::new();
    for change in changes {
        let (key, texts) = match change {
            // Its table says it.
            Change::Missing { key, object } if missing_table(changes, key, object).is_some() => continue,
            Change::Missing { key, .. } => (key, vec!["is missing".to_owned()]),
            Change::Extra { key } => (key, vec!["is not in the version".to_owned()]),
            Change::Different { key, facts, .. } => {
                // That of a view says them too.
                let told = facts.iter().filter(|fact| fact.name != "columns" && fact.name != "result");
                let texts: Vec<_> = told.map(in_words).collect();
                (key, if texts.is_empty() { facts.iter().map(in_words).collect() } else { texts })
            }
        };
        differences.extend(texts.into_iter().map(|text| Difference {
            object: readable(&key.to_string(), schema),
            difference: readable(&text, schema),
        }));
    }
    differences
}

fn in_words(fact: &Fact<'_>) -> String {
    let Fact { name, expected, found } = fact;
    match (found, expected) {
        (Some(found), Some(expected)) => {
            let at = found.lines().zip(expected.lines()).position(|(a, b)| a != b);
            let lines = found.lines().count().max(expected.lines().count());
            match at {
                Some(at) if lines > 1 => {
                    let line = |text: &str| text.lines().nth(at).unwrap_or_default().trim().to_owned();
                    format!(
                        "its {name} differs in line {}: `{}`; in the version `{}`",
                        at + 1,
                        line(found),
                        line(expected)
                    )
                }
                None if lines > 1 => format!("its {name} has another length than in the version"),
                _ => format!("its {name} is {found}; in the version it is {expected}"),
            }
        }
        (Some(found), None) => format!("its {name} is {found}; in the version it has none"),
        (None, Some(expected)) => format!("has no {name}; in the version it is {expected}"),
        (None, None) => String::new(),
    }
}

/// A text for people: what is in the schema is named without it.
fn readable(text: &str, schema: &ObjectName) -> String {
    text.replace(&format!("{SCHEMA}."), "").replace(SCHEMA, schema.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn catalog(schema: &str, objects: &Value) -> VersionCatalog {
        let text = json!({ "schema": schema, "objects": objects }).to_string();
        VersionCatalog::read(&text.replace("SCHEMA", schema)).unwrap()
    }

    fn column(name: &str, default: Option<&str>) -> Value {
        let mut facts = json!({ "type": "bigint", "null": "allowed" });
        if let Some(default) = default {
            facts["default"] = default.into();
        }
        json!({ "kind": "column", "parent": "items", "name": name, "place": 1, "facts": facts, "made": null })
    }

    fn drift(version: &Value, tenant: &Value) -> Option<Drift> {
        // Its columns may have the name of a tenant's schema.
        let schema = ObjectName::parse("tenant_id").unwrap();
        catalog("tenantry_trial_1", version).drift(&catalog("tenant_id", tenant), &schema)
    }

    #[test]
    fn the_schema_s_name_is_no_difference_wherever_it_stands() {
        let objects = json!([column("tenant_id", Some("nextval('SCHEMA.items_seq'::regclass)"))]);
        assert_eq!(drift(&objects, &objects), None);
        let drifted = drift(&objects, &json!([column("tenant_id", None)])).unwrap();
        let said = &drifted.differences[0];
        assert_eq!(said.object, "column items.tenant_id");
        assert_eq!(said.difference, "has no default; in the version it is nextval('items_seq'::regclass)");
        assert_eq!(
            drifted.mend,
            "ALTER TABLE items ALTER COLUMN tenant_id SET DEFAULT nextval('tenant_id.items_seq'::regclass);\n"
        );
    }

    #[test]
    fn what_holds_data_is_dropped_in_comments_only_whatever_its_name() {
        let drifted = drift(&json!([]), &json!([column("\"a\nDROP TABLE items; --\"", None)])).unwrap();
        assert!(drifted.mend.lines().all(|line| line.starts_with("-- ")), "{}", drifted.mend);
    }

    #[test]
    fn a_text_of_many_lines_is_told_by_the_line_that_differs() {
        let function = |body: &str| {
            let text = format!("CREATE FUNCTION SCHEMA.f()\nAS $$\n{body}\n$$");
            let facts = json!({ "definition": text });
            json!([{ "kind": "function", "parent": null, "name": "f()", "place": 1, "facts": facts, "made": text }])
        };
        let drifted = drift(&function("SELECT 1"), &function("SELECT 2")).unwrap();
        let said = &drifted.differences[0].difference;
        assert_eq!(said, "its definition differs in line 3: `SELECT 2`; in the version `SELECT 1`");
        assert_eq!(drifted.mend, "CREATE FUNCTION tenant_id.f()\nAS $$\nSELECT 1\n$$;\n");
    }
}
