//! `column=operator.value` and the logic trees `or=(...)`, `and=(...)`.

use std::borrow::Cow;

use super::{
    cursor::Cursor,
    select::{self, Budget, Field},
};
use crate::error::{QueryError, excerpt};

#[derive(Debug)]
pub(crate) enum Condition<'a> {
    Filter { field: Field<'a>, negated: bool, operation: Operation<'a> },
    Tree { all: bool, negated: bool, parts: Vec<Condition<'a>> },
}

#[derive(Debug)]
pub(crate) enum Operation<'a> {
    Compare {
        operator: &'static Operator,
        quantifier: Option<Quantifier>,
        value: Cow<'a, str>,
    },
    In(Vec<Cow<'a, str>>),
    /// `IS` and one of the words that SQL knows.
    Is(&'static str),
    TextSearch {
        function: &'static str,
        language: Option<Cow<'a, str>>,
        query: Cow<'a, str>,
    },
}

impl Operation<'_> {
    /// The value of a plain `eq`.
    pub(crate) fn equal_to(&self) -> Option<&str> {
        match self {
            Self::Compare { operator, quantifier: None, value } if operator.name == "eq" => Some(value),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Quantifier {
    Any,
    All,
}

/// An operator with one value.
#[derive(Debug)]
pub(crate) struct Operator {
    name: &'static str,
    pub(crate) sql: &'static str,
    pub(crate) operand: OperandType,
    quantifiable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OperandType {
    /// The column's.
    Column,
    /// Text, whatever the column is.
    Text,
    /// Text in which `*` stands for `%`.
    Pattern,
}

const fn operator(
    name: &'static str,
    sql: &'static str,
    operand: OperandType,
    quantifiable: bool,
) -> Operator {
    Operator { name, sql, operand, quantifiable }
}

const OPERATORS: &[Operator] = &[
    operator("eq", " = ", OperandType::Column, true),
    operator("neq", " <> ", OperandType::Column, false),
    operator("gt", " > ", OperandType::Column, true),
    operator("gte", " >= ", OperandType::Column, true),
    operator("lt", " < ", OperandType::Column, true),
    operator("lte", " <= ", OperandType::Column, true),
    operator("like", " LIKE ", OperandType::Pattern, true),
    operator("ilike", " ILIKE ", OperandType::Pattern, true),
    operator("match", " ~ ", OperandType::Text, true),
    operator("imatch", " ~* ", OperandType::Text, true),
    operator("isdistinct", " IS DISTINCT FROM ", OperandType::Column, false),
    operator("cs", " @> ", OperandType::Column, false),
    operator("cd", " <@ ", OperandType::Column, false),
    operator("ov", " && ", OperandType::Column, false),
    operator("sl", " << ", OperandType::Column, false),
    operator("sr", " >> ", OperandType::Column, false),
    operator("nxr", " &< ", OperandType::Column, false),
    operator("nxl", " &> ", OperandType::Column, false),
    operator("adj", " -|- ", OperandType::Column, false),
];

/// Trees deeper than this are nobody's question.
const MAX_TREE_DEPTH: usize = 16;

/// Where a value ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Parameter,
    Tree,
}

/// The value of one filter parameter.
pub(super) fn parameter<'a>(
    field: Field<'a>,
    value: &'a str,
    budget: &mut Budget,
) -> Result<Condition<'a>, QueryError> {
    Budget::spend(&mut budget.filters, "filters")?;
    let mut cursor = Cursor::new(value, "bad_filter");
    let (negated, operation) =
        operation(&mut cursor, Place::Parameter).map_err(|error| error.field(&field.name))?;
    if !cursor.at_end() {
        return Err(cursor.error("expected the end").field(&field.name));
    }
    Ok(Condition::Filter { field, negated, operation })
}

/// The value of `or`, `and`, `not.or`, `not.and`.
pub(super) fn tree<'a>(
    all: bool,
    negated: bool,
    value: &'a str,
    budget: &mut Budget,
) -> Result<Condition<'a>, QueryError> {
    let mut cursor = Cursor::new(value, "bad_filter");
    cursor.spaces();
    let parts = parts(&mut cursor, budget, MAX_TREE_DEPTH)?;
    if !cursor.at_end() {
        return Err(cursor.error("expected the end"));
    }
    Ok(Condition::Tree { all, negated, parts })
}

fn parts<'a>(
    cursor: &mut Cursor<'a>,
    budget: &mut Budget,
    depth: usize,
) -> Result<Vec<Condition<'a>>, QueryError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(QueryError::bad(
            "too_complex",
            format!("logic trees nest at most {MAX_TREE_DEPTH} deep"),
        ));
    };
    cursor.expect("(")?;
    let mut parts = Vec::new();
    loop {
        cursor.spaces();
        Budget::spend(&mut budget.filters, "filters")?;
        parts.push(part(cursor, budget, depth)?);
        cursor.spaces();
        if !cursor.eat(",") {
            break;
        }
    }
    cursor.expect(")")?;
    cursor.spaces();
    Ok(parts)
}

fn part<'a>(cursor: &mut Cursor<'a>, budget: &mut Budget, depth: usize) -> Result<Condition<'a>, QueryError> {
    for (word, all, negated) in
        [("and(", true, false), ("or(", false, false), ("not.and(", true, true), ("not.or(", false, true)]
    {
        // With its parenthesis, so that a column whose name begins like a logic word is still a column.
        if cursor.looking_at(word) {
            cursor.take(word.len() - 1);
            return Ok(Condition::Tree { all, negated, parts: parts(cursor, budget, depth)? });
        }
    }
    let field = select::field(cursor)?;
    cursor.expect(".").map_err(|error| error.field(&field.name))?;
    let (negated, operation) = operation(cursor, Place::Tree).map_err(|error| error.field(&field.name))?;
    Ok(Condition::Filter { field, negated, operation })
}

/// Whether a parameter's value looks like a filter. Tells tenant resolution's parameters from filters.
pub(crate) fn has_operator(value: &str) -> bool {
    let value = value.strip_prefix("not.").unwrap_or(value);
    let word = &value[..value.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(value.len())];
    let known = matches!(word, "in" | "is" | "fts" | "plfts" | "phfts" | "wfts")
        || OPERATORS.iter().any(|op| op.name == word);
    known && value[word.len()..].starts_with(['.', '('])
}

fn operation<'a>(cursor: &mut Cursor<'a>, place: Place) -> Result<(bool, Operation<'a>), QueryError> {
    let negated = cursor.eat("not.");
    let word = cursor.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
    let argument = if cursor.eat("(") {
        let argument = cursor.take_while(|c| c != ')' && c != '(');
        cursor.expect(")")?;
        Some(argument)
    } else {
        None
    };
    if !cursor.eat(".") {
        return Err(QueryError::bad(
            "bad_filter",
            "a filter is written operator.value, as in status=eq.open or created_at=gte.2026-01-01",
        ));
    }
    let operation = match (word, argument) {
        ("in", None) => Operation::In(list(cursor)?),
        ("is", None) => Operation::Is(is(cursor, place)?),
        ("fts" | "plfts" | "phfts" | "wfts", language) => Operation::TextSearch {
            function: match word {
                "fts" => "pg_catalog.to_tsquery(",
                "plfts" => "pg_catalog.plainto_tsquery(",
                "phfts" => "pg_catalog.phraseto_tsquery(",
                _ => "pg_catalog.websearch_to_tsquery(",
            },
            language: language.map(configuration).transpose()?.map(Cow::Borrowed),
            query: value(cursor, place),
        },
        _ => {
            let operator = OPERATORS.iter().find(|op| op.name == word).ok_or_else(|| unknown(word))?;
            let quantifier = match argument {
                None => None,
                Some("any") if operator.quantifiable => Some(Quantifier::Any),
                Some("all") if operator.quantifiable => Some(Quantifier::All),
                Some(_) => return Err(unknown(word)),
            };
            let mut value = value(cursor, place);
            if operator.operand == OperandType::Pattern && value.contains('*') {
                value = Cow::Owned(value.replace('*', "%"));
            }
            Operation::Compare { operator, quantifier, value }
        }
    };
    Ok((negated, operation))
}

/// The plain name of a text search configuration. PostgreSQL would also take an object's number, and names of other
/// schemas, whose refusal tells whether they are there.
fn configuration(name: &str) -> Result<&str, QueryError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(plain) {
        return Ok(name);
    }
    Err(QueryError::bad(
        "bad_filter",
        format!("'{}' is no language to search in; write it as in fts(english).word", excerpt(name)),
    ))
}

fn unknown(word: &str) -> QueryError {
    QueryError::bad(
        "unknown_operator",
        format!(
            "'{}' is not an operator here; use eq, neq, gt, gte, lt, lte, like, ilike, match, in, is, cs, cd, ov or fts",
            excerpt(word)
        ),
    )
}

fn is(cursor: &mut Cursor<'_>, place: Place) -> Result<&'static str, QueryError> {
    let word = value(cursor, place);
    [("null", "NULL"), ("not_null", "NOT NULL"), ("true", "TRUE"), ("false", "FALSE"), ("unknown", "UNKNOWN")]
        .into_iter()
        .find_map(|(name, sql)| name.eq_ignore_ascii_case(&word).then_some(sql))
        .ok_or_else(|| {
            QueryError::bad("bad_filter", "after 'is.' comes null, not_null, true, false or unknown")
        })
}

fn list<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<Cow<'a, str>>, QueryError> {
    cursor.spaces();
    cursor.expect("(")?;
    let mut values = Vec::new();
    if cursor.eat(")") {
        return Ok(values);
    }
    loop {
        values.push(delimited(cursor));
        if !cursor.eat(",") {
            break;
        }
    }
    cursor.expect(")")?;
    cursor.spaces();
    Ok(values)
}

fn value<'a>(cursor: &mut Cursor<'a>, place: Place) -> Cow<'a, str> {
    match place {
        Place::Parameter => Cow::Borrowed(cursor.take_rest()),
        Place::Tree => {
            // An array's commas and parentheses are its own.
            let rest = cursor.rest();
            if let Some(rest) = rest.strip_prefix('{')
                && let Some(end) = rest.find(['{', '}'])
                && rest[end..].starts_with('}')
            {
                return Cow::Borrowed(cursor.take(end + 2));
            }
            // A range's comma and its end too: `[1,10)`.
            if rest.starts_with(['[', '('])
                && let Some(end) = rest.find([']', ')'])
                && rest[..end].contains(',')
            {
                return Cow::Borrowed(cursor.take(end + 1));
            }
            delimited(cursor)
        }
    }
}

/// Quoted, or up to the next comma or closing parenthesis.
fn delimited<'a>(cursor: &mut Cursor<'a>) -> Cow<'a, str> {
    if cursor.looking_at("\"") {
        let before = cursor.position();
        if let Ok(value) = cursor.quoted()
            && (cursor.at_end() || cursor.looking_at(",") || cursor.looking_at(")"))
        {
            return value;
        }
        cursor.reset(before);
    }
    Cow::Borrowed(cursor.take_while(|c| c != ',' && c != ')'))
}
