//! Changes of a tenant's rows as statements that make the same changes elsewhere.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use tenantry_domain::names::ObjectName;

use super::{
    contents::quoted,
    pgoutput::{Column, Message, Relation, Row, Unreadable, Value},
    snapshot::Snapshot,
};
use crate::sql;

/// Statements to run in one message, and how many rows they must change: one that finds no row was applied to other rows than
/// those that it was made of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) statements: String,
    pub(super) rows: u64,
}

/// Writes the statements. They set no column that is generated, and none that is the key and stays.
pub(super) struct Applier {
    schema: String,
    /// The tables, by name, with the snapshot that each was copied by: it holds what that sees.
    copied: HashMap<String, Snapshot>,
    /// The columns of each table that are `GENERATED ALWAYS AS IDENTITY`, which no update may set.
    identities: BTreeMap<String, Vec<String>>,
    relations: HashMap<u32, Relation>,
}

impl Applier {
    pub(super) fn new(
        schema: &ObjectName,
        copied: HashMap<String, Snapshot>,
        identities: BTreeMap<String, Vec<String>>,
    ) -> Self {
        Self { schema: schema.quoted(), copied, identities, relations: HashMap::new() }
    }

    /// Adds what a message of a transaction says to a batch.
    pub(super) fn add(&mut self, xid: u32, message: Message, batch: &mut Batch) -> Result<(), Unreadable> {
        match message {
            Message::Relation(relation) => {
                self.relations.insert(relation.id, relation);
            }
            Message::Insert { relation, new } => {
                if let Some((relation, name)) = self.wanted(relation, xid)? {
                    insert(batch, &name, relation, &new);
                }
            }
            Message::Update { relation, old, new } => {
                if let Some((relation, name)) = self.wanted(relation, xid)? {
                    let identities = self.identities.get(&relation.name).map_or(&[][..], Vec::as_slice);
                    update(batch, &name, relation, identities, old.as_ref(), &new);
                }
            }
            Message::Delete { relation, old } => {
                if let Some((relation, name)) = self.wanted(relation, xid)? {
                    let found = found(&name, relation, &old);
                    let _ = write!(batch.statements, "DELETE FROM ONLY {name} WHERE {found};");
                    batch.rows += 1;
                }
            }
            // Tables that refer to it may have been copied later: `TRUNCATE` would refuse, or take them along. In a block
            // the rows are not counted with those of other changes.
            Message::Truncate { relations } => {
                for relation in relations {
                    if let Some((_, name)) = self.wanted(relation, xid)? {
                        let delete = sql::literal(&format!("DELETE FROM ONLY {name}"));
                        let block = sql::block("", &format!("EXECUTE {delete};"));
                        let _ = write!(batch.statements, "{block};");
                    }
                }
            }
            Message::Begin { .. } | Message::Commit { .. } | Message::Other => {}
        }
        Ok(())
    }

    /// The relation and its name in SQL, unless its copy holds what the transaction did.
    fn wanted(&self, relation: u32, xid: u32) -> Result<Option<(&Relation, String)>, Unreadable> {
        let relation = self.relations.get(&relation).ok_or(Unreadable)?;
        let copied = self.copied.get(&relation.name).ok_or(Unreadable)?;
        let name = || format!("{}.{}", self.schema, quoted(&relation.name));
        Ok((!copied.sees(xid)).then(|| (relation, name())))
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Text(text) => sql::literal(text),
        Value::Null | Value::Unchanged => "NULL".into(),
    }
}

fn pairs<'a>(relation: &'a Relation, row: &'a Row) -> impl Iterator<Item = (&'a Column, &'a Value)> {
    relation.columns.iter().zip(row)
}

fn listed(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}

fn columns(relation: &Relation) -> String {
    listed(relation.columns.iter().map(|column| quoted(&column.name)), ", ")
}

fn insert(batch: &mut Batch, name: &str, relation: &Relation, new: &Row) {
    let statement = if relation.columns.is_empty() {
        format!("INSERT INTO {name} DEFAULT VALUES;")
    } else {
        let (columns, values) = (columns(relation), listed(new.iter().map(literal), ", "));
        format!("INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE VALUES ({values});")
    };
    batch.statements.push_str(&statement);
    batch.rows += 1;
}

fn update(
    batch: &mut Batch,
    name: &str,
    relation: &Relation,
    identities: &[String],
    old: Option<&Row>,
    new: &Row,
) {
    let found = found(name, relation, old.unwrap_or(new));
    let key_stays = old.is_none();
    let sets_identity = relation
        .columns
        .iter()
        .any(|column| identities.contains(&column.name) && !(column.is_key && key_stays));
    batch.rows += 1;
    let statement = if sets_identity {
        // PostgreSQL lets no update set it; what is out of line and did not change stays as it is.
        let values = listed(
            pairs(relation, new).map(|(column, value)| match value {
                Value::Unchanged => format!("gone.{}", quoted(&column.name)),
                value => literal(value),
            }),
            ", ",
        );
        format!(
            "WITH gone AS (DELETE FROM ONLY {name} WHERE {found} RETURNING *)
                INSERT INTO {name} ({}) OVERRIDING SYSTEM VALUE SELECT {values} FROM gone;",
            columns(relation)
        )
    } else {
        let set = listed(
            pairs(relation, new)
                .filter(|(column, value)| **value != Value::Unchanged && !(column.is_key && key_stays))
                .map(|(column, value)| format!("{} = {}", quoted(&column.name), literal(value))),
            ", ",
        );
        if set.is_empty() {
            batch.rows -= 1;
            return;
        }
        format!("UPDATE ONLY {name} SET {set} WHERE {found};")
    };
    batch.statements.push_str(&statement);
}

/// The condition that finds the row that a row of the replica identity stands for. One of whole rows is compared as text, value
/// by value: not every type has an equality, and that of some lets different values be equal.
fn found(name: &str, relation: &Relation, row: &Row) -> String {
    if !relation.is_full {
        let keys = pairs(relation, row).filter(|(column, _)| column.is_key);
        return listed(
            keys.map(|(column, value)| format!("{} = {}", quoted(&column.name), literal(value))),
            " AND ",
        );
    }
    let same = pairs(relation, row).map(|(column, value)| {
        let column = quoted(&column.name);
        match value {
            Value::Text(text) => {
                format!("pg_catalog.concat({column}) = {} COLLATE \"C\"", sql::literal(text))
            }
            Value::Null | Value::Unchanged => format!("({column}) IS NOT DISTINCT FROM NULL"),
        }
    });
    format!(
        "ctid = (SELECT ctid FROM ONLY {name} WHERE {} LIMIT 1)",
        listed(same.chain(["true".into()]), " AND ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn applied(is_full: bool, messages: Vec<Message>) -> Batch {
        let column = |name: &str, is_key| Column { name: name.into(), is_key: is_key || is_full };
        let relation = Relation {
            id: 1,
            name: "t".into(),
            is_full,
            columns: vec![column("id", true), column("a\"b", false)],
        };
        let copied = HashMap::from([("t".into(), Snapshot::parse("10:10:").unwrap())]);
        let mut applier = Applier::new(&ObjectName::parse("s").unwrap(), copied, BTreeMap::new());
        let mut batch = Batch::default();
        applier.add(10, Message::Relation(relation), &mut batch).unwrap();
        for message in messages {
            applier.add(10, message, &mut batch).unwrap();
        }
        batch
    }

    #[test]
    fn a_row_is_known_by_its_key() {
        let batch = applied(
            false,
            vec![
                Message::Insert { relation: 1, new: vec![text("1"), text("it's")] },
                Message::Update { relation: 1, old: None, new: vec![text("1"), Value::Null] },
                Message::Update { relation: 1, old: None, new: vec![text("1"), Value::Unchanged] },
                Message::Update {
                    relation: 1,
                    old: Some(vec![text("1"), Value::Null]),
                    new: vec![text("2"), text("x")],
                },
                Message::Delete { relation: 1, old: vec![text("2"), Value::Null] },
            ],
        );
        let name = "\"s\".\"t\"";
        assert_eq!(
            batch.statements,
            [
                format!(
                    "INSERT INTO {name} (\"id\", \"a\"\"b\") OVERRIDING SYSTEM VALUE VALUES (E'1', E'it''s');"
                ),
                format!("UPDATE ONLY {name} SET \"a\"\"b\" = NULL WHERE \"id\" = E'1';"),
                format!("UPDATE ONLY {name} SET \"id\" = E'2', \"a\"\"b\" = E'x' WHERE \"id\" = E'1';"),
                format!("DELETE FROM ONLY {name} WHERE \"id\" = E'2';"),
            ]
            .concat()
        );
        assert_eq!(batch.rows, 4);
    }

    #[test]
    fn what_the_copy_holds_is_not_done_again() {
        let mut applier = Applier::new(
            &ObjectName::parse("s").unwrap(),
            HashMap::from([("t".into(), Snapshot::parse("10:20:15").unwrap())]),
            BTreeMap::new(),
        );
        let relation = Relation { id: 1, name: "t".into(), is_full: false, columns: Vec::new() };
        let mut batch = Batch::default();
        applier.add(9, Message::Relation(relation), &mut batch).unwrap();
        for (xid, rows) in [(9, 0), (15, 1), (16, 1), (20, 2)] {
            applier.add(xid, Message::Insert { relation: 1, new: Vec::new() }, &mut batch).unwrap();
            assert_eq!(batch.rows, rows, "{xid}");
        }
    }

    #[test]
    fn a_row_without_a_key_is_known_by_all_of_it() {
        let batch = applied(true, vec![Message::Delete { relation: 1, old: vec![text("1"), Value::Null] }]);
        assert_eq!(
            batch.statements,
            "DELETE FROM ONLY \"s\".\"t\" WHERE ctid = (SELECT ctid FROM ONLY \"s\".\"t\" WHERE \
             pg_catalog.concat(\"id\") = E'1' COLLATE \"C\" AND (\"a\"\"b\") IS NOT DISTINCT FROM NULL AND true LIMIT 1);"
        );
    }
}
