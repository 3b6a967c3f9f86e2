//! POST and PUT: rows from the body, bound as one JSON text for all rows alike.

use std::{borrow::Cow, collections::HashMap};

use super::{
    Context,
    read::Made,
    writer::Writer,
    written::{self, Answer},
};
use crate::{
    catalog::{Column, Name, Table},
    error::QueryError,
    request::{body::Body, prefer::Resolution, select::Level},
};

pub(crate) struct Insert<'a> {
    pub(crate) body: &'a Body<'a>,
    /// `columns=`: what is taken of each object.
    pub(crate) columns: Option<&'a [Cow<'a, str>]>,
    /// Keys an object leaves out take the column's default instead of null.
    pub(crate) missing_default: bool,
    pub(crate) resolution: Option<Resolution>,
    pub(crate) on_conflict: Option<&'a [Cow<'a, str>]>,
    /// PUT: the key that the URL names. A body that names another inserts nothing.
    pub(crate) key: Vec<(&'a Column, &'a str)>,
}

/// A column and the spelling of its key in the body.
type Source<'c> = (&'c Column, &'c Name);

pub(crate) fn insert(
    w: &mut Writer,
    context: Context<'_>,
    table: &Table,
    level: &Level<'_>,
    insert: &Insert<'_>,
    answer: Answer<'_>,
) -> Result<Made, QueryError> {
    let body = insert.body;
    let any_keys = body.sets.first().map_or(&[][..], |set| &set.keys);
    let listed = insert.columns.map(|columns| listed(context, table, columns, any_keys)).transpose()?;
    let mut groups: Vec<(Vec<Source<'_>>, String)> = Vec::new();
    match (&listed, insert.missing_default, body.sets.as_slice()) {
        (Some(columns), false, _) => groups.push((columns.clone(), body.text.to_owned())),
        (None, _, [set]) => groups.push((columns_of(context, table, &set.keys)?, body.text.to_owned())),
        (None, false, _) => {
            let detail = "all objects of a body must have the same keys; name them with columns=, or send Prefer: missing=default";
            return Err(QueryError::bad("keys_differ", detail).with_message("All object keys must match"));
        }
        (listed, true, sets) => {
            for set in sets {
                let columns = match listed {
                    // With a list, what is not on it is ignored, known or not.
                    Some(listed) => {
                        let spelt = spellings(context, table, &set.keys);
                        let listed = listed.iter().map(|(column, _)| *column);
                        listed.filter_map(|column| Some((column, *spelt.get(column.name())?))).collect()
                    }
                    None => columns_of(context, table, &set.keys)?,
                };
                groups.push((columns, if body.is_array { set.array() } else { body.text.to_owned() }));
            }
        }
    }
    let conflict = insert.on_conflict.map(|names| {
        let unknown = names.iter().find(|name| table.column_index(context.case, name).is_none());
        match unknown {
            Some(name) => Err(QueryError::unknown_column(table.name(), name)),
            None => columns_of(context, table, names),
        }
    });
    let conflict = conflict.transpose()?;
    // With a default for what an object leaves out, a duplicate gets the default too.
    let mut replaced: Vec<&Column> = Vec::new();
    for (column, _) in groups.iter().flat_map(|(columns, _)| columns).chain(listed.iter().flatten()) {
        if !replaced.iter().any(|known| known.name == column.name) {
            replaced.push(column);
        }
    }

    for (at, (columns, rows)) in groups.iter().enumerate() {
        w.raw(if at == 0 { "WITH written" } else { ", written" });
        // The groups are joined under the name of the first below.
        if groups.len() > 1 {
            w.raw(GROUPS[at]);
        }
        w.raw(" AS (");
        let own: Vec<&Column>;
        let replaced = if insert.missing_default {
            &replaced
        } else {
            own = columns.iter().map(|(column, _)| *column).collect();
            &own
        };
        one(
            w,
            table,
            insert,
            columns,
            rows.clone(),
            &Conflict { on: conflict.as_deref(), replaced },
            answer,
        )?;
        w.raw(")");
    }
    if groups.len() > 1 {
        w.raw(", written AS (");
        for (at, _) in groups.iter().enumerate() {
            w.raw(if at > 0 { " UNION ALL SELECT * FROM written" } else { "SELECT * FROM written" })
                .raw(GROUPS[at]);
        }
        w.raw(")");
    }
    w.raw(" ");
    written::answer(w, context, table, level, answer)
}

/// As many as a body may have sets of keys.
const GROUPS: [&str; 16] =
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"];

/// What becomes of a row that is there already.
struct Conflict<'a> {
    /// The columns that say so; none: the primary key.
    on: Option<&'a [Source<'a>]>,
    /// The columns that get new values, those that say so excepted.
    replaced: &'a [&'a Column],
}

fn one(
    w: &mut Writer,
    table: &Table,
    insert: &Insert<'_>,
    columns: &[Source<'_>],
    rows: String,
    conflict: &Conflict<'_>,
    answer: Answer<'_>,
) -> Result<(), QueryError> {
    let alias = w.alias();
    w.raw("INSERT INTO ").table(table).raw(" AS ").table_alias(alias);
    // The URL's key columns that the body leaves out.
    let from_url: Vec<&(&Column, &str)> = insert
        .key
        .iter()
        .filter(|(key, _)| !columns.iter().any(|(column, _)| column.name == key.name))
        .collect();
    if columns.is_empty() && from_url.is_empty() {
        if insert.body.is_array {
            w.raw(" SELECT FROM pg_catalog.json_array_elements(").bind_cast(rows, "json").raw(")");
        } else {
            w.raw(" DEFAULT VALUES");
        }
    } else {
        let names =
            columns.iter().map(|(column, _)| *column).chain(from_url.iter().map(|(column, _)| *column));
        for (at, column) in names.enumerate() {
            w.raw(if at == 0 { " (" } else { ", " }).name(&column.name);
        }
        w.raw(") SELECT ");
        for (at, source) in columns.iter().enumerate() {
            w.raw(if at == 0 { "" } else { ", " });
            value(w, *source);
        }
        for (at, (column, value)) in from_url.iter().enumerate() {
            w.raw(if at == 0 && columns.is_empty() { "" } else { ", " }).bind_as(*value, &column.ty);
        }
        if !columns.is_empty() {
            record(w, columns, rows, insert.body.is_array);
        }
        let mut word = " WHERE ";
        for (key, value) in &insert.key {
            if let Some((_, name)) = columns.iter().find(|(column, _)| column.name == key.name) {
                w.raw(word).raw("r.").name(name).raw(" = ").bind_as(*value, &key.base);
                word = " AND ";
            }
        }
    }
    if let Some(resolution) = insert.resolution {
        on_conflict(w, table, resolution, conflict)?;
    }
    written::returning(w, table, alias, answer);
    Ok(())
}

/// A value of the body, read as the column's domain wants it.
pub(super) fn value(w: &mut Writer, (column, key): Source<'_>) {
    match column.ty.casts.as_ref().and_then(|casts| casts.from_json.as_ref()) {
        Some(function) => w.function(function).raw("(r.").name(key).raw(")"),
        None => w.raw("r.").name(key),
    };
}

/// ` FROM json_to_recordset(body) AS r(columns)`.
pub(super) fn record(w: &mut Writer, columns: &[Source<'_>], rows: String, is_array: bool) {
    w.raw(if is_array { " FROM pg_catalog.json_to_recordset(" } else { " FROM pg_catalog.json_to_record(" });
    w.bind_cast(rows, "json").raw(") AS r(");
    for (at, (column, key)) in columns.iter().enumerate() {
        w.raw(if at == 0 { "" } else { ", " }).name(key).raw(" ");
        if column.ty.casts.as_ref().is_some_and(|casts| casts.from_json.is_some()) {
            w.raw("json");
        } else {
            w.type_name(&column.ty);
        }
    }
    w.raw(")");
}

fn on_conflict(
    w: &mut Writer,
    table: &Table,
    resolution: Resolution,
    conflict: &Conflict<'_>,
) -> Result<(), QueryError> {
    let target: Vec<&Column> = match conflict.on {
        Some(conflict) => conflict.iter().map(|(column, _)| *column).collect(),
        None => table.primary_key().collect(),
    };
    w.raw(" ON CONFLICT");
    for (at, column) in target.iter().enumerate() {
        w.raw(if at == 0 { " (" } else { ", " }).name(&column.name);
    }
    if !target.is_empty() {
        w.raw(")");
    }
    if resolution == Resolution::IgnoreDuplicates {
        w.raw(" DO NOTHING");
        return Ok(());
    }
    let Some(first) = target.first() else {
        let detail = format!(
            "'{}' has no primary key to find duplicates by; name unique columns with on_conflict=",
            table.name()
        );
        return Err(QueryError::bad("no_conflict_target", detail));
    };
    w.raw(" DO UPDATE SET ");
    let is_target = |column: &Column| target.iter().any(|key| key.name == column.name);
    let mut any = false;
    for column in conflict.replaced.iter().filter(|column| !is_target(column)) {
        w.raw(if any { ", " } else { "" }).name(&column.name).raw(" = EXCLUDED.").name(&column.name);
        any = true;
    }
    if !any {
        // Nothing else to set, but the row must be touched to be returned.
        w.name(&first.name).raw(" = EXCLUDED.").name(&first.name);
    }
    Ok(())
}

/// The columns that keys or a list name, each once.
pub(super) fn columns_of<'c>(
    context: Context<'_>,
    table: &'c Table,
    names: &[Cow<'_, str>],
) -> Result<Vec<Source<'c>>, QueryError> {
    let mut seen = vec![false; table.columns().len()];
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let at = table
            .column_index(context.case, name)
            .ok_or_else(|| QueryError::unknown_body_column(table.name(), name))?;
        if std::mem::replace(&mut seen[at], true) {
            let detail =
                format!("'{}' is given twice, in two spellings; use one", table.columns()[at].name());
            return Err(QueryError::bad("bad_body", detail).field(name));
        }
        let column = &table.columns()[at];
        columns.push((column, spelling(column, name)));
    }
    Ok(columns)
}

/// The catalog's name that is spelt as the client spelt it.
fn spelling<'c>(column: &'c Column, name: &str) -> &'c Name {
    if column.name.plain() == name { &column.name } else { &column.camel }
}

/// A list's columns, spelt as the body's keys are where it has them: in camel case the two may differ.
pub(super) fn listed<'c>(
    context: Context<'_>,
    table: &'c Table,
    names: &[Cow<'_, str>],
    keys: &[Cow<'_, str>],
) -> Result<Vec<Source<'c>>, QueryError> {
    let mut columns = columns_of(context, table, names)?;
    let spelt = spellings(context, table, keys);
    for (column, name) in &mut columns {
        *name = spelt.get(column.name()).copied().unwrap_or(name);
    }
    Ok(columns)
}

/// How the body spells the keys of the columns that it has, by the columns' names.
pub(super) fn spellings<'c>(
    context: Context<'_>,
    table: &'c Table,
    keys: &[Cow<'_, str>],
) -> HashMap<&'c str, &'c Name> {
    let mut spelt = HashMap::with_capacity(keys.len());
    for key in keys {
        if let Some(column) = table.column(context.case, key) {
            spelt.entry(column.name()).or_insert_with(|| spelling(column, key));
        }
    }
    spelt
}
