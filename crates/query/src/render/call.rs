//! A function's call, as the CTE `called`; and the answer of one that returns values instead of rows.

use super::{
    Context,
    output::within_limit,
    plain,
    read::{Bound, Made},
    writer::{KEPT_ROW, Writer},
};
use crate::{
    catalog::{Argument, Function, Name, Returns, Volatility},
    request::{media::Format, range::Window},
};

/// What a function is called with.
pub(crate) enum Arguments<'a> {
    /// From the query string; several texts of one that takes any number.
    Texts(Vec<(&'a Argument, Vec<String>)>),
    /// From the members of a JSON object, with the spelling of each.
    Object { text: String, members: Vec<(&'a Argument, &'a Name)> },
    /// The body is the one argument.
    Body { text: String, argument: &'a Argument },
}

/// The name of the column of values.
const VALUE: &str = "\"pgrst_scalar\"";

/// `WITH called AS (...)`. Once, however often its rows are needed.
pub(crate) fn called(
    w: &mut Writer,
    context: Context<'_>,
    function: &Function,
    mut arguments: Arguments<'_>,
) {
    // One that only reads may be planned together with what is asked of its rows.
    let volatile = function.volatility == Volatility::Volatile;
    w.raw(if volatile { "WITH called AS MATERIALIZED (SELECT " } else { "WITH called AS (SELECT " });
    match function.returns {
        Returns::Nothing => w.raw("1"),
        Returns::Value(_) => w.raw("f.").raw(VALUE),
        Returns::Table(at) => {
            let table = context.catalog.table_at(at);
            w.raw("f.*, CAST(ROW(f.*) AS ").table(table).raw(") AS ").raw(KEPT_ROW)
        }
        Returns::Columns(_) => w.raw("f.*"),
    };
    w.raw(" FROM ");
    if let Arguments::Object { text, members } = &mut arguments
        && !members.is_empty()
    {
        w.raw("pg_catalog.json_to_record(").bind_cast(std::mem::take(text), "json").raw(") AS r(");
        for (at, (argument, name)) in members.iter().enumerate() {
            w.raw(if at > 0 { ", " } else { "" }).name(name).raw(" ").type_name(&argument.ty);
        }
        w.raw("), LATERAL ");
    }
    w.function(&function.name).raw("(");
    match arguments {
        Arguments::Texts(texts) => {
            for (at, (argument, mut values)) in texts.into_iter().enumerate() {
                named(w, at, argument);
                let is_array = matches!(values.as_slice(), [one] if one.starts_with('{'));
                let value = if argument.variadic && !is_array {
                    super::condition::array_literal(&values)
                } else {
                    // Of several the last counts.
                    values.pop().unwrap_or_default()
                };
                w.bind_as(value, &argument.ty);
            }
        }
        Arguments::Object { members, .. } => {
            for (at, (argument, name)) in members.into_iter().enumerate() {
                named(w, at, argument);
                w.raw("r.").name(name);
            }
        }
        Arguments::Body { text, argument } => {
            w.bind_as(text, &argument.ty);
        }
    }
    w.raw(") AS f");
    if matches!(function.returns, Returns::Value(_)) {
        w.raw("(").raw(VALUE).raw(")");
    }
    w.raw(") ");
}

/// `name := `; an argument that takes any number is said to be it.
fn named(w: &mut Writer, at: usize, argument: &Argument) {
    w.raw(if at > 0 { ", " } else { "" }).raw(if argument.variadic { "VARIADIC " } else { "" });
    w.name(&argument.name).raw(" := ");
}

/// How values are answered.
pub(crate) struct Values<'a> {
    pub(crate) window: Window,
    pub(crate) body: bool,
    pub(crate) count: bool,
    pub(crate) format: &'a Format,
    pub(crate) bound: Bound,
}

/// The statement's SELECT over `called`, of a function that returns values or nothing.
pub(crate) fn values(w: &mut Writer, context: Context<'_>, function: &Function, values: &Values<'_>) -> Made {
    w.raw("SELECT ");
    values.bound.checked(w, "pg_catalog.count(*)");
    w.raw(" AS page_count, ");
    if values.count {
        w.raw("(SELECT pg_catalog.count(*) FROM called)");
    } else {
        w.raw("CAST(NULL AS bigint)");
    }
    w.raw(" AS total_count, ");
    let Returns::Value(ty) = &function.returns else {
        w.raw("CAST(NULL AS text) AS body FROM called");
        return Made { bytes: false };
    };
    let bytes = ty.bytes && matches!(values.format, Format::Bytes | Format::Own(_));
    let value = |w: &mut Writer| {
        w.raw("p.").raw(VALUE);
    };
    let text = |w: &mut Writer| match values.format {
        _ if !values.body => {
            w.raw("CAST(NULL AS text)");
        }
        Format::Json { .. } | Format::Object { .. } if function.set => {
            w.raw("CAST(coalesce(pg_catalog.json_agg(p.").raw(VALUE).raw("), '[]') AS text)");
        }
        Format::Json { .. } | Format::Object { .. } => {
            w.raw("coalesce(pg_catalog.string_agg(CAST(pg_catalog.to_json(p.").raw(VALUE);
            w.raw(") AS text), ''), 'null')");
        }
        Format::Csv => {
            w.raw(r"E'pgrst_scalar\n' || ");
            plain::csv_lines(w, value);
        }
        _ if bytes => plain::bytes(w, |w| {
            w.raw("CAST(p.").raw(VALUE).raw(" AS bytea)");
        }),
        _ => plain::texts(w, value),
    };
    within_limit(w, context, text);
    w.raw(" AS body FROM (SELECT * FROM called");
    if function.set {
        let limit = values.window.limit.unwrap_or(context.limits.max_rows);
        w.raw(" LIMIT ").bind_cast(limit.to_string(), "bigint");
        w.raw(" OFFSET ").bind_cast(values.window.offset.to_string(), "bigint");
    }
    w.raw(") AS p");
    Made { bytes }
}
