//! A message of PostgreSQL's replication stream: no panic, and nothing larger than what came.

#![no_main]

use libfuzzer_sys::fuzz_target;

// Private to its crate, which is too much to compile for this alone.
#[allow(dead_code)]
#[path = "../../crates/postgres/src/admin/moves/pgoutput.rs"]
mod pgoutput;

use pgoutput::{Message, Row, Value};

fn bytes(row: &Row) -> usize {
    row.iter().map(|value| if let Value::Text(text) = value { text.len() + 1 } else { 1 }).sum()
}

fuzz_target!(|message: &[u8]| {
    let Ok(read) = pgoutput::read(message) else { return };
    let held = match &read {
        Message::Insert { new, .. } => bytes(new),
        Message::Update { old, new, .. } => old.as_ref().map_or(0, bytes) + bytes(new),
        Message::Delete { old, .. } => bytes(old),
        Message::Truncate { relations } => relations.len() * 4,
        Message::Relation(relation) => {
            relation.name.len() + relation.columns.iter().map(|column| column.name.len() + 1).sum::<usize>()
        }
        Message::Begin { .. } | Message::Commit { .. } | Message::Other => 0,
    };
    assert!(held <= message.len(), "{read:?}");
});
