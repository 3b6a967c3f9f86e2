//! The rows of a scope as JSON: keys, values, and the ways to build an object of them.

use super::{
    Context, condition,
    embed::Embedded,
    scope::Scope,
    writer::{Alias, KEPT_ROW, Writer},
};
use crate::{
    catalog::{Column, Family, Handler, Name},
    error::QueryError,
    request::{
        csv,
        media::Format,
        order::OrderTerm,
        select::{Aggregate, Item, Level, Operand, Step},
    },
    response::TOO_LARGE_MARK,
};

/// A key of the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key<'c, 'q> {
    Catalog(&'c Name),
    /// An aggregate's name.
    Ours(&'static str),
    /// The client's text: always a parameter.
    Bound(&'q str),
}

impl Key<'_, '_> {
    fn text(&self) -> &str {
        match self {
            Self::Catalog(name) => name.plain(),
            Self::Ours(name) => name,
            Self::Bound(text) => text,
        }
    }
}

struct Output<'s, 'c, 'q> {
    key: Key<'c, 'q>,
    value: Value<'s, 'c, 'q>,
}

enum Value<'s, 'c, 'q> {
    Field {
        alias: Alias,
        column: &'c Column,
        path: &'q [Step<'q>],
        cast: Option<&'static str>,
    },
    /// Of the rows of a group; of no value, `count()`.
    Aggregate {
        aggregate: Aggregate,
        of: Option<Box<Value<'s, 'c, 'q>>>,
    },
    Embed(&'s Embedded<'c, 'q>),
    /// A value of another table's row, or an array of those of its rows.
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
    /// The root's one row: an aggregate, so that a missing row still answers one row.
    Single,
    /// An embedded row or null.
    ToOne,
}

/// A scope's rows as JSON, in two halves because SQL says first what becomes of the rows: [`Page::json`] `FROM (`
/// [`Page::select`], the scope's `FROM`, [`Page::group`], order and window, [`Page::end`] `) AS` page alias.
pub(crate) struct Page<'s, 'c, 'q> {
    scope: &'s Scope<'c, 'q>,
    alias: Alias,
    /// A row holds arrays of other tables' rows: how large it gets, only the running sum of all says in time.
    multiplies: bool,
    /// A row of the answer is of a group of rows.
    pub(crate) grouped: bool,
    nulls_stripped: bool,
    form: Form,
    outputs: Vec<Output<'s, 'c, 'q>>,
    /// Of groups: by which of their columns they are ordered, those of related rows included.
    order: Vec<GroupOrder<'q>>,
}

/// What a term of the order is among the columns of a group.
struct GroupOrder<'q> {
    term: &'q OrderTerm<'q>,
    /// The output that it names; none: a column of its own.
    output: Option<usize>,
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
        if grouped && !context.aggregates {
            let detail = "Use of aggregate functions is not allowed";
            return Err(QueryError::bad("aggregates_disabled", detail));
        }
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
            Shape::Single => {
                w.raw("pg_catalog.string_agg(CAST(");
                self.row(w, true);
                w.raw(" AS text), '')");
            }
            Shape::ToOne => self.row(w, true),
        }
    }

    /// The rows in a format that is not JSON, as text.
    pub(crate) fn plain(&self, w: &mut Writer, context: Context<'_>, format: &Format) {
        match format {
            Format::Csv => {
                let names: Vec<String> =
                    self.outputs.iter().map(|output| csv::field(output.key.text())).collect();
                w.bind(format!("{}\n", names.join(",")));
                // A row's text is CSV in parentheses, except that it doubles backslashes.
                w.raw(r" || coalesce(pg_catalog.string_agg(pg_catalog.replace(pg_catalog.left(pg_catalog.substr(CAST(ROW(");
                for at in 0..self.outputs.len() {
                    w.raw(if at > 0 { ", " } else { "" }).page_alias(self.alias).raw(".").nth(at);
                }
                w.raw(r") AS text), 2), -1), E'\\\\', E'\\'), E'\n'), '')");
            }
            Format::Own(media) if let Some(handler) = self.handler(context, media) => {
                w.raw("CAST(").function(&handler.aggregate).raw("(").page_alias(self.alias).raw(".");
                w.raw(KEPT_ROW).raw(") AS text)");
            }
            Format::Bytes if self.is_of_bytes() => {
                w.raw("CAST(pg_catalog.string_agg(").page_alias(self.alias).raw(".").nth(0);
                w.raw(", CAST('' AS bytea)) AS text)");
            }
            _ => {
                w.raw("coalesce(pg_catalog.string_agg(CAST(").page_alias(self.alias).raw(".").nth(0);
                w.raw(" AS text), ''), '')");
            }
        }
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

    /// Whether [`Page::plain`] writes bytes as PostgreSQL does, in hexadecimal digits.
    fn is_of_bytes(&self) -> bool {
        matches!(
            self.outputs.first().map(|output| &output.value),
            Some(Value::Field { column, path: [], cast: None, .. }) if column.ty.bytes || column.base.bytes
        )
    }

    /// [`Page::json`] as text, or an error that undoes the write where it is longer than an answer may be.
    pub(crate) fn text_within(&self, w: &mut Writer, context: Context<'_>, shape: Shape, format: &Format) {
        let text = |w: &mut Writer| {
            if format.is_json() {
                w.raw("CAST(");
                self.json(w, shape);
                w.raw(" AS text)");
            } else {
                self.plain(w, context, format);
            }
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
        let is_json = !matches!(self.form, Form::Columns | Form::WholeRows);
        if !self.multiplies || shape != Shape::Array || !is_json {
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
    pub(crate) fn group_and_order(
        &self,
        w: &mut Writer,
        context: Context<'_>,
        scope: &Scope<'_, '_>,
    ) -> Result<(), QueryError> {
        if !self.grouped {
            return condition::order(w, context.case, scope, &scope.level.order);
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

/// The whole embedded value, in parentheses.
fn embedded(w: &mut Writer, context: Context<'_>, embedded: &Embedded<'_, '_>) -> Result<(), QueryError> {
    let scope = &embedded.scope;
    let to_one = embedded.relationship.to_one();
    let page = Page::new(context, scope, &Format::Json { nulls_stripped: false })?;
    let shape = if to_one { Shape::ToOne } else { Shape::Array };
    // Put together from texts, it is text.
    let is_text = page.multiplies && !to_one;
    w.raw(if is_text { "(SELECT CAST(" } else { "(SELECT " });
    page.json(w, shape);
    w.raw(if is_text { " AS json) FROM (" } else { " FROM (" });
    page.rows(w, context, shape, |w| {
        page.select(w, context)?;
        w.replay(&scope.from_where);
        page.group_and_order(w, context, scope)?;
        window(w, context, embedded);
        page.end(w);
        Ok(())
    })?;
    w.raw(")");
    Ok(())
}

/// Limit and offset of what is embedded.
fn window(w: &mut Writer, context: Context<'_>, embedded: &Embedded<'_, '_>) {
    let scope = &embedded.scope;
    if embedded.relationship.to_one() {
        // A function that promises one row may answer more.
        if embedded.relationship.computed {
            w.raw(" LIMIT 1");
        }
    } else {
        let limit =
            scope.level.limit.map_or(context.limits.max_rows, |limit| limit.min(context.limits.max_rows));
        w.raw(" LIMIT ").bind_cast(limit.to_string(), "bigint");
    }
    if let Some(offset) = scope.level.offset {
        w.raw(" OFFSET ").bind_cast(offset.to_string(), "bigint");
    }
}

/// By what groups are ordered.
fn group_order<'c, 'q>(
    context: Context<'c>,
    scope: &Scope<'c, 'q>,
    outputs: &[Output<'_, 'c, 'q>],
) -> Result<Vec<GroupOrder<'q>>, QueryError> {
    let mut order = Vec::new();
    for term in &scope.level.order {
        if term.embed.is_some() {
            order.push(GroupOrder { term, output: None });
            continue;
        }
        let name = &term.field.name;
        let column = scope
            .table
            .column(context.case, name)
            .ok_or_else(|| QueryError::unknown_column(scope.table.name(), name))?;
        let output = outputs.iter().position(|output| match &output.value {
            Value::Field { column: own, path, cast: None, alias } => {
                *alias == scope.alias && own.name == column.name && same_path(path, &term.field.path)
            }
            _ => false,
        });
        if output.is_none() {
            let detail = format!(
                "column \"{}\" must appear in the GROUP BY clause or be used in an aggregate function; select it",
                column.name()
            );
            return Err(QueryError::bad("ungrouped_column", detail).field(name));
        }
        order.push(GroupOrder { term, output });
    }
    Ok(order)
}

fn same_path(a: &[Step<'_>], b: &[Step<'_>]) -> bool {
    let operand = |step: &Step<'_>| match &step.operand {
        Operand::Key(key) => key.to_string(),
        Operand::Index(index) => index.to_string(),
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.as_text == b.as_text && operand(a) == operand(b))
}

/// Whether a row of the scope holds an array of other rows, itself or in one that it embeds.
fn multiplies(scope: &Scope<'_, '_>) -> bool {
    scope.embeds.iter().any(|embedded| !embedded.relationship.to_one() || multiplies(&embedded.scope))
}

impl<'s, 'c, 'q> Value<'s, 'c, 'q> {
    fn write(&self, w: &mut Writer, context: Context<'_>) -> Result<(), QueryError> {
        match self {
            Self::Field { alias, column, path: [], cast: None } if let Some(to_json) = to_json(column) => {
                w.function(to_json).raw("(").value_of(*alias, column).raw(")");
            }
            Self::Field { alias, column, path, cast: None } => {
                condition::value(w, *alias, column, path, false);
            }
            Self::Field { alias, column, path, cast: Some(cast) } => {
                w.raw("CAST(");
                condition::value(w, *alias, column, path, false);
                w.raw(" AS ").raw(cast).raw(")");
            }
            Self::Aggregate { aggregate, of } => {
                w.raw(if aggregate.cast.is_some() { "CAST(" } else { "" });
                w.raw("pg_catalog.").raw(aggregate.function).raw("(");
                match of {
                    Some(of) => of.write(w, context)?,
                    None => {
                        w.raw("*");
                    }
                }
                w.raw(")");
                if let Some(cast) = aggregate.cast {
                    w.raw(" AS ").raw(cast).raw(")");
                }
            }
            Self::Embed(inner) => embedded(w, context, inner)?,
            Self::Spread(outer, inner) if outer.relationship.to_one() => {
                w.raw("(SELECT ");
                inner.write(w, context)?;
                w.replay(&outer.scope.from_where);
                w.raw(if outer.relationship.computed { " LIMIT 1)" } else { ")" });
            }
            Self::Spread(outer, inner) => {
                w.raw("(SELECT coalesce(pg_catalog.json_agg(").page_alias(outer.scope.alias);
                w.raw(".v), '[]') FROM (SELECT ");
                inner.write(w, context)?;
                w.raw(" AS v").replay(&outer.scope.from_where);
                condition::order(w, context.case, &outer.scope, &outer.scope.level.order)?;
                window(w, context, outer);
                w.raw(") AS ").page_alias(outer.scope.alias).raw(")");
            }
        }
        Ok(())
    }

    /// Whether the select list would call it that by itself.
    fn is_named(&self, name: &Name) -> bool {
        matches!(self, Self::Field { column, path: [], cast: None, .. }
            if column.name == *name && !column.computed && to_json(column).is_none())
    }

    /// Whether it has the type json, by which nothing can be grouped.
    fn is_json(&self) -> bool {
        match self {
            Self::Field { cast: Some(cast), .. } => *cast == "json",
            Self::Field { column, path, cast: None, .. } => match path.last() {
                None => column.base.family == Family::Json || to_json(column).is_some(),
                Some(step) => !step.as_text && column.base.family == Family::Json,
            },
            Self::Aggregate { .. } => false,
            Self::Embed(_) => true,
            Self::Spread(outer, inner) => !outer.relationship.to_one() || inner.is_json(),
        }
    }

    /// Of another table's row, or of all of its rows.
    fn spread(self, outer: &'s Embedded<'c, 'q>) -> Result<Self, QueryError> {
        Ok(match self {
            // Of a row of each row: it is of the rows here.
            Value::Aggregate { aggregate, of } if outer.relationship.to_one() => {
                let of = of.map(|of| of.spread(outer)).transpose()?;
                Value::Aggregate { aggregate, of: of.map(Box::new) }
            }
            Value::Aggregate { .. } => {
                let details = "Aggregates are not implemented for one-to-many or many-to-many spreads.";
                return Err(QueryError::bad("aggregate_of_many", details)
                    .with_message("Feature not implemented")
                    .with_details(details));
            }
            value => Value::Spread(outer, Box::new(value)),
        })
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
            Item::Count { alias, cast } => {
                let aggregate = Aggregate { function: "count", cast: *cast };
                let key = alias.as_deref().map_or(Key::Ours("count"), Key::Bound);
                outputs.push(Output { key, value: Value::Aggregate { aggregate, of: None } });
            }
            // As it was written before there were aggregates.
            Item::Field { field, alias, cast, aggregate: None }
                if field.name == "count" && table.column(context.case, "count").is_none() =>
            {
                let aggregate = Aggregate { function: "count", cast: *cast };
                let key = alias.as_deref().map_or(Key::Ours("count"), Key::Bound);
                outputs.push(Output { key, value: Value::Aggregate { aggregate, of: None } });
            }
            Item::Field { field, alias, cast, aggregate } => {
                let at = table.column_index(context.case, &field.name);
                let column = match at {
                    Some(at) => &table.columns()[at],
                    None => table
                        .column(context.case, &field.name)
                        .ok_or_else(|| QueryError::unknown_column(table.name(), &field.name))?,
                };
                let is_plain =
                    alias.is_none() && field.path.is_empty() && cast.is_none() && aggregate.is_none();
                if is_plain {
                    let seen = at.and_then(|at| seen.get_mut(at)).map(|seen| std::mem::replace(seen, true));
                    if seen != Some(true) {
                        outputs.push(plain(context, scope.alias, column));
                    }
                    continue;
                }
                let last_key = field.path.iter().rev().find_map(|step| match &step.operand {
                    Operand::Key(key) => Some(&**key),
                    Operand::Index(_) => None,
                });
                let value = Value::Field { alias: scope.alias, column, path: &field.path, cast: *cast };
                outputs.push(match aggregate {
                    Some(aggregate) => Output {
                        key: alias.as_deref().map_or(Key::Ours(aggregate.function), Key::Bound),
                        value: Value::Aggregate { aggregate: *aggregate, of: Some(Box::new(value)) },
                    },
                    None => Output {
                        key: match alias.as_deref().or(last_key) {
                            Some(key) => Key::Bound(key),
                            None => Key::Catalog(column.key(context.case)),
                        },
                        value,
                    },
                });
            }
            Item::Embed(embed) => {
                let embedded = embeds.next().expect("a scope has one entry per embedding of its level");
                if embed.spread {
                    for inner in self::outputs(context, &embedded.scope)? {
                        outputs.push(Output { key: inner.key, value: inner.value.spread(embedded)? });
                    }
                } else if !is_empty(&embed.level) {
                    outputs.push(Output { key: embedded.key, value: Value::Embed(embedded) });
                }
            }
        }
    }
    Ok(outputs)
}

/// How a domain's values are written in JSON.
fn to_json(column: &Column) -> Option<&Name> {
    column.ty.casts.as_ref()?.to_json.as_ref()
}

/// Whether nothing of a level is shown: it is there for its filters.
fn is_empty(level: &Level<'_>) -> bool {
    level.items.iter().all(|item| matches!(item, Item::Embed(embed) if is_empty(&embed.level)))
}

fn plain<'s, 'c, 'q>(context: Context<'c>, alias: Alias, column: &'c Column) -> Output<'s, 'c, 'q> {
    Output {
        key: Key::Catalog(column.key(context.case)),
        value: Value::Field { alias, column, path: &[], cast: None },
    }
}
