//! What a write answers: the rows it returned, how many, and the error that undoes a singular write of other than one.

use super::{
    Context,
    output::{Page, Shape},
    read::{Bound, Made},
    scope::{Scope, Source},
    writer::{Alias, KEPT_ROW, Writer},
};
use crate::{
    catalog::Table,
    error::QueryError,
    request::{media::Format, select::Level},
};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer<'f> {
    pub(crate) body: Body,
    pub(crate) single: bool,
    pub(crate) format: &'f Format,
    /// With another number of rows nothing is written.
    pub(crate) bound: Bound,
    /// Tell inserted rows from updated ones, in `total_count`.
    pub(crate) count_inserted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    Rows,
    /// The key of the one row, as a JSON array of texts.
    Key,
}

/// ` RETURNING ...` of the write on `alias`.
pub(super) fn returning(w: &mut Writer, table: &Table, alias: Alias, answer: Answer<'_>) {
    w.raw(" RETURNING ");
    if answer.body == Body::None || table.columns().is_empty() {
        w.raw("1");
    } else {
        for (at, column) in table.columns().iter().enumerate() {
            w.raw(if at > 0 { ", " } else { "" }).column(alias, &column.name);
        }
        let is_computed = table.relationships.iter().any(|relationship| relationship.computed);
        let whole = matches!(answer.format, Format::Own(_));
        if whole || is_computed || !table.computed_columns().is_empty() {
            w.raw(", ").whole_row(alias, table).raw(" AS ").raw(KEPT_ROW);
        }
    }
    if answer.count_inserted {
        // A row that replaced none carries no xmax.
        w.raw(", (").table_alias(alias).raw(".xmax = '0') AS \"tenantry inserted\"");
    }
}

/// The statement's SELECT, over the CTE `written`.
pub(super) fn answer(
    w: &mut Writer,
    context: Context<'_>,
    table: &Table,
    level: &Level<'_>,
    answer: Answer<'_>,
) -> Result<Made, QueryError> {
    let scope = Scope::root(w, context, table, level, &Source::Written)?;
    let page = Page::new(context, &scope, answer.format)?;
    w.raw("SELECT ");
    // Inner embeddings filter what is returned, and aggregates sum it up: neither changes what was written.
    let written = if answer.body == Body::Rows
        && (page.grouped || scope.embeds.iter().any(|embedded| embedded.embed.inner))
    {
        "(SELECT pg_catalog.count(*) FROM written)"
    } else {
        "pg_catalog.count(*)"
    };
    answer.bound.checked(w, written);
    w.raw(" AS page_count, ");
    if answer.count_inserted {
        w.raw("(SELECT pg_catalog.count(*) FROM written WHERE \"tenantry inserted\")");
    } else {
        w.raw("CAST(NULL AS bigint)");
    }
    w.raw(" AS total_count, ");
    let shape = if answer.single { Shape::Single } else { Shape::Array };
    match answer.body {
        Body::None => {
            w.raw("CAST(NULL AS text)");
        }
        Body::Rows => page.text_within(w, context, shape, answer.format),
        Body::Key => {
            w.raw("CAST(pg_catalog.json_agg(pg_catalog.json_build_array(");
            for (at, column) in table.primary_key().enumerate() {
                w.raw(if at > 0 { ", CAST(" } else { "CAST(" })
                    .column(scope.alias, &column.name)
                    .raw(" AS text)");
            }
            w.raw(")) -> 0 AS text)");
        }
    }
    w.raw(" AS body FROM ");
    if answer.body != Body::Rows {
        w.raw("written AS ").table_alias(scope.alias);
        return Ok(Made { bytes: false });
    }
    w.raw("(");
    page.rows(w, context, shape, |w| {
        page.select(w, context)?;
        w.replay(&scope.from_where);
        page.group_and_order(w, context)?;
        page.end(w);
        Ok(())
    })?;
    Ok(Made { bytes: page.makes_bytes(context, answer.format) })
}

/// The answer of a write with nothing to write.
pub(crate) fn nothing(w: &mut Writer, answer: Answer<'_>) -> Made {
    w.raw("SELECT CAST(0 AS bigint) AS page_count, CAST(");
    w.raw(if answer.count_inserted { "0" } else { "NULL" }).raw(" AS bigint) AS total_count, CAST(");
    w.raw(match answer.body {
        Body::Rows if answer.format.is_json() => "'[]'",
        Body::Rows => "''",
        _ => "NULL",
    });
    w.raw(" AS text) AS body");
    Made { bytes: false }
}
