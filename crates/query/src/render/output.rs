//! The rows of a scope as JSON: keys, values, and the two ways to build an object of them.

use super::{
    Context, condition,
    embed::Embedded,
    scope::Scope,
    writer::{Alias, Writer},
};
use crate::{
    catalog::{Column, Name},
    error::QueryError,
    request::select::{Item, Operand, Step},
    response::TOO_LARGE_MARK,
};

/// A key of the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key<'c, 'q> {
    Catalog(&'c Name),
    /// The client's text: always a parameter.
    Bound(&'q str),
}

struct Output<'s, 'c, 'q> {
    key: Key<'c, 'q>,
    value: Value<'s, 'c, 'q>,
}

enum Value<'s, 'c, 'q> {
    Field { alias: Alias, column: &'c Column, path: &'q [Step<'q>], cast: Option<&'static str> },
    Embed(&'s Embedded<'c, 'q>),
    Spread(&'s Embedded<'c, 'q>, Box<Value<'s, 'c, 'q>>),
}

/// How one row becomes one JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// All keys are the catalog's: columns of a subselect, the cheapest.
    Row,
    /// Some key is the client's, so all are arguments.
    Object,
    /// As `Object`, with more pairs than a function takes arguments.
    ManyPairs,
}

/// PostgreSQL functions take at most 100 arguments.
const MAX_PAIRS: usize = 50;

/// How many rows a JSON value is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Array,
    /// The root's one row: an aggregate, so that a missing row still answers one row.
    Single,
    /// An embedded row or null.
    ToOne,
}

/// A scope's rows as JSON, in two halves because SQL says first what becomes of the rows: [`Page::json`] `FROM (`
/// [`Page::select`] and the scope's `FROM`, order and window `) AS` page alias.
pub(crate) struct Page<'s, 'c, 'q> {
    alias: Alias,
    /// A row holds arrays of other tables' rows: how large it gets, only the running sum of all says in time.
    multiplies: bool,
    form: Form,
    outputs: Vec<Output<'s, 'c, 'q>>,
}

impl<'s, 'c, 'q> Page<'s, 'c, 'q> {
    /// Looks every name up.
    pub(crate) fn new(context: Context<'c>, scope: &'s Scope<'c, 'q>) -> Result<Self, QueryError> {
        let outputs = outputs(context, scope)?;
        let form = if outputs.iter().all(|output| matches!(output.key, Key::Catalog(_))) {
            Form::Row
        } else if outputs.len() <= MAX_PAIRS {
            Form::Object
        } else {
            Form::ManyPairs
        };
        Ok(Self { alias: scope.alias, multiplies: multiplies(scope), form, outputs })
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
            Shape::Single => {
                w.raw("pg_catalog.string_agg(CAST(");
                self.row(w, true);
                w.raw(" AS text), '')");
            }
            Shape::ToOne => self.row(w, true),
        }
    }

    /// [`Page::json`] as text, or an error that undoes the write where it is longer than an answer may be.
    pub(crate) fn text_within(&self, w: &mut Writer, context: Context<'_>, shape: Shape) {
        let text = |w: &mut Writer| {
            w.raw("CAST(");
            self.json(w, shape);
            w.raw(" AS text)");
        };
        w.raw("CASE WHEN pg_catalog.octet_length(");
        text(w);
        w.raw(") > ").bind_cast(context.limits.max_answer_bytes.to_string(), "bigint");
        w.raw(" THEN CAST(CAST('").raw(TOO_LARGE_MARK).raw("' || pg_catalog.octet_length(");
        text(w);
        w.raw(") AS bigint) AS text) ELSE ");
        text(w);
        w.raw(" END");
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
        if !self.multiplies || shape != Shape::Array {
            rows(w)?;
            w.raw(") AS ").page_alias(self.alias);
            return Ok(());
        }
        // Row by row, so that the server does not hold more than it may answer.
        w.raw("SELECT ").page_alias(self.alias).raw(".r, pg_catalog.sum(pg_catalog.octet_length(");
        w.page_alias(self.alias).raw(".r)) OVER (ROWS UNBOUNDED PRECEDING) AS s FROM (SELECT CAST(");
        self.row(w, true);
        w.raw(" AS text) AS r FROM (");
        rows(w)?;
        w.raw(") AS ").page_alias(self.alias).raw(") AS ").page_alias(self.alias);
        w.raw(") AS ").page_alias(self.alias).raw(" WHERE CASE WHEN ").page_alias(self.alias);
        w.raw(".s > ").bind_cast(context.limits.max_answer_bytes.to_string(), "bigint");
        w.raw(" THEN CAST('").raw(TOO_LARGE_MARK).raw("' || ").page_alias(self.alias);
        w.raw(".s AS bigint) IS NULL ELSE true END");
        Ok(())
    }

    fn row(&self, w: &mut Writer, as_json: bool) {
        match self.form {
            // alias.* is the row even where a column is called like the alias.
            Form::Row if as_json => w.raw("pg_catalog.row_to_json(").page_alias(self.alias).raw(".*)"),
            Form::Row => w.page_alias(self.alias).raw(".*"),
            Form::Object | Form::ManyPairs => w.page_alias(self.alias).raw(".o"),
        };
    }

    /// `SELECT list`, without FROM.
    pub(crate) fn select(&self, w: &mut Writer, context: Context<'_>) -> Result<(), QueryError> {
        let (open, between, close) = match self.form {
            Form::Row => ("SELECT ", ", ", ""),
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
            match (self.form, output.key) {
                (Form::Row, Key::Catalog(name)) => {
                    output.value.write(w, context)?;
                    if !output.value.is_named(name) {
                        w.raw(" AS ").name(name);
                    }
                    continue;
                }
                (_, Key::Catalog(name)) => w.literal(name),
                (_, Key::Bound(key)) => w.bind_cast(key, "text"),
            };
            if self.form == Form::ManyPairs {
                w.raw(", pg_catalog.to_json(");
                output.value.write(w, context)?;
                w.raw(")");
            } else {
                w.raw(", ");
                output.value.write(w, context)?;
            }
        }
        w.raw(close);
        Ok(())
    }
}

/// The whole embedded value, in parentheses.
fn embedded(w: &mut Writer, context: Context<'_>, embedded: &Embedded<'_, '_>) -> Result<(), QueryError> {
    let scope = &embedded.scope;
    let to_one = embedded.relationship.to_one();
    let page = Page::new(context, scope)?;
    let shape = if to_one { Shape::ToOne } else { Shape::Array };
    // Put together from texts, it is text.
    let is_text = page.multiplies && !to_one;
    w.raw(if is_text { "(SELECT CAST(" } else { "(SELECT " });
    page.json(w, shape);
    w.raw(if is_text { " AS json) FROM (" } else { " FROM (" });
    page.rows(w, context, shape, |w| {
        page.select(w, context)?;
        w.replay(&scope.from_where);
        condition::order(w, context.case, scope, &scope.level.order)?;
        if !to_one {
            let limit =
                scope.level.limit.map_or(context.limits.max_rows, |limit| limit.min(context.limits.max_rows));
            w.raw(" LIMIT ").bind_cast(limit.to_string(), "bigint");
        }
        if let Some(offset) = scope.level.offset {
            w.raw(" OFFSET ").bind_cast(offset.to_string(), "bigint");
        }
        Ok(())
    })?;
    w.raw(")");
    Ok(())
}

/// Whether a row of the scope holds an array of other rows, itself or in one that it embeds.
fn multiplies(scope: &Scope<'_, '_>) -> bool {
    scope.embeds.iter().any(|embedded| !embedded.relationship.to_one() || multiplies(&embedded.scope))
}

impl Value<'_, '_, '_> {
    fn write(&self, w: &mut Writer, context: Context<'_>) -> Result<(), QueryError> {
        match self {
            Self::Field { alias, column, path, cast: None } => {
                condition::value(w, *alias, column, path, false);
            }
            Self::Field { alias, column, path, cast: Some(cast) } => {
                w.raw("CAST(");
                condition::value(w, *alias, column, path, false);
                w.raw(" AS ").raw(cast).raw(")");
            }
            Self::Embed(inner) => embedded(w, context, inner)?,
            Self::Spread(outer, inner) => {
                w.raw("(SELECT ");
                inner.write(w, context)?;
                w.replay(&outer.scope.from_where).raw(")");
            }
        }
        Ok(())
    }

    /// Whether the select list would call it that by itself.
    fn is_named(&self, name: &Name) -> bool {
        matches!(self, Self::Field { column, path: [], cast: None, .. } if column.name == *name)
    }
}

fn outputs<'s, 'c, 'q>(
    context: Context<'c>,
    scope: &'s Scope<'c, 'q>,
) -> Result<Vec<Output<'s, 'c, 'q>>, QueryError> {
    let table = scope.table;
    let mut outputs = Vec::with_capacity(table.columns().len());
    let mut embeds = scope.embeds.iter();
    // A column that is there already under its own name is not repeated: `*,id`.
    let mut seen = vec![false; table.columns().len()];
    for item in &scope.level.items {
        match item {
            Item::Star => {
                for (column, seen) in table.columns().iter().zip(&mut seen) {
                    if !std::mem::replace(seen, true) {
                        outputs.push(plain(context, scope.alias, column));
                    }
                }
            }
            Item::Field { field, alias, cast } => {
                let at = table
                    .column_index(context.case, &field.name)
                    .ok_or_else(|| QueryError::unknown_column(table.name(), &field.name))?;
                let column = &table.columns()[at];
                if alias.is_none() && field.path.is_empty() && cast.is_none() {
                    if !std::mem::replace(&mut seen[at], true) {
                        outputs.push(plain(context, scope.alias, column));
                    }
                    continue;
                }
                let last_key = field.path.iter().rev().find_map(|step| match &step.operand {
                    Operand::Key(key) => Some(&**key),
                    Operand::Index(_) => None,
                });
                let key = match alias.as_deref().or(last_key) {
                    Some(key) => Key::Bound(key),
                    None => Key::Catalog(column.key(context.case)),
                };
                outputs.push(Output {
                    key,
                    value: Value::Field { alias: scope.alias, column, path: &field.path, cast: *cast },
                });
            }
            Item::Embed(embed) => {
                let embedded = embeds.next().expect("a scope has one entry per embedding of its level");
                if embed.spread {
                    for inner in self::outputs(context, &embedded.scope)? {
                        let value = Value::Spread(embedded, Box::new(inner.value));
                        outputs.push(Output { key: inner.key, value });
                    }
                } else if !embed.level.items.is_empty() {
                    outputs.push(Output { key: embedded.key, value: Value::Embed(embedded) });
                }
            }
        }
    }
    Ok(outputs)
}

fn plain<'s, 'c, 'q>(context: Context<'c>, alias: Alias, column: &'c Column) -> Output<'s, 'c, 'q> {
    Output {
        key: Key::Catalog(column.key(context.case)),
        value: Value::Field { alias, column, path: &[], cast: None },
    }
}
