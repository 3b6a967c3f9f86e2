//! GET and HEAD, and the rows that a function answers.

use super::{
    Context,
    output::{Page, Shape},
    scope::{Scope, Source},
    writer::Writer,
};
use crate::{
    catalog::{Table, TableKind},
    error::QueryError,
    request::{media::Format, range::Window, select::Level},
};

pub(crate) struct Read<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) window: Window,
    pub(crate) single: bool,
    pub(crate) body: bool,
    pub(crate) count: bool,
    pub(crate) format: &'a Format,
    /// Fails unless the page has so many rows at most, or so many exactly.
    pub(crate) bound: Bound,
}

/// How many rows may be affected or answered; with others the statement fails and undoes what it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Any,
    One,
    Most(u64),
}

impl Bound {
    /// `count` as it is, or an error that carries it.
    pub(super) fn checked(self, w: &mut Writer, count: &'static str) {
        match self {
            Self::Any => {
                w.raw(count);
                return;
            }
            // A cast that fails, and not a constant, which the planner would evaluate whatever the count.
            Self::One => w.raw("CASE ").raw(count).raw(" WHEN 1 THEN 1"),
            Self::Most(most) => {
                w.raw("CASE WHEN ").raw(count).raw(" <= ").bind_cast(most.to_string(), "bigint");
                w.raw(" THEN ").raw(count)
            }
        };
        w.raw(" ELSE CAST('").raw(crate::response::MUST_AFFECT_ONE_MARK).raw("' || CAST(");
        w.raw(count).raw(" AS text) AS bigint) END");
    }
}

/// What a read's answer is made of.
pub(crate) struct Made {
    /// The body is bytes, in hexadecimal digits.
    pub(crate) bytes: bool,
}

/// One row: the page as JSON, its rows, and on demand the rows without a window.
pub(crate) fn read<'c>(
    w: &mut Writer,
    context: Context<'c>,
    table: &'c Table,
    level: &Level<'_>,
    read: &Read<'_>,
) -> Result<Made, QueryError> {
    let scope = Scope::root(w, context, table, level, &read.source)?;
    // HEAD looks the names up too, to answer what GET would.
    let page = Page::new(context, &scope, read.format)?;
    let by_id = matches!(read.source, Source::Table { id: Some(_) });
    // What a view has for a key may be in many rows.
    let is_row = by_id && matches!(table.kind(), TableKind::Table | TableKind::Partitioned);
    // One row by its key needs no window, and as JSON no aggregate either.
    let limit =
        (!by_id).then(|| w.parameter(read.window.limit.unwrap_or(context.limits.max_rows).to_string()));
    let is_bare = is_row && read.body && !page.grouped && read.format.is_json();
    w.raw("SELECT ");
    if is_bare {
        w.raw("CAST(1 AS bigint)");
    } else {
        read.bound.checked(w, "pg_catalog.count(*)");
    }
    w.raw(" AS page_count, ");
    if read.count {
        // A first page that is not full has counted everything already.
        let shortcut = limit.filter(|_| read.window.offset == 0);
        if let Some(limit) = shortcut {
            w.raw("CASE WHEN pg_catalog.count(*) < CAST(")
                .placeholder(limit)
                .raw(" AS bigint) THEN pg_catalog.count(*) ELSE ");
        }
        w.raw("(SELECT pg_catalog.count(*)");
        if page.grouped {
            w.raw(" FROM (");
            page.select(w, context)?;
            w.replay(&scope.from_where);
            page.group(w);
            page.end(w);
            w.raw(") AS ").page_alias(scope.alias);
        } else {
            w.replay(&scope.from_where);
        }
        w.raw(")");
        if shortcut.is_some() {
            w.raw(" END");
        }
    } else {
        w.raw("CAST(NULL AS bigint)");
    }
    w.raw(" AS total_count, ");
    let rows = |w: &mut Writer| {
        if read.body || page.grouped {
            page.select(w, context)?;
        } else {
            w.raw("SELECT 1");
        }
        w.replay(&scope.from_where);
        if !by_id {
            page.group_and_order(w, context)?;
        } else if page.grouped {
            page.group(w);
        }
        if is_row && table.has_children {
            // Its key may be in a table that inherits from it too.
            w.raw(" LIMIT 1");
        }
        if let Some(limit) = limit {
            w.raw(" LIMIT CAST(").placeholder(limit).raw(" AS bigint)");
            if read.window.offset > 0 {
                w.raw(" OFFSET ").bind_cast(read.window.offset.to_string(), "bigint");
            }
        }
        if read.body || page.grouped {
            page.end(w);
        }
        Ok(())
    };
    if !read.body {
        w.raw("CAST(NULL AS text) AS body FROM (");
        rows(w)?;
        w.raw(") AS ").page_alias(scope.alias);
        return Ok(Made { bytes: false });
    }
    let shape = match (is_bare, read.single) {
        (true, _) => Shape::Row,
        (false, true) => Shape::Single,
        (false, false) => Shape::Array,
    };
    if matches!(read.source, Source::Called) {
        // It may have written: too long an answer must undo that.
        page.text_within(w, context, shape, read.format);
    } else {
        page.text(w, context, shape, read.format);
    }
    w.raw(" AS body FROM (");
    page.rows(w, context, shape, rows)?;
    Ok(Made { bytes: page.makes_bytes(context, read.format) })
}
