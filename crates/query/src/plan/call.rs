//! `/rpc/{function}`: which function is meant, and with what.

use std::borrow::Cow;

use tenantry_domain::permission::Verb;

use super::{Asked, Planned, is_one_column, json_body, own_media_types, shape, window};
use crate::{
    catalog::{Argument, Function, Name, Returns, Table, Volatility},
    error::{QueryError, excerpt},
    json_case::JsonCase,
    render::{
        call::{self, Arguments, Values},
        read::{self, Bound, Read},
        scope::Source,
        writer::Writer,
    },
    request::{
        self, Limits, Method, Pair,
        body::Body,
        form, has_operator,
        media::{self, BodyFormat, Format},
        select::{Item, Level},
    },
};

pub(super) fn plan(asked: &Asked<'_>, schema: &str, name: &str) -> Result<Planned, QueryError> {
    let (request, case) = (asked.request, asked.options.case);
    let is_read = matches!(request.method, Method::Get | Method::Head);
    if !is_read && request.method != Method::Post {
        let detail = format!("Cannot use the {} method on RPC", request.method.as_str());
        return Err(
            QueryError::new(405, "function_method", detail).with_hint("call it with GET, HEAD or POST")
        );
    }
    let mut found = asked.context.catalog.functions_for(case, name);
    found.retain(|function| asked.options.exposes(function.name()));
    let ((function, arguments), filters) = if is_read {
        by_query(asked, name, &found)?
    } else {
        // `columns` says which members of the body are arguments.
        let filters = asked.pairs.iter().filter(|(key, _)| key != "columns");
        (by_body(asked, name, &found)?, filters.map(borrowed).collect())
    };
    let mut writer = Writer::new(schema);
    writer.uses(Verb::Execute, function.name());
    call::called(&mut writer, asked.context, function, arguments);
    let table = table_of(asked, function);
    let usual = function.returned_value().and_then(|ty| ty.media_type());
    let usual = usual.map(|media| if media == "*/*" { "application/octet-stream" } else { media });
    // Of a call by POST every parameter is a filter.
    let is_column = |name: &str| !is_read || table.is_some_and(|table| table.column(case, name).is_some());
    let parsed = request::parse(&filters, asked.context.limits, function.name(), is_column)?;
    let mut own = table.map(|table| own_media_types(asked, table, &parsed.root)).unwrap_or_default();
    own.extend(usual);
    let one_column = function.returned_value().is_some() || is_one_column(&parsed.root);
    let format = asked.accepted.format(&own, usual, one_column)?;
    let bound = bound(asked, function, &format)?;
    let count = asked.preferences.count;
    let header = request.range_of_get().filter(|_| function.set);
    let rows = window(header, &parsed.root, asked.context.limits)?;
    let body = request.method != Method::Head;
    let made = if let Some(table) = table {
        let read = Read {
            source: Source::Called,
            window: rows,
            single: !function.set || matches!(format, Format::Object { .. }),
            body,
            count: count.is_some(),
            format: &format,
            bound,
        };
        read::read(&mut writer, asked.context, table, &parsed.root, &read)?
    } else {
        refuse_names(function, &parsed.root)?;
        let values = Values { window: rows, body, count: count.is_some(), format: &format, bound };
        call::values(&mut writer, asked.context, function, &values)
    };
    let is_write = !is_read && function.volatility == Volatility::Volatile;
    let mut response = shape(asked, &format, count);
    response.called = true;
    response.nothing = function.returns_nothing();
    response.returns_body = body && !response.nothing;
    response.singular = function.set && matches!(format, Format::Object { .. });
    response.hexadecimal = made.bytes;
    response.offset = rows.offset;
    response.limit = rows.limit;
    response.bound = bound;
    function.name().clone_into(&mut response.table);
    asked.planned(writer, response, is_write)
}

/// The table whose columns its rows have.
fn table_of<'a>(asked: &Asked<'a>, function: &'a Function) -> Option<&'a Table> {
    match &function.returns {
        Returns::Table(at) => Some(asked.context.catalog.table_at(*at)),
        Returns::Columns(table) => Some(table),
        Returns::Value(_) | Returns::Nothing => None,
    }
}

fn borrowed<'a>((key, value): &'a Pair<'_>) -> Pair<'a> {
    (Cow::Borrowed(key), Cow::Borrowed(value))
}

/// The function that is meant, and what it is called with.
type Chosen<'a> = (&'a Function, Arguments<'a>);

/// GET: parameters that are no filters are arguments; the others are left.
fn by_query<'a>(
    asked: &'a Asked<'_>,
    name: &str,
    found: &[&'a Function],
) -> Result<(Chosen<'a>, Vec<Pair<'a>>), QueryError> {
    let case = asked.options.case;
    let is_filter = |(key, value): &&Pair<'_>| {
        let is_argument = || found.iter().any(|function| argument_of(function, case, key).is_some());
        let has_column = |table: &Table| table.column(case, key).is_some();
        let is_column = || found.iter().any(|function| table_of(asked, function).is_some_and(has_column));
        is_of_the_language(key)
            || (matches!(&**key, "tenant" | "tenant_id" | "tenantId") && !is_argument())
            || (has_operator(value) && (is_column() || !is_argument()))
    };
    let (filters, arguments): (Vec<_>, Vec<_>) = asked.pairs.iter().partition(is_filter);
    let chosen = by_texts(asked, name, found, &arguments, false)?;
    Ok((chosen, filters.into_iter().map(borrowed).collect()))
}

/// PostgreSQL's functions take no more.
const MAX_ARGUMENTS: usize = 100;

/// The function that takes texts of these names.
fn by_texts<'a>(
    asked: &Asked<'_>,
    name: &str,
    found: &[&'a Function],
    pairs: &[&Pair<'_>],
    by_body: bool,
) -> Result<Chosen<'a>, QueryError> {
    // The texts of each name, in the order of their first.
    let mut given: Vec<(&str, Vec<String>)> = Vec::new();
    for (key, value) in pairs {
        if let Some((_, values)) = given.iter_mut().find(|(known, _)| known == key) {
            values.push(value.to_string());
        } else if given.len() == MAX_ARGUMENTS {
            let detail = format!("a function has at most {MAX_ARGUMENTS} arguments; send fewer");
            return Err(QueryError::bad("too_complex", detail));
        } else {
            given.push((key, vec![value.to_string()]));
        }
    }
    let names: Vec<&str> = given.iter().map(|(name, _)| *name).collect();
    let function =
        choose(asked, name, found, &names)?.ok_or_else(|| unknown(name, &names, found, by_body))?;
    let texts = given.into_iter().filter_map(|(name, values)| {
        let (argument, _) = argument_of(function, asked.options.case, name)?;
        Some((argument, values))
    });
    let texts: Vec<_> = texts.collect();
    refuse_twice(texts.iter().map(|(argument, _)| *argument))?;
    Ok((function, Arguments::Texts(texts)))
}

/// An argument that is given in two spellings, or listed twice.
fn refuse_twice<'a>(arguments: impl Iterator<Item = &'a Argument>) -> Result<(), QueryError> {
    let mut seen: Vec<&Argument> = Vec::new();
    for argument in arguments {
        if seen.iter().any(|known| std::ptr::eq(*known, argument)) {
            let detail = format!("'{}' is given twice; give it once", argument.name());
            return Err(QueryError::bad("bad_body", detail).field(argument.name()));
        }
        seen.push(argument);
    }
    Ok(())
}

/// POST: the members of the body are arguments, or the body is the one argument.
fn by_body<'a>(asked: &Asked<'_>, name: &str, found: &[&'a Function]) -> Result<Chosen<'a>, QueryError> {
    let body = asked.request.body;
    let ty = match media::body_format(asked.request.content_type)? {
        BodyFormat::Json | BodyFormat::Csv => return by_json(asked, name, found),
        BodyFormat::Form => {
            let pairs = form::pairs(body)?.collect::<Result<Vec<_>, _>>()?;
            return by_texts(asked, name, found, &pairs.iter().collect::<Vec<_>>(), true);
        }
        BodyFormat::Text => "text",
        BodyFormat::Xml => "xml",
        BodyFormat::Bytes => "bytea",
    };
    let (function, argument) = takes_body(found, &[ty]).ok_or_else(|| unknown(name, &[], found, true))?;
    let text = if ty == "bytea" { hexadecimal(body) } else { text(body)?.to_owned() };
    Ok((function, Arguments::Body { text, argument }))
}

/// A function whose one argument a body of one of these types is.
fn takes_body<'a>(found: &[&'a Function], types: &[&str]) -> Option<(&'a Function, &'a Argument)> {
    found.iter().find_map(|function| {
        let argument = function.body_argument().filter(|argument| types.contains(&argument.ty.name()))?;
        Some((*function, argument))
    })
}

fn text(body: &[u8]) -> Result<&str, QueryError> {
    let text = std::str::from_utf8(body).map_err(|_| QueryError::bad("bad_body", "the body is not UTF-8"))?;
    if text.contains('\0') {
        return Err(QueryError::bad("nul_byte", "the body holds a NUL byte; remove it"));
    }
    Ok(text)
}

fn by_json<'a>(asked: &Asked<'_>, name: &str, found: &[&'a Function]) -> Result<Chosen<'a>, QueryError> {
    let limits = asked.context.limits;
    let bytes = json_body(asked.request, 1, limits)?;
    let empty = bytes.iter().all(u8::is_ascii_whitespace);
    let json = std::str::from_utf8(if empty { b"{}" } else { &bytes })
        .map_err(|_| QueryError::bad("bad_json", "the body is not UTF-8"))?;
    let (object, keys) = first_object(json, limits)?;
    let listed = listed(asked)?;
    if let (Some(keys), Some(text)) = (listed.as_ref().or(keys.as_ref()), object) {
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        if let Some(function) = choose(asked, name, found, &names)? {
            let member = |name: &&str| argument_of(function, asked.options.case, name);
            let members: Vec<_> = names.iter().filter_map(member).collect();
            refuse_twice(members.iter().map(|(argument, _)| *argument))?;
            return Ok((function, Arguments::Object { text, members }));
        }
    }
    let (function, argument) = takes_body(found, &["json", "jsonb"]).ok_or_else(|| {
        let names: Vec<&str> = keys.iter().flatten().map(String::as_str).collect();
        unknown(name, &names, found, true)
    })?;
    Ok((function, Arguments::Body { text: json.to_owned(), argument }))
}

/// The first object of a body, and its keys: of an array of objects the first is what a call is made with. None of a
/// body that holds something else; a function may take it as it is.
fn first_object(json: &str, limits: &Limits) -> Result<(Option<String>, Option<Vec<String>>), QueryError> {
    if !json.trim_start().starts_with(['{', '[']) {
        Body::check(json.as_bytes())?;
        return Ok((None, None));
    }
    match Body::parse(json.as_bytes(), limits) {
        Ok(body) => {
            let first = body.sets.first();
            let keys = first.map(|set| set.keys.iter().map(|key| key.clone().into_owned()).collect());
            Ok((first.and_then(|set| set.rows.first()).map(|row| (*row).to_owned()), keys))
        }
        Err(error) if error.code == "bad_json" || error.code == "nul_byte" => Err(error),
        // Too much or too different for rows: perhaps one value.
        Err(_) => {
            Body::check(json.as_bytes())?;
            Ok((None, None))
        }
    }
}

/// Bytes as PostgreSQL reads them.
fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("\\x");
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    text
}

/// `columns=`: which members of the body count.
fn listed(asked: &Asked<'_>) -> Result<Option<Vec<String>>, QueryError> {
    let Some((_, value)) = asked.pairs.iter().find(|(key, _)| key == "columns") else { return Ok(None) };
    let names = request::names(value)?;
    Ok(Some(names.into_iter().map(Cow::into_owned).collect()))
}

/// Parameters that are never arguments.
fn is_of_the_language(key: &str) -> bool {
    matches!(key, "select" | "order" | "limit" | "offset" | "and" | "or" | "columns" | "on_conflict")
        || key.contains('.')
}

fn argument_of<'a>(function: &'a Function, case: JsonCase, name: &str) -> Option<(&'a Argument, &'a Name)> {
    function.arguments.iter().find_map(|argument| {
        if argument.name.plain().is_empty() {
            return None;
        }
        if argument.name.plain() == name {
            return Some((argument, &argument.name));
        }
        (case == JsonCase::Camel && argument.camel.plain() == name).then_some((argument, &argument.camel))
    })
}

/// The one function that takes these arguments; none: there is none.
fn choose<'a>(
    asked: &Asked<'_>,
    name: &str,
    found: &[&'a Function],
    given: &[&str],
) -> Result<Option<&'a Function>, QueryError> {
    let case = asked.options.case;
    let fits = |function: &&Function| {
        given.iter().all(|name| argument_of(function, case, name).is_some())
            && function.arguments.iter().all(|argument| {
                argument.optional()
                    || given.iter().any(|name| {
                        argument_of(function, case, name)
                            .is_some_and(|(named, _)| std::ptr::eq(named, argument))
                    })
            })
    };
    let fitting: Vec<&Function> = found.iter().copied().filter(fits).collect();
    match fitting.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        several => {
            let candidates: Vec<String> = several.iter().map(|function| signature(function)).collect();
            let detail =
                format!("Could not choose the best candidate function between: {}", candidates.join(", "));
            Err(QueryError::new(300, "ambiguous_function", detail).field(name).with_hint(
                "Try renaming the parameters or the function itself in the database so function overloading can be resolved",
            ))
        }
    }
}

fn signature(function: &Function) -> String {
    let arguments: Vec<String> = function
        .arguments()
        .iter()
        .map(|argument| format!("{} => {}", argument.name(), argument.full_type()))
        .collect();
    format!("public.{}({})", function.name(), arguments.join(", "))
}

fn unknown(name: &str, given: &[&str], found: &[&Function], by_body: bool) -> QueryError {
    let name = excerpt(name);
    let given: Vec<&str> = given.iter().take(20).map(|name| excerpt(name)).collect();
    let (call, with) = if given.is_empty() {
        (format!("public.{name}"), "without parameters".to_owned())
    } else {
        let list = given.join(", ");
        (format!("public.{name}({list})"), format!("with parameters {list}"))
    };
    let or = if by_body { " or with a single unnamed json/jsonb parameter" } else { "" };
    let error = QueryError::new(
        404,
        "unknown_function",
        format!("Could not find the function {call} in the schema cache"),
    )
    .field(name)
    .with_details(format!(
        "Searched for the function public.{name} {with}{or}, but no matches were found in the schema cache."
    ));
    match found.first() {
        Some(first) => {
            error.with_hint(format!("Perhaps you meant to call the function {}", signature(first)))
        }
        None => error,
    }
}

/// With which number of rows what the function did is undone.
fn bound(asked: &Asked<'_>, function: &Function, format: &Format) -> Result<Bound, QueryError> {
    if asked.preferences.most_affected().is_some() && !function.set {
        let detail =
            "Function must return SETOF or TABLE when max-affected preference is used with handling=strict";
        return Err(QueryError::bad("max_affected_of_value", detail).field("prefer"));
    }
    Ok(match asked.preferences.most_affected() {
        Some(most) => Bound::Most(most),
        None if function.set && matches!(format, Format::Object { .. }) => Bound::One,
        None => Bound::Any,
    })
}

/// Values have no columns to select, filter or order by.
fn refuse_names(function: &Function, root: &Level<'_>) -> Result<(), QueryError> {
    let named = root.items.iter().find_map(|item| match item {
        Item::Star => None,
        Item::Field { field, .. } => Some(field.name.to_string()),
        Item::Count { .. } => Some("count".to_owned()),
        Item::Embed(embed) => Some(embed.name.to_string()),
    });
    let named = named.or_else(|| root.order.first().map(|term| term.field.name.to_string()));
    let named = named.or_else(|| (!root.filters.is_empty()).then(|| "a filter".to_owned()));
    match named {
        Some(name) => Err(QueryError::unknown_column(function.name(), &name)),
        None => Ok(()),
    }
}
