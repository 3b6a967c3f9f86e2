//! The rows of a scope as JSON, or as CSV, text and bytes.

use tenantry_domain::permission::Verb;

use super::{
    Context, condition,
    group::{GroupOrder, group_order},
    plain,
    scope::Scope,
    value::{Key, Output, Value, outputs},
    writer::{Alias, KEPT_ROW, Writer},
};
use crate::{
    catalog::Handler,
    error::QueryError,
    request::{csv, media::Format, order::OrderTerm},
    response::TOO_LARGE_MARK,
};

/// How one row becomes one JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// All keys are the catalog's: columns of a subselect, the cheapest.
    Row,
    /// Some key is the client's, so all are arguments.
    Object,
    /// As `Object`, with more pairs than a function takes arguments.
    ManyPairs,
    /// Columns without names of their own: not JSON.
    Columns,
    /// The table's rows as they are, for an aggregate of the app's.
    WholeRows,
}

/// PostgreSQL functions take at most 100 arguments.
const MAX_PAIRS: usize = 50;

/// How many rows a JSON value is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Array,
    /// The root's rows, an object after the other: an aggregate, so that a missing row still answers one row.
    Single,
    /// The root's row, as a row of the statement; none where there is none.
    Row,
    /// An embedded row or null.
    ToOne,
}

/// A scope's rows as JSON, in two halves because SQL says first what becomes of the rows: [`Page::json`] `FROM (`
/// [`Page::select`], the scope's `FROM`, [`Page::group_and_order`], the window, [`Page::end`] `) AS` page alias.
pub(crate) struct Page<'s, 'c, 'q> {
    scope: &'s Scope<'c, 'q>,
    alias: Alias,
    /// A row holds arrays of other tables' rows: how large it gets, only the running sum of all says in time.
    pub(super) multiplies: bool,
    /// A row of the answer is of a group of rows.
    pub(crate) grouped: bool,
    nulls_stripped: bool,
    form: Form,
    outputs: Vec<Output<'s, 'c, 'q>>,
    /// Of groups: by which of their columns they are ordered, those of related rows included.
    order: Vec<GroupOrder<'q>>,
}

impl<'s, 'c, 'q> Page<'s, 'c, 'q> {
    /// Looks every name up.
    pub(crate) fn new(
        context: Context<'c>,
        scope: &'s Scope<'c, 'q>,
        format: &Format,
    ) -> Result<Self, QueryError> {
        let outputs = outputs(context, scope)?;
        let grouped = outputs.iter().any(|output| matches!(output.value, Value::Aggregate { .. }));
        let order = if grouped { group_order(context, scope, &outputs)? } else { Vec::new() };
        let form = if matches!(format, Format::Own(_)) {
            Form::WholeRows
        } else if !format.is_json() {
            Form::Columns
        } else if !grouped && outputs.iter().all(|output| !matches!(output.key, Key::Bound(_))) {
            Form::Row
        } else if outputs.len() <= MAX_PAIRS {
            Form::Object
        } else {
            Form::ManyPairs
        };
        Ok(Self {
            scope,
            alias: scope.alias,
            multiplies: multiplies(scope),
            grouped,
            nulls_stripped: format.nulls_stripped(),
            form,
            outputs,
            order,
        })
    }

    /// The JSON of one row or of all of them.
    pub(crate) fn json(&self, w: &mut Writer, shape: Shape) {
        match shape {
            Shape::Array if self.multiplies => {
                w.raw("'[' || coalesce(pg_catalog.string_agg(").page_alias(self.alias);
                w.raw(".r, ', '), '') || ']'");
            }
            Shape::Array => {
                w.raw("coalesce(pg_catalog.json_agg(");
                self.row(w, false);
                w.raw("), '[]')");
            }
            Shape::Single if self.multiplies => {
                w.raw("pg_catalog.string_agg(").page_alias(self.alias).raw(".r, '')");
            }
            Shape::Single => {
                w.raw("pg_catalog.string_agg(CAST(");
                self.row(w, true);
                w.raw(" AS text), '')");
            }
            Shape::Row if self.multiplies => {
                w.page_alias(self.alias).raw(".r");
            }
            Shape::Row | Shape::ToOne => self.row(w, true),
        }
    }

    /// The rows as text, in any format.
    pub(crate) fn text(&self, w: &mut Writer, context: Context<'_>, shape: Shape, format: &Format) {
        let first = |w: &mut Writer| {
            w.page_alias(self.alias).raw(".").nth(0);
        };
        match format {
            _ if format.is_json() => {
                w.raw("CAST(");
                self.json(w, shape);
                w.raw(" AS text)");
            }
            Format::Csv => {
                let names: Vec<String> =
                    self.outputs.iter().map(|output| csv::field(output.key.text())).collect();
                w.bind(format!("{}\n", names.join(","))).raw(" || ");
                plain::csv_lines(w, |w| {
                    for at in 0..self.outputs.len() {
                        w.raw(if at > 0 { ", " } else { "" }).page_alias(self.alias).raw(".").nth(at);
                    }
                });
            }
            Format::Own(media) if let Some(handler) = self.handler(context, media) => {
                w.uses(Verb::Execute, handler.aggregate.plain());
                w.raw("CAST(").function(&handler.aggregate).raw("(").page_alias(self.alias).raw(".");
                w.raw(KEPT_ROW).raw(") AS text)");
            }
            Format::Bytes if self.is_of_bytes() => plain::bytes(w, first),
            _ => plain::texts(w, first),
        }
    }

    /// [`Page::text`], or an error that undoes the write where it is longer than an answer may be.
    pub(crate) fn text_within(&self, w: &mut Writer, context: Context<'_>, shape: Shape, format: &Format) {
        within_limit(w, context, |w| self.text(w, context, shape, format));
    }

    /// The aggregate that makes this media type of the rows.
    fn handler(&self, context: Context<'c>, media: &str) -> Option<&'c Handler> {
        context.catalog.handlers_of(self.scope.table).find(|handler| &*handler.media == media)
    }

    /// Whether the body is bytes, as PostgreSQL writes them.
    pub(crate) fn makes_bytes(&self, context: Context<'c>, format: &Format) -> bool {
        match format {
            Format::Bytes => self.is_of_bytes(),
            Format::Own(media) => self.handler(context, media).is_some_and(|handler| handler.bytes),
            _ => false,
        }
    }

    /// Whether [`Page::text`] writes bytes as PostgreSQL does, in hexadecimal digits.
    fn is_of_bytes(&self) -> bool {
        matches!(
            self.outputs.first().map(|output| &output.value),
            Some(Value::Field { column, path: [], cast: None, .. }) if column.ty.bytes || column.base.bytes
        )
    }

    /// What stands after `FROM (`, with the alias that [`Page::json`] speaks of. `rows` writes [`Page::select`] and
    /// what follows it.
    pub(crate) fn rows(
        &self,
        w: &mut Writer,
        context: Context<'_>,
        shape: Shape,
        rows: impl FnOnce(&mut Writer) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        if !self.multiplies || shape == Shape::ToOne || self.form == Form::WholeRows {
            rows(w)?;
            w.raw(") AS ").page_alias(self.alias);
            return Ok(());
        }
        // Row by row, so that the server does not hold more than it may answer.
        w.raw("SELECT ").page_alias(self.alias).raw(".*, pg_catalog.sum(pg_catalog.octet_length(");
        if self.form == Form::Columns {
            w.raw("CAST(")
                .page_alias(self.alias)
                .raw(" AS text))) OVER (ROWS UNBOUNDED PRECEDING) AS s FROM (");
            rows(w)?;
        } else {
            w.page_alias(self.alias).raw(".r)) OVER (ROWS UNBOUNDED PRECEDING) AS s FROM (SELECT CAST(");
            self.row(w, true);
            w.raw(" AS text) AS r FROM (");
            rows(w)?;
            w.raw(") AS ").page_alias(self.alias);
        }
        w.raw(") AS ").page_alias(self.alias);
        w.raw(") AS ").page_alias(self.alias).raw(" WHERE CASE WHEN ").page_alias(self.alias);
        w.raw(".s > ").bind_cast(context.limits.max_answer_bytes.to_string(), "bigint");
        w.raw(" THEN CAST('").raw(TOO_LARGE_MARK).raw("' || ").page_alias(self.alias);
        w.raw(".s AS bigint) IS NULL ELSE true END");
        Ok(())
    }

    fn row(&self, w: &mut Writer, as_json: bool) {
        if self.nulls_stripped {
            w.raw("pg_catalog.json_strip_nulls(");
        }
        match self.form {
            // alias.* is the row even where a column is called like the alias.
            Form::Row if as_json || self.nulls_stripped => {
                w.raw("pg_catalog.row_to_json(").page_alias(self.alias).raw(".*)")
            }
            Form::Row | Form::Columns | Form::WholeRows => w.page_alias(self.alias).raw(".*"),
            Form::Object | Form::ManyPairs => w.page_alias(self.alias).raw(".o"),
        };
        if self.nulls_stripped {
            w.raw(")");
        }
    }

    /// `SELECT list`, without FROM. Of groups that become objects the list is that of a subselect.
    pub(crate) fn select(&self, w: &mut Writer, context: Context<'_>) -> Result<(), QueryError> {
        let (open, between, close) = match self.form {
            Form::Row | Form::Columns | Form::WholeRows => return self.columns(w, context),
            Form::Object => ("SELECT pg_catalog.json_build_object(", ", ", ") AS o"),
            Form::ManyPairs => (
                "SELECT (SELECT pg_catalog.json_object_agg(f.k, f.v) FROM (VALUES (",
                "), (",
                ")) AS f(k, v)) AS o",
            ),
        };
        w.raw(open);
        for (at, output) in self.outputs.iter().enumerate() {
            w.raw(if at > 0 { between } else { "" });
            match output.key {
                Key::Catalog(name) => w.literal(name),
                Key::Ours(name) => w.raw("'").raw(name).raw("'"),
                Key::Bound(key) => w.bind_cast(key, "text"),
            };
            w.raw(if self.form == Form::ManyPairs { ", pg_catalog.to_json(" } else { ", " });
            if self.grouped {
                w.page_alias(self.alias).raw(".").nth(at);
            } else {
                output.value.write(w, context)?;
            }
            w.raw(if self.form == Form::ManyPairs { ")" } else { "" });
        }
        w.raw(close);
        if self.grouped {
            w.raw(" FROM (");
            self.columns(w, context)?;
        }
        Ok(())
    }

    /// The columns of a group that are there to order by them.
    fn hidden(&self) -> impl Iterator<Item = &'q OrderTerm<'q>> {
        self.order.iter().filter(|order| order.output.is_none()).map(|order| order.term)
    }

    fn columns(&self, w: &mut Writer, context: Context<'_>) -> Result<(), QueryError> {
        w.raw("SELECT ");
        if self.form == Form::WholeRows {
            w.whole_row(self.alias, self.scope.table).raw(" AS ").raw(KEPT_ROW);
            return Ok(());
        }
        for (at, output) in self.outputs.iter().enumerate() {
            w.raw(if at > 0 { ", " } else { "" });
            if self.grouped && output.value.is_json() {
                // Only jsonb can be grouped by.
                w.raw("CAST(");
                output.value.write(w, context)?;
                w.raw(" AS jsonb)");
            } else {
                output.value.write(w, context)?;
            }
            match output.key {
                _ if self.form != Form::Row => w.raw(" AS ").nth(at),
                Key::Catalog(name) if output.value.is_named(name) => w,
                Key::Catalog(name) => w.raw(" AS ").name(name),
                Key::Ours(name) => w.raw(" AS ").raw(name),
                Key::Bound(_) => unreachable!("only the catalog's and our keys make a row"),
            };
        }
        for (nth, term) in self.hidden().enumerate() {
            w.raw(if self.outputs.is_empty() && nth == 0 { "" } else { ", " });
            condition::order_by(w, context.case, self.scope, term)?;
            w.raw(" AS ").nth(self.outputs.len() + nth);
        }
        Ok(())
    }

    /// `GROUP BY` where there are groups, and `ORDER BY`; after the scope's `FROM` and `WHERE`.
    pub(crate) fn group_and_order(&self, w: &mut Writer, context: Context<'_>) -> Result<(), QueryError> {
        if !self.grouped {
            return condition::order(w, context.case, self.scope, &self.scope.level.order);
        }
        self.group(w);
        let mut hidden = self.outputs.len();
        for (nth, order) in self.order.iter().enumerate() {
            let at = order.output.unwrap_or_else(|| {
                hidden += 1;
                hidden - 1
            });
            w.raw(if nth == 0 { " ORDER BY " } else { ", " }).number(at + 1);
            condition::direction(w, order.term);
        }
        Ok(())
    }

    /// `GROUP BY` alone, to count groups.
    pub(crate) fn group(&self, w: &mut Writer) {
        let keys = self.outputs.iter().enumerate();
        let keys = keys.filter(|(_, output)| !matches!(output.value, Value::Aggregate { .. }));
        let hidden = (0..self.hidden().count()).map(|nth| self.outputs.len() + nth);
        for (nth, at) in keys.map(|(at, _)| at).chain(hidden).enumerate() {
            w.raw(if nth == 0 { " GROUP BY " } else { ", " }).number(at + 1);
        }
    }

    /// What stands after order and window.
    pub(crate) fn end(&self, w: &mut Writer) {
        if self.grouped && matches!(self.form, Form::Object | Form::ManyPairs) {
            w.raw(") AS ").page_alias(self.alias);
        }
    }
}

/// Whether a row of the scope holds an array of other rows, itself or in one that it embeds.
fn multiplies(scope: &Scope<'_, '_>) -> bool {
    scope.embeds.iter().any(|embedded| !embedded.relationship.to_one() || multiplies(&embedded.scope))
}

/// A body as it is, or an error that undoes what was done where it is longer than an answer may be.
pub(super) fn within_limit(w: &mut Writer, context: Context<'_>, body: impl Fn(&mut Writer)) {
    w.raw("CASE WHEN pg_catalog.octet_length(");
    body(w);
    w.raw(") > ").bind_cast(context.limits.max_answer_bytes.to_string(), "bigint");
    w.raw(" THEN CAST(CAST('").raw(TOO_LARGE_MARK).raw("' || pg_catalog.octet_length(");
    body(w);
    w.raw(") AS bigint) AS text) ELSE ");
    body(w);
    w.raw(" END");
}
