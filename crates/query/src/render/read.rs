//! GET and HEAD.

use super::{
    Context, condition,
    output::{Page, Shape},
    scope::{Scope, Source},
    writer::Writer,
};
use crate::{
    catalog::Table,
    error::QueryError,
    request::{range::Window, select::Level},
};

pub(crate) struct Read<'a> {
    pub(crate) id: Option<&'a str>,
    pub(crate) window: Window,
    pub(crate) single: bool,
    pub(crate) body: bool,
    pub(crate) count: bool,
}

/// One row: the page as JSON, its rows, and on demand the rows without a window.
pub(crate) fn read(
    w: &mut Writer,
    context: Context<'_>,
    table: &Table,
    level: &Level<'_>,
    read: &Read<'_>,
) -> Result<(), QueryError> {
    let scope = Scope::root(w, context, table, level, &Source::Table { id: read.id })?;
    // HEAD looks the names up too, to answer what GET would.
    let page = Page::new(context, &scope)?;
    // One row by its key needs no window.
    let limit = read
        .id
        .is_none()
        .then(|| w.parameter(read.window.limit.unwrap_or(context.limits.max_rows).to_string()));
    w.raw("SELECT pg_catalog.count(*) AS page_count, ");
    if read.count {
        // A first page that is not full has counted everything already.
        let shortcut = limit.filter(|_| read.window.offset == 0);
        if let Some(limit) = shortcut {
            w.raw("CASE WHEN pg_catalog.count(*) < CAST(")
                .placeholder(limit)
                .raw(" AS bigint) THEN pg_catalog.count(*) ELSE ");
        }
        w.raw("(SELECT pg_catalog.count(*)").replay(&scope.from_where).raw(")");
        if shortcut.is_some() {
            w.raw(" END");
        }
    } else {
        w.raw("CAST(NULL AS bigint)");
    }
    w.raw(" AS total_count, ");
    let rows = |w: &mut Writer| {
        if read.body {
            page.select(w, context)?;
        } else {
            w.raw("SELECT 1");
        }
        w.replay(&scope.from_where);
        if read.id.is_none() {
            condition::order(w, context.case, &scope, &level.order)?;
        }
        if let Some(limit) = limit {
            w.raw(" LIMIT CAST(").placeholder(limit).raw(" AS bigint)");
            if read.window.offset > 0 {
                w.raw(" OFFSET ").bind_cast(read.window.offset.to_string(), "bigint");
            }
        }
        Ok(())
    };
    if !read.body {
        w.raw("CAST(NULL AS text) AS body FROM (");
        rows(w)?;
        w.raw(") AS ").page_alias(scope.alias);
        return Ok(());
    }
    let shape = if read.single { Shape::Single } else { Shape::Array };
    w.raw("CAST(");
    page.json(w, shape);
    w.raw(" AS text) AS body FROM (");
    page.rows(w, context, shape, rows)
}
