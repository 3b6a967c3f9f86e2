//! Filters and order as SQL.

use super::{
    scope::Scope,
    writer::{Alias, Writer},
};
use crate::{
    catalog::{Column, Family, Name, Table},
    error::{QueryError, excerpt},
    json_case::JsonCase,
    request::{
        filter::{Condition, OperandType, Operation, Quantifier},
        order::OrderTerm,
        select::{Field, Operand, Step},
    },
};

/// A table whose columns conditions name.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'s, 'c, 'q> {
    pub(crate) table: &'c Table,
    pub(crate) case: JsonCase,
    pub(crate) alias: Alias,
    /// For `embedding=is.null`; a write has no embeddings to ask.
    pub(crate) embeds: &'s [super::embed::Embedded<'c, 'q>],
}

impl<'c> Subject<'_, 'c, '_> {
    fn column(&self, name: &str) -> Result<&'c Column, QueryError> {
        self.table.column(self.case, name).ok_or_else(|| QueryError::unknown_column(self.table.name(), name))
    }
}

/// All of them, joined by AND.
pub(crate) fn all(
    w: &mut Writer,
    subject: Subject<'_, '_, '_>,
    conditions: &[Condition<'_>],
) -> Result<(), QueryError> {
    for (at, condition) in conditions.iter().enumerate() {
        if at > 0 {
            w.raw(" AND ");
        }
        one(w, subject, condition)?;
    }
    Ok(())
}

fn one(w: &mut Writer, subject: Subject<'_, '_, '_>, condition: &Condition<'_>) -> Result<(), QueryError> {
    match condition {
        Condition::Tree { all, negated, parts } => {
            w.raw(if *negated { "NOT (" } else { "(" });
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    w.raw(if *all { " AND " } else { " OR " });
                }
                one(w, subject, part)?;
            }
            w.raw(")");
            Ok(())
        }
        Condition::Filter { field, negated, operation } => {
            if field.path.is_empty()
                && subject.table.column(subject.case, &field.name).is_none()
                && let Some(embedded) =
                    subject.embeds.iter().find(|embedded| embedded.embed.label() == field.name)
            {
                let missing = match operation {
                    Operation::Is("NULL") => !negated,
                    Operation::Is("NOT NULL") => *negated,
                    _ => {
                        let detail = "Only is null or not is null filters are allowed on embedded resources";
                        return Err(QueryError::bad("bad_embedding_filter", detail)
                            .field(&field.name)
                            .with_details(detail)
                            .with_message(format!(
                                "Bad operator on the '{}' embedded resource",
                                excerpt(&field.name)
                            )));
                    }
                };
                w.raw(if missing { "NOT EXISTS (SELECT 1" } else { "EXISTS (SELECT 1" });
                w.replay(&embedded.scope.from_where).raw(")");
                return Ok(());
            }
            let column = subject.column(&field.name)?;
            if *negated {
                w.raw("NOT (");
            }
            filter(w, subject.alias, column, field, operation)?;
            if *negated {
                w.raw(")");
            }
            Ok(())
        }
    }
}

fn filter(
    w: &mut Writer,
    alias: Alias,
    column: &Column,
    field: &Field<'_>,
    operation: &Operation<'_>,
) -> Result<(), QueryError> {
    // The type of the left side; paths end in text or in a JSON value, which only jsonb can compare.
    let on_path = match field.path.last() {
        Some(step) if step.as_text => Some("text"),
        Some(_) => Some("jsonb"),
        None => (column.base.family == Family::Json).then_some("jsonb"),
    };
    let cast = |w: &mut Writer, value: &str| {
        match on_path {
            Some("text") => w.bind(value),
            Some(ty) => w.bind_cast(value, ty),
            None => match from_text(column) {
                Some(function) => w.function(function).raw("(").bind(value).raw(")"),
                None => w.bind_as(value, &column.base),
            },
        };
    };
    match operation {
        Operation::Is(word) => {
            value(w, alias, column, &field.path, true);
            w.raw(" IS ").raw(word);
        }
        Operation::In(values) => {
            value(w, alias, column, &field.path, true);
            let one_by_one = column.base.family == Family::Array || from_text(column).is_some();
            if on_path.is_none() && one_by_one && !values.is_empty() {
                // An array of arrays would be one array of two dimensions, so each is compared by itself.
                w.raw(" IN (");
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        w.raw(", ");
                    }
                    cast(w, value);
                }
                w.raw(")");
            } else if on_path.is_none() && one_by_one {
                w.raw(" IS NULL AND false");
            } else {
                // One parameter however many values: one prepared statement serves them all.
                w.raw(" = ANY (CAST(").bind(array_literal(values)).raw(" AS ");
                match on_path {
                    Some(ty) => w.raw(ty),
                    None => w.type_name(&column.base),
                };
                w.raw("[]))");
            }
        }
        Operation::Compare { operator, quantifier, value: operand } => {
            value(w, alias, column, &field.path, true);
            w.raw(operator.sql);
            match quantifier {
                None if operator.operand == OperandType::Column => cast(w, operand),
                None => {
                    w.bind(&**operand);
                }
                Some(quantifier) => {
                    w.raw(match quantifier {
                        Quantifier::Any => "ANY (CAST(",
                        Quantifier::All => "ALL (CAST(",
                    });
                    w.bind(&**operand).raw(" AS ");
                    match (operator.operand, on_path) {
                        (OperandType::Column, None) if column.base.family == Family::Array => {
                            let detail = "any and all do not apply to an array column";
                            return Err(QueryError::bad("bad_filter", detail).field(&field.name));
                        }
                        (OperandType::Column, None) => w.type_name(&column.base),
                        (OperandType::Column, Some(ty)) => w.raw(ty),
                        _ => w.raw("text"),
                    };
                    w.raw("[]))");
                }
            }
        }
        Operation::TextSearch { function, language, query } => {
            let language = language.as_deref().map(|language| w.parameter(language));
            let vector = on_path.is_none() && column.base.family == Family::TsVector;
            if !vector {
                w.raw("pg_catalog.to_tsvector(");
                if let Some(language) = language {
                    w.raw("CAST(").placeholder(language).raw(" AS regconfig), ");
                }
            }
            value(w, alias, column, &field.path, true);
            w.raw(if vector { " @@ " } else { ") @@ " }).raw(function);
            if let Some(language) = language {
                w.raw("CAST(").placeholder(language).raw(" AS regconfig), ");
            }
            w.bind(&**query).raw(")");
        }
    }
    Ok(())
}

/// How a domain's values are read from a filter.
fn from_text(column: &Column) -> Option<&Name> {
    column.ty.casts.as_ref()?.from_text.as_ref()
}

/// A column, or a place in it. `comparable` makes the result of a path one that has operators: jsonb, never json.
pub(crate) fn value(w: &mut Writer, alias: Alias, column: &Column, path: &[Step<'_>], comparable: bool) {
    if path.is_empty() && !(comparable && column.base.family == Family::Json) {
        w.value_of(alias, column);
        return;
    }
    w.raw("(");
    match column.base.family {
        Family::Jsonb => w.value_of(alias, column),
        Family::Json if !comparable => w.value_of(alias, column),
        _ => w.raw("pg_catalog.to_jsonb(").value_of(alias, column).raw(")"),
    };
    for step in path {
        w.raw(if step.as_text { " ->> " } else { " -> " });
        match &step.operand {
            Operand::Key(key) => w.bind(&**key),
            Operand::Index(index) => w.bind_cast(index.to_string(), "integer"),
        };
    }
    w.raw(")");
}

/// `{"a","b\"c"}`: always quoted, so that no value reads as NULL or as structure.
pub(super) fn array_literal<T: AsRef<str>>(values: &[T]) -> String {
    let mut out =
        String::with_capacity(2 + values.iter().map(|value| value.as_ref().len() + 3).sum::<usize>());
    out.push('{');
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push('"');
        for c in value.as_ref().chars() {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('"');
    }
    out.push('}');
    out
}

/// `ORDER BY`, when there is an order.
pub(crate) fn order(
    w: &mut Writer,
    case: JsonCase,
    scope: &Scope<'_, '_>,
    terms: &[OrderTerm<'_>],
) -> Result<(), QueryError> {
    for (at, term) in terms.iter().enumerate() {
        w.raw(if at == 0 { " ORDER BY " } else { ", " });
        order_by(w, case, scope, term)?;
        direction(w, term);
    }
    Ok(())
}

/// What rows are ordered by.
pub(super) fn order_by(
    w: &mut Writer,
    case: JsonCase,
    scope: &Scope<'_, '_>,
    term: &OrderTerm<'_>,
) -> Result<(), QueryError> {
    let name = &term.field.name;
    let Some(label) = &term.embed else {
        let column = scope
            .table
            .column(case, name)
            .ok_or_else(|| QueryError::unknown_column(scope.table.name(), name))?;
        value(w, scope.alias, column, &term.field.path, true);
        return Ok(());
    };
    let embedded = scope
        .embeds
        .iter()
        .find(|embedded| embedded.embed.label() == label)
        .ok_or_else(|| crate::request::not_embedded(label, "order"))?;
    if !embedded.relationship.to_one() {
        let label = excerpt(label);
        let detail =
            format!("ordering by '{label}' needs a related table of which each row has one row at most");
        return Err(QueryError::bad("bad_related_order", detail)
            .field(label)
            .with_message(format!("A related order on '{label}' is not possible"))
            .with_details(format!(
                "'{}' and '{label}' do not form a many-to-one or one-to-one relationship",
                scope.table.name()
            )));
    }
    let table = embedded.scope.table;
    let column = table.column(case, name).ok_or_else(|| QueryError::unknown_column(table.name(), name))?;
    w.raw("(SELECT ");
    value(w, embedded.scope.alias, column, &term.field.path, true);
    w.replay(&embedded.scope.from_where).raw(if embedded.is_cut() { " LIMIT 1)" } else { ")" });
    Ok(())
}

/// `ORDER BY` what the request says, and the primary key.
pub(super) fn order_to_the_key(
    w: &mut Writer,
    case: JsonCase,
    scope: &Scope<'_, '_>,
) -> Result<(), QueryError> {
    order(w, case, scope, &scope.level.order)?;
    let mut word = if scope.level.order.is_empty() { " ORDER BY " } else { ", " };
    for column in scope.table.primary_key() {
        w.raw(word).column(scope.alias, &column.name);
        word = ", ";
    }
    Ok(())
}

pub(super) fn direction(w: &mut Writer, term: &OrderTerm<'_>) {
    if term.descending {
        w.raw(" DESC");
    }
    match term.nulls_first {
        Some(true) => w.raw(" NULLS FIRST"),
        Some(false) => w.raw(" NULLS LAST"),
        None => w,
    };
}
