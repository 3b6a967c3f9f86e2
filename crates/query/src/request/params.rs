//! The query string: decoded once, then sorted into the levels of the select tree.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{
    Limits,
    cursor::Cursor,
    filter::{self},
    order, range,
    select::{self, Budget, Item, Level},
};
use crate::error::{QueryError, excerpt};

/// The query string's meaning, still in the client's names.
#[derive(Debug, Default)]
pub(crate) struct Parsed<'a> {
    pub(crate) root: Level<'a>,
    /// Whether `select` was given.
    pub(crate) selects: bool,
    pub(crate) columns: Option<Vec<Cow<'a, str>>>,
    pub(crate) on_conflict: Option<Vec<Cow<'a, str>>>,
}

/// A key and its value.
pub(crate) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Keys and values, decoded.
pub(crate) fn pairs<'a>(query: &'a str, limits: &Limits) -> Result<Vec<Pair<'a>>, QueryError> {
    if query.len() > limits.max_query_bytes {
        let detail = format!("the query string is longer than {} bytes; send less", limits.max_query_bytes);
        return Err(QueryError::new(414, "query_too_long", detail));
    }
    split(query).collect()
}

/// Keys and values of a query string or a form, decoded.
pub(super) fn split(text: &str) -> impl Iterator<Item = Result<Pair<'_>, QueryError>> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(key)?, decode(value)?))
    })
}

/// Percent-decoding that refuses what it cannot decode, and NUL, which PostgreSQL cannot hold.
fn decode(text: &str) -> Result<Cow<'_, str>, QueryError> {
    let bad = || QueryError::bad("bad_encoding", format!("'{}' is not percent-encoded UTF-8", excerpt(text)));
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|b| *b == b'%') {
        at += found + 1;
        let digits = bytes.get(at..at + 2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
        if !digits {
            return Err(bad());
        }
    }
    let decoded = if text.contains('+') {
        let spaced = text.replace('+', " ");
        Cow::Owned(percent_decode_str(&spaced).decode_utf8().map_err(|_| bad())?.into_owned())
    } else {
        percent_decode_str(text).decode_utf8().map_err(|_| bad())?
    };
    if decoded.contains('\0') {
        return Err(QueryError::bad(
            "nul_byte",
            "the request holds a NUL byte, which text cannot; remove it",
        ));
    }
    Ok(decoded)
}

/// `is_column` says whether the root table has a column of that name.
pub(crate) fn parse<'a>(
    pairs: &'a [Pair<'a>],
    limits: &Limits,
    table: &str,
    is_column: impl Fn(&str) -> bool,
) -> Result<Parsed<'a>, QueryError> {
    let mut budget = Budget::new(limits);
    let mut parsed = Parsed::default();
    for (key, value) in pairs {
        if key == "select" {
            once(parsed.selects, key)?;
            parsed.selects = true;
            parsed.root.items = select::parse(value, &mut budget)?;
        }
    }
    if !parsed.selects {
        parsed.root.items.push(Item::Star);
    }
    for (key, value) in pairs {
        match &**key {
            "select" => {}
            "columns" => {
                once(parsed.columns.is_some(), key)?;
                parsed.columns = Some(names(value)?);
            }
            "on_conflict" => {
                once(parsed.on_conflict.is_some(), key)?;
                parsed.on_conflict = Some(names(value)?);
            }
            // The data plane took the tenant from these; they are filters only where they can be nothing else.
            "tenant" | "tenant_id" | "tenantId" if !(is_column(key) && filter::has_operator(value)) => {}
            _ => parameter(&mut parsed.root, key, value, &mut budget).map_err(|error| match error.code {
                // A parameter nobody knows is better called that than a bad filter.
                "bad_filter" | "unknown_operator" if is_unknown(key, &parsed.root, &is_column) => {
                    QueryError::unknown_column(table, key)
                }
                _ => error,
            })?,
        }
    }
    Ok(parsed)
}

fn is_unknown(key: &str, root: &Level<'_>, is_column: impl Fn(&str) -> bool) -> bool {
    let plain = !key.contains(['.', '"', '-']) && !matches!(key, "and" | "or");
    let embedded = root.items.iter().any(|item| matches!(item, Item::Embed(embed) if embed.label() == key));
    plain && !embedded && !is_column(key)
}

/// A parameter of the root or, with a path in front, of an embedding.
fn parameter<'a>(
    root: &mut Level<'a>,
    key: &'a str,
    value: &'a str,
    budget: &mut Budget,
) -> Result<(), QueryError> {
    let mut cursor = Cursor::new(key, "bad_parameter");
    let mut name = cursor.name().map_err(|error| error.field(key))?;
    let mut negated = false;
    let mut embeddings = Vec::new();
    while cursor.eat(".") {
        if name == "not" && matches!(cursor.rest(), "and" | "or") {
            negated = true;
        } else {
            embeddings.push(name);
        }
        name = cursor.name().map_err(|error| error.field(key))?;
    }
    let path = select::path(&mut cursor).map_err(|error| error.field(key))?;
    if !cursor.at_end() {
        return Err(cursor.error("unexpected text").field(key));
    }
    let mut level = root;
    for name in embeddings {
        level = embedded(level, &name).ok_or_else(|| not_embedded(&name, key))?;
    }
    match &*name {
        "order" => {
            once(!level.order.is_empty(), key)?;
            if !value.is_empty() {
                level.order = order::parse(value, budget)?;
            }
        }
        "limit" => {
            once(level.limit.is_some(), key)?;
            level.limit = Some(range::number(key, value)?);
        }
        "offset" => {
            once(level.offset.is_some(), key)?;
            // As PostgREST: one before the first is the first.
            level.offset = Some(range::number(key, value.strip_prefix('-').map_or(value, |_| "0"))?);
        }
        "and" | "or" => level.filters.push(filter::tree(name == "and", negated, value, budget)?),
        _ => level.filters.push(filter::parameter(select::Field { name, path }, value, budget)?),
    }
    Ok(())
}

fn embedded<'l, 'a>(level: &'l mut Level<'a>, label: &str) -> Option<&'l mut Level<'a>> {
    level.items.iter_mut().find_map(|item| match item {
        Item::Embed(embed) if embed.label() == label => Some(&mut embed.level),
        _ => None,
    })
}

/// A parameter speaks of what is not embedded.
pub(crate) fn not_embedded(label: &str, key: &str) -> QueryError {
    let label = excerpt(label);
    QueryError::bad(
        "not_embedded",
        format!("'{label}' is not embedded; add {label}(*) to select, or check the parameter's name"),
    )
    .field(key)
    .with_message(format!("'{label}' is not an embedded resource in this request"))
    .with_hint(format!("Verify that '{label}' is included in the 'select' query parameter."))
}

fn once(seen: bool, key: &str) -> Result<(), QueryError> {
    if seen {
        return Err(QueryError::bad(
            "duplicate_parameter",
            format!("'{}' is given twice; give it once", excerpt(key)),
        )
        .field(key));
    }
    Ok(())
}

/// A list of names, `a,"b,c"`.
pub(crate) fn names(value: &str) -> Result<Vec<Cow<'_, str>>, QueryError> {
    let mut cursor = Cursor::new(value, "bad_columns");
    let mut names = Vec::new();
    loop {
        names.push(cursor.name()?);
        if !cursor.eat(",") {
            break;
        }
    }
    if cursor.at_end() { Ok(names) } else { Err(cursor.error("expected ','")) }
}
