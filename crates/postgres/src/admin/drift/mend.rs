//! The SQL that brings a schema back to its version.
//!
//! Nothing in it loses rows or values: what would is commented out.

use std::fmt::Write as _;

use tenantry_domain::names::ObjectName;

use super::{
    catalog::{Key, Kind, Object, SCHEMA, VersionCatalog},
    compare::{Change, Fact, missing_table},
};

/// The statements, in the order in which they can be run.
#[derive(Default)]
struct Mend {
    drops: Vec<String>,
    /// With what they make, for their order.
    creates: Vec<(Kind, i64, String)>,
    alters: Vec<String>,
    last: Vec<String>,
    /// What is left undone, each with its reason.
    undone: Vec<(String, String)>,
}

pub(super) fn sql(version: &VersionCatalog, changes: &[Change<'_>], schema: &ObjectName) -> String {
    let mut mend = Mend::default();
    for change in changes {
        match change {
            Change::Missing { key, object } => mend.make(version, changes, key, object),
            Change::Extra { key } => mend.remove(key),
            Change::Different { key, expected, found, facts } => mend.change(key, expected, found, facts),
        }
    }
    mend.text().replace(SCHEMA, schema.as_str())
}

impl Mend {
    fn text(mut self) -> String {
        self.creates.sort_by_key(|(kind, place, _)| (*kind, *place));
        let creates = self.creates.into_iter().map(|(_, _, sql)| sql);
        let mut text = String::new();
        for statement in self.drops.into_iter().chain(creates).chain(self.alters).chain(self.last) {
            let _ = writeln!(text, "{};", statement.trim_end().trim_end_matches(';'));
        }
        for (reason, statement) in self.undone {
            let lines = reason.lines().map(|line| format!("-- {line}"));
            // An identifier may have more than one line.
            let more = statement.lines().map(|line| format!("--     {line}"));
            for line in lines.chain(more) {
                let _ = writeln!(text, "{line}");
            }
        }
        text
    }

    fn undone(&mut self, reason: impl Into<String>, statement: impl Into<String>) {
        self.undone.push((reason.into(), statement.into()));
    }

    fn make(&mut self, version: &VersionCatalog, changes: &[Change<'_>], key: &Key, object: &Object) {
        let table_made = missing_table(changes, key, object);
        if table_made.is_some_and(|table| !is_plain(table)) {
            return;
        }
        let create = |sql: String| (key.kind, object.place, sql);
        match (key.kind, &key.parent, &object.made) {
            (Kind::Column, ..) if table_made.is_some() => {}
            (Kind::Column, Some(table), _) => {
                let column = column(key, object, false);
                self.creates.push(create(format!("ALTER TABLE {table} ADD COLUMN {column}")));
                let fills_itself =
                    ["default", "identity", "generation"].iter().any(|fact| object.facts.contains_key(*fact));
                if is_required(object) && fills_itself {
                    self.alters.push(format!("ALTER TABLE {table} ALTER COLUMN {} SET NOT NULL", key.name));
                } else if is_required(object) {
                    self.undone(
                        format!("The new {key} has no default: give it a value in every row, then run"),
                        format!("ALTER TABLE {table} ALTER COLUMN {} SET NOT NULL;", key.name),
                    );
                }
            }
            (Kind::Table, ..) => match table(version, key, object) {
                Some(statements) => self.creates.extend(statements.into_iter().map(create)),
                None => self.cannot_make(key),
            },
            (Kind::View | Kind::MaterializedView, _, Some(made)) => {
                self.creates.push(create(format!("CREATE {made}")));
            }
            (kind, _, Some(made)) => {
                self.creates.push(create(made.clone()));
                if let Some(owner) = object.facts.get("owned by") {
                    self.last.push(format!("ALTER SEQUENCE {} OWNED BY {owner}", key.name));
                }
                if kind == Kind::Trigger {
                    self.trigger_state(key, object);
                }
                if kind == Kind::Sequence && table_made.is_none() {
                    self.undone(
                        format!("The new {key} begins anew: set it above the values that there are, with setval()."),
                        "",
                    );
                }
            }
            _ => self.cannot_make(key),
        }
    }

    fn cannot_make(&mut self, key: &Key) {
        self.undone(format!("The {key} is missing, and cannot be made from its catalog."), "");
    }

    fn trigger_state(&mut self, key: &Key, object: &Object) {
        let (Some(table), Some(state)) = (&key.parent, object.facts.get("state")) else { return };
        if state != "ENABLE" {
            self.last.push(format!("ALTER TABLE {table} {state} TRIGGER {}", key.name));
        }
    }

    fn remove(&mut self, key: &Key) {
        let drop = drop(key);
        match key.kind {
            Kind::Table | Kind::Column | Kind::Sequence | Kind::MaterializedView | Kind::Type => {
                self.undone(
                    format!("The {key} is not in the version. With it goes what it holds:"),
                    drop + ";",
                );
            }
            _ => self.drops.push(drop),
        }
    }

    fn change(&mut self, key: &Key, expected: &Object, found: &Object, facts: &[Fact<'_>]) {
        let differs = |name: &str| facts.iter().any(|fact| fact.name == name);
        for fact in facts {
            self.fact_of_all(key, fact);
        }
        let made = || (key.kind, expected.place, expected.made.clone().unwrap_or_default());
        match key.kind {
            Kind::Column => {
                for fact in facts {
                    self.column_fact(key, fact);
                }
            }
            Kind::Table => {
                for fact in facts {
                    self.table_fact(key, fact);
                }
            }
            Kind::View if differs("definition") || differs("options") || differs("columns") => {
                let (kind, place, made) = made();
                if differs("columns") || differs("options") {
                    self.drops.push(drop(key));
                    self.creates.push((kind, place, format!("CREATE {made}")));
                    self.rights_anew(key, expected);
                } else {
                    self.creates.push((kind, place, format!("CREATE OR REPLACE {made}")));
                }
            }
            Kind::MaterializedView if differs("definition") || differs("options") || differs("columns") => {
                let (_, _, made) = made();
                self.undone(
                    format!("The {key} is another one. Its indexes go with it:"),
                    format!("{};\nCREATE {made}", drop(key)),
                );
            }
            Kind::Function | Kind::Procedure if differs("definition") => {
                if differs("result") {
                    self.drops.push(drop(key));
                    self.rights_anew(key, expected);
                }
                self.creates.push(made());
            }
            Kind::Trigger | Kind::Rule | Kind::Index | Kind::Constraint | Kind::Policy | Kind::Statistics
                if differs("definition") || key.kind == Kind::Index =>
            {
                self.drops.push(drop(key));
                self.creates.push(made());
                self.trigger_state(key, expected);
            }
            Kind::Trigger => {
                let (table, state) = (key.parent.as_deref().unwrap_or_default(), expected.facts.get("state"));
                let state = state.map_or("ENABLE", String::as_str);
                self.alters.push(format!("ALTER TABLE {table} {state} TRIGGER {}", key.name));
            }
            Kind::Sequence => {
                if let Some(options) = expected.facts.get("options").filter(|_| differs("options")) {
                    self.alters.push(format!("ALTER SEQUENCE {} {options}", key.name));
                }
                if differs("owned by") {
                    let owner = expected.facts.get("owned by").map_or("NONE", String::as_str);
                    self.last.push(format!("ALTER SEQUENCE {} OWNED BY {owner}", key.name));
                }
            }
            Kind::Type if differs("definition") => {
                let text = |object: &Object| object.facts.get("definition").cloned().unwrap_or_default();
                self.undone(
                    format!("The {key} is another one. It is"),
                    format!("{}\nand in the version\n{}", text(found), text(expected)),
                );
            }
            Kind::Rule => self.undone(format!("The {key} is enabled otherwise than in the version."), ""),
            _ => {}
        }
    }

    /// What any object may have.
    fn fact_of_all(&mut self, key: &Key, fact: &Fact<'_>) {
        let on = format!("{} {}", right_kind(key.kind), key.name);
        if let Some(role) = fact.name.strip_prefix("rights of ") {
            self.last.push(format!("REVOKE ALL ON {on} FROM {role}"));
            if let Some(rights) = fact.expected {
                self.last.push(format!("GRANT {rights} ON {on} TO {role}"));
            }
        } else if let ("owner", Some(owner)) = (fact.name, fact.expected) {
            self.undone(
                format!("The {key} belongs to another role. As a superuser, run"),
                format!("ALTER {} {} OWNER TO {owner};", key.kind.as_sql(), key.name),
            );
        }
    }

    /// The rights on what is dropped and made again, which default privileges need not give.
    fn rights_anew(&mut self, key: &Key, expected: &Object) {
        let on = format!("{} {}", right_kind(key.kind), key.name);
        for (name, rights) in &expected.facts {
            if let Some(role) = name.strip_prefix("rights of ") {
                self.last.push(format!("GRANT {rights} ON {on} TO {role}"));
            }
        }
    }

    fn column_fact(&mut self, key: &Key, fact: &Fact<'_>) {
        let (table, column) = (key.parent.as_deref().unwrap_or_default(), &key.name);
        let alter = |what: &str| format!("ALTER TABLE {table} ALTER COLUMN {column} {what}");
        match (fact.name, fact.expected, fact.found) {
            // An identity needs NOT NULL for as long as it is one.
            ("null", Some("allowed"), _) => self.last.push(alter("DROP NOT NULL")),
            ("null", ..) => self.alters.push(alter("SET NOT NULL")),
            ("default", Some(default), _) => self.alters.push(alter(&format!("SET DEFAULT {default}"))),
            ("default", None, _) => self.alters.push(alter("DROP DEFAULT")),
            ("identity", Some(identity), None) => {
                self.last.push(alter(&format!("ADD {identity}")));
                self.undone(
                    format!("The identity of {key} begins anew: set it above the values that there are, with setval()."),
                    "",
                );
            }
            ("identity", Some(identity), Some(_)) => {
                self.alters.push(alter(&format!("SET {}", identity.replace(" AS IDENTITY", ""))));
            }
            ("identity", None, _) => self.alters.push(alter("DROP IDENTITY")),
            ("storage", Some(storage), _) => self.alters.push(alter(&format!("SET STORAGE {storage}"))),
            ("type", Some(kind), _) => self.undone(
                format!("The {key} has another type. Values may not fit, or change; and the table is written anew:"),
                alter(&format!("TYPE {kind}")) + ";",
            ),
            (what, expected, _) => self.undone(
                format!("The {key} has another {what}. In the version it is"),
                expected.unwrap_or("none"),
            ),
        }
    }

    fn table_fact(&mut self, key: &Key, fact: &Fact<'_>) {
        let mut alter = |what: &str| self.alters.push(format!("ALTER TABLE {} {what}", key.name));
        match (fact.name, fact.expected) {
            ("persistence", Some(_)) => alter("SET UNLOGGED"),
            ("persistence", None) => alter("SET LOGGED"),
            ("row security", Some("forced")) => {
                alter("ENABLE ROW LEVEL SECURITY");
                alter("FORCE ROW LEVEL SECURITY");
            }
            ("row security", Some(_)) => {
                alter("ENABLE ROW LEVEL SECURITY");
                alter("NO FORCE ROW LEVEL SECURITY");
            }
            ("row security", None) => alter("DISABLE ROW LEVEL SECURITY"),
            // They are told of with all other objects'.
            ("owner", _) => {}
            (name, _) if name.starts_with("rights of ") => {}
            (what, expected) => self.undone(
                format!("The {key} has other {what}. In the version it is"),
                expected.unwrap_or("none"),
            ),
        }
    }
}

fn is_required(column: &Object) -> bool {
    column.facts.get("null").is_some_and(|null| null == "not allowed")
}

/// Whether a table is what its own columns say: no part of another one, and not elsewhere.
fn is_plain(table: &Object) -> bool {
    !["bounds", "parents", "server"].iter().any(|fact| table.facts.contains_key(*fact))
}

/// The definition of a column.
fn column(key: &Key, object: &Object, with_null: bool) -> String {
    let fact = |name: &str| object.facts.get(name);
    let mut text = format!("{} {}", key.name, fact("type").map_or("", String::as_str));
    let parts = [
        fact("collation").map(|name| format!("COLLATE {name}")),
        fact("default").map(|default| format!("DEFAULT {default}")),
        fact("generation").cloned(),
        fact("identity").cloned(),
        (with_null && is_required(object)).then(|| "NOT NULL".to_owned()),
    ];
    for part in parts.into_iter().flatten() {
        let _ = write!(text, " {part}");
    }
    text
}

/// The statements that make a table; none: it is more than its columns.
fn table(version: &VersionCatalog, key: &Key, object: &Object) -> Option<Vec<String>> {
    if !is_plain(object) {
        return None;
    }
    let mut columns: Vec<_> = version
        .objects
        .iter()
        .filter(|(column, _)| column.kind == Kind::Column && column.parent.as_ref() == Some(&key.name))
        .collect();
    columns.sort_by_key(|(_, column)| column.place);
    let columns: Vec<_> =
        columns.into_iter().map(|(key, object)| format!("    {}", column(key, object, true))).collect();
    let fact = |name: &str| object.facts.get(name);
    let unlogged = if fact("persistence").is_some() { "UNLOGGED " } else { "" };
    let mut create = format!("CREATE {unlogged}TABLE {} (\n{}\n)", key.name, columns.join(",\n"));
    if let Some(partitions) = fact("partitioned by") {
        let _ = write!(create, " PARTITION BY {partitions}");
    }
    if let Some(options) = fact("options") {
        let _ = write!(create, " WITH ({options})");
    }
    let mut statements = vec![create];
    if let Some(security) = fact("row security") {
        statements.push(format!("ALTER TABLE {} ENABLE ROW LEVEL SECURITY", key.name));
        if security == "forced" {
            statements.push(format!("ALTER TABLE {} FORCE ROW LEVEL SECURITY", key.name));
        }
    }
    Some(statements)
}

fn drop(key: &Key) -> String {
    let (kind, name) = (key.kind.as_sql(), &key.name);
    match (&key.parent, key.kind) {
        (Some(table), Kind::Column | Kind::Constraint) => format!("ALTER TABLE {table} DROP {kind} {name}"),
        (Some(table), Kind::Trigger | Kind::Rule | Kind::Policy) => format!("DROP {kind} {name} ON {table}"),
        _ => format!("DROP {kind} {name}"),
    }
}

/// As GRANT calls it.
const fn right_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::View | Kind::MaterializedView | Kind::Table => "TABLE",
        Kind::Aggregate => "FUNCTION",
        other => other.as_sql(),
    }
}
