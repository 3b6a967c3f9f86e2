//! The values of an answer: columns, places in them, aggregates, what is embedded and what is spread.

use super::{
    Context, condition,
    embed::Embedded,
    output::{Page, Shape},
    scope::Scope,
    writer::{Alias, Writer},
};
use crate::{
    catalog::{Column, Family, Name},
    error::QueryError,
    request::{
        media::Format,
        select::{Aggregate, Item, Level, Operand, Step},
    },
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
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Catalog(name) => name.plain(),
            Self::Ours(name) => name,
            Self::Bound(text) => text,
        }
    }
}

pub(super) struct Output<'s, 'c, 'q> {
    pub(super) key: Key<'c, 'q>,
    pub(super) value: Value<'s, 'c, 'q>,
}

pub(super) enum Value<'s, 'c, 'q> {
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
        page.group_and_order(w, context)?;
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
        w.raw(if embedded.is_cut() { " LIMIT 1" } else { "" });
    } else {
        let limit =
            scope.level.limit.map_or(context.limits.max_rows, |limit| limit.min(context.limits.max_rows));
        w.raw(" LIMIT ").bind_cast(limit.to_string(), "bigint");
    }
    if let Some(offset) = scope.level.offset {
        w.raw(" OFFSET ").bind_cast(offset.to_string(), "bigint");
    }
}

impl<'s, 'c, 'q> Value<'s, 'c, 'q> {
    pub(super) fn write(&self, w: &mut Writer, context: Context<'_>) -> Result<(), QueryError> {
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
                w.raw(if outer.is_cut() { " LIMIT 1)" } else { ")" });
            }
            Self::Spread(outer, inner) => {
                w.raw("(SELECT coalesce(pg_catalog.json_agg(").page_alias(outer.scope.alias);
                w.raw(".v), '[]') FROM (SELECT ");
                inner.write(w, context)?;
                w.raw(" AS v").replay(&outer.scope.from_where);
                // Each value has a subquery of its own: by the key their rows come in one order.
                condition::order_to_the_key(w, context.case, &outer.scope)?;
                window(w, context, outer);
                w.raw(") AS ").page_alias(outer.scope.alias).raw(")");
            }
        }
        Ok(())
    }

    /// Whether the select list would call it that by itself.
    pub(super) fn is_named(&self, name: &Name) -> bool {
        matches!(self, Self::Field { column, path: [], cast: None, .. }
            if column.name == *name && !column.computed && to_json(column).is_none())
    }

    /// Whether it has the type json, by which nothing can be grouped.
    pub(super) fn is_json(&self) -> bool {
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

/// What a scope's rows are shown as.
pub(super) fn outputs<'s, 'c, 'q>(
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
            Item::Count { .. } | Item::Field { aggregate: Some(_), .. } if !context.aggregates => {
                let detail = "Use of aggregate functions is not allowed";
                return Err(QueryError::bad("aggregates_disabled", detail));
            }
            Item::Count { alias, cast } => {
                outputs.push(count(alias.as_deref(), *cast));
            }
            // As it was written before there were aggregates.
            Item::Field { field, alias, cast, aggregate: None }
                if field.name == "count"
                    && context.aggregates
                    && table.column(context.case, "count").is_none() =>
            {
                outputs.push(count(alias.as_deref(), *cast));
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

/// How many rows a group has.
fn count<'s, 'c, 'q>(alias: Option<&'q str>, cast: Option<&'static str>) -> Output<'s, 'c, 'q> {
    let aggregate = Aggregate { function: "count", cast };
    Output {
        key: alias.map_or(Key::Ours(aggregate.function), Key::Bound),
        value: Value::Aggregate { aggregate, of: None },
    }
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
