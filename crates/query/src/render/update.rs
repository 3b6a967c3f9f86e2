//! PATCH: the same change to all rows that the filters choose.

use std::borrow::Cow;

use super::{
    Context, insert,
    read::Made,
    scope,
    writer::Writer,
    written::{self, Answer},
};
use crate::{
    catalog::Table,
    error::QueryError,
    request::{body::Body, select::Level},
};

/// The body's one object, and which of its keys count.
pub(crate) struct Change<'a> {
    pub(crate) text: &'a str,
    pub(crate) keys: &'a [Cow<'a, str>],
    /// `columns=`: what is written.
    pub(crate) columns: Option<&'a [Cow<'a, str>]>,
    /// A listed column that the object leaves out gets its default, and not null.
    pub(crate) missing_default: bool,
}

impl Change<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.columns.unwrap_or(self.keys).is_empty()
    }
}

/// The object to write; an array of one object is one, as in `PostgREST`.
pub(crate) fn change<'a>(
    body: &'a Body<'a>,
    columns: Option<&'a [Cow<'a, str>]>,
    missing_default: bool,
) -> Result<Change<'a>, QueryError> {
    match body.sets.as_slice() {
        // As PostgREST: an empty array changes nothing.
        [] => Ok(Change { text: "{}", keys: &[], columns: None, missing_default }),
        [set] if set.rows.len() == 1 => {
            Ok(Change { text: set.rows[0], keys: &set.keys, columns, missing_default })
        }
        _ => Err(QueryError::bad("bad_body", "an update takes one JSON object: the columns to change")),
    }
}

pub(crate) fn update(
    w: &mut Writer,
    context: Context<'_>,
    table: &Table,
    level: &Level<'_>,
    change: &Change<'_>,
    id: Option<&str>,
    answer: Answer<'_>,
) -> Result<Made, QueryError> {
    let columns = match change.columns {
        Some(columns) => insert::listed(context, table, columns, change.keys)?,
        None => insert::columns_of(context, table, change.keys)?,
    };
    let alias = w.alias();
    w.raw("WITH written AS (UPDATE ").table(table).raw(" AS ").table_alias(alias);
    let there = insert::spellings(context, table, change.keys);
    for (at, (column, key)) in columns.iter().enumerate() {
        w.raw(if at == 0 { " SET " } else { ", " }).name(&column.name);
        if change.missing_default && !there.contains_key(column.name()) {
            w.raw(" = DEFAULT");
        } else {
            w.raw(" = ");
            insert::value(w, (column, key));
        }
    }
    insert::record(w, &columns, change.text.to_owned(), false);
    scope::where_of_write(w, context, table, alias, id, &level.filters)?;
    written::returning(w, table, alias, answer);
    w.raw(") ");
    written::answer(w, context, table, level, answer)
}
