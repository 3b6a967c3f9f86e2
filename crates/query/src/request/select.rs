//! `select=`: columns, aliases, casts, JSON paths and embedded tables.

use std::borrow::Cow;

use super::{cursor::Cursor, filter::Condition, order::OrderTerm};
use crate::{
    error::{QueryError, excerpt},
    request::Limits,
};

/// One table's part of the request: the root, or an embedding.
#[derive(Debug, Default)]
pub(crate) struct Level<'a> {
    pub(crate) items: Vec<Item<'a>>,
    pub(crate) filters: Vec<Condition<'a>>,
    pub(crate) order: Vec<OrderTerm<'a>>,
    pub(crate) limit: Option<u64>,
    pub(crate) offset: Option<u64>,
}

#[derive(Debug)]
pub(crate) enum Item<'a> {
    Star,
    Field {
        field: Field<'a>,
        alias: Option<Cow<'a, str>>,
        cast: Option<&'static str>,
        aggregate: Option<Aggregate>,
    },
    /// `count()`: of rows.
    Count {
        alias: Option<Cow<'a, str>>,
        cast: Option<&'static str>,
    },
    Embed(Box<Embed<'a>>),
}

/// One value of all rows of a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aggregate {
    /// The function's name, and the key where there is no alias.
    pub(crate) function: &'static str,
    /// What its result is cast to.
    pub(crate) cast: Option<&'static str>,
}

const AGGREGATES: [&str; 5] = ["sum", "avg", "count", "max", "min"];

#[derive(Debug)]
pub(crate) struct Embed<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) alias: Option<Cow<'a, str>>,
    pub(crate) hint: Option<Cow<'a, str>>,
    pub(crate) inner: bool,
    pub(crate) spread: bool,
    pub(crate) level: Level<'a>,
}

impl Embed<'_> {
    /// What filters on it and its key in the answer are called.
    pub(crate) fn label(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }
}

/// A column, or a place inside a JSON column.
#[derive(Debug)]
pub(crate) struct Field<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) path: Vec<Step<'a>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step<'a> {
    /// `->>` and not `->`.
    pub(crate) as_text: bool,
    pub(crate) operand: Operand<'a>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Operand<'a> {
    Key(Cow<'a, str>),
    Index(i32),
}

const MAX_PATH: usize = 16;

/// What the parser may still spend.
pub(super) struct Budget {
    pub(super) items: usize,
    pub(super) embeds: usize,
    pub(super) filters: usize,
    depth: usize,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            items: limits.max_items,
            embeds: limits.max_embeds,
            filters: limits.max_filters,
            depth: limits.max_embed_depth,
        }
    }

    pub(super) fn spend(left: &mut usize, what: &str) -> Result<(), QueryError> {
        *left = left
            .checked_sub(1)
            .ok_or_else(|| QueryError::bad("too_complex", format!("too many {what}; split the request")))?;
        Ok(())
    }
}

pub(super) fn parse<'a>(text: &'a str, budget: &mut Budget) -> Result<Vec<Item<'a>>, QueryError> {
    if text.trim().is_empty() {
        return Ok(vec![Item::Star]);
    }
    let mut cursor = Cursor::new(text, "bad_select");
    let depth = budget.depth;
    let items = list(&mut cursor, budget, depth)?;
    if cursor.at_end() { Ok(items) } else { Err(cursor.error("expected ',' or the end")) }
}

fn list<'a>(cursor: &mut Cursor<'a>, budget: &mut Budget, depth: usize) -> Result<Vec<Item<'a>>, QueryError> {
    let mut items = Vec::new();
    loop {
        cursor.spaces();
        Budget::spend(&mut budget.items, "entries in select and order")?;
        items.push(item(cursor, budget, depth)?);
        cursor.spaces();
        if !cursor.eat(",") {
            return Ok(items);
        }
    }
}

fn item<'a>(cursor: &mut Cursor<'a>, budget: &mut Budget, depth: usize) -> Result<Item<'a>, QueryError> {
    if cursor.eat("*") {
        return Ok(Item::Star);
    }
    let spread = cursor.eat("...");
    let mut alias = None;
    let mut name = cursor.name()?;
    if cursor.looking_at(":") && !cursor.looking_at("::") {
        if spread {
            return Err(cursor.error("a spread embedding takes no alias"));
        }
        cursor.eat(":");
        alias = Some(name);
        name = cursor.name()?;
    }
    if name == "count" && !spread && cursor.eat("()") {
        return Ok(Item::Count { alias, cast: optional_cast(cursor)? });
    }
    if cursor.looking_at("!") || cursor.looking_at("(") {
        return embed(
            cursor,
            budget,
            depth,
            Embed { name, alias, hint: None, inner: false, spread, level: Level::default() },
        );
    }
    if spread {
        return Err(cursor.error("expected '(' after a spread embedding"));
    }
    let path = path(cursor)?;
    let cast = optional_cast(cursor)?;
    let aggregate = if cursor.looking_at(".") { Some(aggregate(cursor)?) } else { None };
    Ok(Item::Field { field: Field { name, path }, alias, cast, aggregate })
}

/// `.sum()`, `.sum()::text`.
fn aggregate(cursor: &mut Cursor<'_>) -> Result<Aggregate, QueryError> {
    let before = cursor.position();
    cursor.expect(".")?;
    let name = cursor.take_while(|c| c.is_ascii_alphabetic());
    let Some(function) = AGGREGATES.into_iter().find(|known| *known == name) else {
        cursor.reset(before);
        return Err(cursor.error("expected .sum(), .avg(), .count(), .max() or .min()"));
    };
    cursor.expect("()")?;
    Ok(Aggregate { function, cast: optional_cast(cursor)? })
}

fn optional_cast(cursor: &mut Cursor<'_>) -> Result<Option<&'static str>, QueryError> {
    if cursor.eat("::") { cast(cursor).map(Some) } else { Ok(None) }
}

fn embed<'a>(
    cursor: &mut Cursor<'a>,
    budget: &mut Budget,
    depth: usize,
    mut embed: Embed<'a>,
) -> Result<Item<'a>, QueryError> {
    while cursor.eat("!") {
        let word = cursor.name()?;
        match &*word {
            "inner" => embed.inner = true,
            "left" => {}
            _ if embed.hint.is_some() => {
                return Err(cursor.error("an embedding takes one hint; unexpected text"));
            }
            _ => embed.hint = Some(word),
        }
    }
    cursor.expect("(")?;
    Budget::spend(&mut budget.embeds, "embeddings")?;
    let Some(depth) = depth.checked_sub(1) else {
        return Err(QueryError::bad(
            "too_complex",
            "the embeddings are nested too deeply; ask for the inner ones separately",
        ));
    };
    cursor.spaces();
    if !cursor.looking_at(")") {
        embed.level.items = list(cursor, budget, depth)?;
    }
    cursor.expect(")")?;
    Ok(Item::Embed(Box::new(embed)))
}

/// `name->key->>0`, as in `order` and filters.
pub(super) fn field<'a>(cursor: &mut Cursor<'a>) -> Result<Field<'a>, QueryError> {
    Ok(Field { name: cursor.name()?, path: path(cursor)? })
}

pub(super) fn path<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<Step<'a>>, QueryError> {
    let mut steps = Vec::new();
    while cursor.eat("->") {
        if steps.len() == MAX_PATH {
            return Err(QueryError::bad("too_complex", format!("a JSON path has at most {MAX_PATH} steps")));
        }
        let as_text = cursor.eat(">");
        let quoted = cursor.looking_at("\"");
        let name = cursor.name()?;
        let digits = name.strip_prefix('-').unwrap_or(&name);
        let is_index = !quoted && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty();
        let operand = if is_index {
            Operand::Index(name.parse().map_err(|_| cursor.error("the array index is too large"))?)
        } else {
            Operand::Key(name)
        };
        steps.push(Step { as_text, operand });
    }
    Ok(steps)
}

/// The types that a client may cast to: those whose text form every client can read.
fn cast(cursor: &mut Cursor<'_>) -> Result<&'static str, QueryError> {
    let name = cursor.name()?;
    Ok(match &*name.to_ascii_lowercase() {
        "text" => "text",
        "varchar" | "character varying" => "character varying",
        "smallint" | "int2" => "smallint",
        "integer" | "int" | "int4" => "integer",
        "bigint" | "int8" => "bigint",
        "numeric" | "decimal" => "numeric",
        "real" | "float4" => "real",
        "double precision" | "float8" | "float" => "double precision",
        "boolean" | "bool" => "boolean",
        "date" => "date",
        "time" => "time",
        "timestamp" => "timestamp",
        "timestamptz" | "timestamp with time zone" => "timestamp with time zone",
        "interval" => "interval",
        "uuid" => "uuid",
        "json" => "json",
        "jsonb" => "jsonb",
        _ => {
            return Err(QueryError::bad(
                "unknown_cast",
                format!("'{}' is not a type to cast to; use text, integer, numeric, boolean, date, timestamptz, uuid or json", excerpt(&name)),
            )
            .field(&name));
        }
    })
}
