//! Standard output: what the control plane answered, as a table or as JSON. But for [`super::watch`],
//! nothing else prints there.

use std::io::{self, Write};

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde_json::Value;
use tenantry_domain::{Clock, SystemClock};

use super::human;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    // For people. No doc comments here: clap would show each value in a paragraph of its own.
    Table,
    // What the API answered, for programs.
    Json,
}

/// What a column shows of an item.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shown {
    /// The member as it is.
    Text(&'static str),
    /// Features that are switched on and off.
    Switches(&'static str),
    /// A time, from now.
    Time(&'static str),
    /// A number of bytes; without one, `unlimited`.
    Size(&'static str),
    /// A number of bytes; without one, nothing.
    OwnSize(&'static str),
    /// A number; without one, `unlimited`.
    Limit(&'static str),
    /// A share from 0 to 1, in percent.
    Percent(&'static str),
    /// The member, or another where there is none.
    Either(&'static str, &'static str),
}

/// A column of a list, or a line of a single thing: its title and what it shows.
pub(crate) type Column = (&'static str, Shown);

impl Shown {
    pub(crate) fn of(self, item: &Value, now: DateTime<Utc>) -> String {
        let member = |pointer: &str| item.pointer(pointer).unwrap_or(&Value::Null);
        match self {
            Self::Text(pointer) => human::text(member(pointer)),
            Self::Switches(pointer) => human::switches(member(pointer)),
            Self::Time(pointer) => human::time(member(pointer), now),
            Self::Size(pointer) => member(pointer).as_u64().map_or_else(|| "unlimited".into(), human::size),
            Self::OwnSize(pointer) => member(pointer).as_u64().map_or_else(|| "-".into(), human::size),
            Self::Limit(pointer) => match member(pointer) {
                Value::Null => "unlimited".into(),
                value => human::text(value),
            },
            Self::Percent(pointer) => {
                member(pointer).as_f64().map_or_else(|| "-".into(), |share| format!("{:.0} %", share * 100.0))
            }
            Self::Either(pointer, other) => match member(pointer) {
                Value::Null => human::text(member(other)),
                value => human::text(value),
            },
        }
    }

    /// Where in an item it is.
    pub(crate) fn pointer(self) -> &'static str {
        match self {
            Self::Text(pointer)
            | Self::Switches(pointer)
            | Self::Time(pointer)
            | Self::Size(pointer)
            | Self::OwnSize(pointer)
            | Self::Limit(pointer)
            | Self::Percent(pointer)
            | Self::Either(pointer, _) => pointer,
        }
    }
}

impl Output {
    pub(crate) fn is_json(self) -> bool {
        self == Self::Json
    }

    /// Prints a list's answer, `{"items": [...], "nextCursor": ...}`.
    pub(crate) fn list(self, answer: &Value, columns: &[Column]) -> anyhow::Result<()> {
        if self == Self::Json {
            return json(answer);
        }
        line(&table_of(answer, columns, SystemClock.now()))
    }

    /// Prints one thing, a line for each member that the answer has.
    pub(crate) fn one(self, answer: &Value, lines: &[Column]) -> anyhow::Result<()> {
        if self == Self::Json {
            return json(answer);
        }
        line(&lines_of(answer, lines, SystemClock.now()))
    }

    /// Prints what comes as it comes: it is for programs in any case.
    #[expect(clippy::unused_self, reason = "what prints is an output")]
    pub(crate) fn raw(self, bytes: &[u8]) -> anyhow::Result<()> {
        printed(io::stdout().lock().write_all(bytes))
    }

    /// Prints the answer as JSON, if that is asked for.
    pub(crate) fn done_as_json(self, answer: &Value) -> anyhow::Result<()> {
        if self == Self::Json { json(answer) } else { Ok(()) }
    }

    /// Prints a sentence, unless JSON is asked for.
    pub(crate) fn done_in_words(self, sentence: &str) -> anyhow::Result<()> {
        if self == Self::Json { Ok(()) } else { line(sentence) }
    }

    /// Prints the answer as JSON, or else a sentence.
    pub(crate) fn done(self, answer: &Value, sentence: &str) -> anyhow::Result<()> {
        match self {
            Self::Json if answer.is_null() => Ok(()),
            Self::Json => json(answer),
            Self::Table => line(sentence),
        }
    }
}

/// A list's answer as a table. A column that no item has is left out: the control plane may be older.
pub(crate) fn table_of(answer: &Value, columns: &[Column], now: DateTime<Utc>) -> String {
    let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        return "nothing found".into();
    }
    let has = |(_, shown): &&Column| match shown {
        Shown::Either(..) => true,
        _ => items.iter().any(|item| item.pointer(shown.pointer()).is_some()),
    };
    let columns: Vec<_> = columns.iter().filter(has).collect();
    let mut table = plain_table();
    table.set_header(columns.iter().map(|(title, _)| title.to_uppercase()));
    for item in items {
        table.add_row(columns.iter().map(|(_, shown)| shown.of(item, now)));
    }
    text_of(&mut table)
}

/// One thing, a line for each member that it has.
pub(crate) fn lines_of(item: &Value, lines: &[Column], now: DateTime<Utc>) -> String {
    let mut table = plain_table();
    for (title, shown) in lines {
        if item.pointer(shown.pointer()).is_some() {
            table.add_row([(*title).to_owned(), shown.of(item, now)]);
        }
    }
    text_of(&mut table)
}

/// A table without lines: easy to read, to grep and to cut.
fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn text_of(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

fn json(value: &Value) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

fn line(text: &str) -> anyhow::Result<()> {
    printed(writeln!(io::stdout().lock(), "{text}"))
}

fn printed(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        // Whoever read it has seen enough, e.g. `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output cannot be written"),
    }
}

/// Says something to the person at the terminal, on standard error.
#[expect(clippy::print_stderr, reason = "standard output holds the answer alone")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_that_is_not_there_is_a_dash_or_unlimited() {
        let item = json!({"limits": {"maxUsers": 7, "maxStorageBytes": 10_737_418_240_u64}, "progress": 0.5});
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(Shown::Text("/slug").of(&item, now), "-");
        assert_eq!(Shown::Limit("/limits/maxUsers").of(&item, now), "7");
        assert_eq!(Shown::Size("/limits/maxStorageBytes").of(&item, now), "10 GiB");
        assert_eq!(Shown::Limit("/limits/apiRequestsPerDay").of(&item, now), "unlimited");
        assert_eq!(Shown::Percent("/progress").of(&item, now), "50 %");
        assert_eq!(Shown::Either("/subject/name", "/progress").of(&item, now), "0.5");
    }

    #[test]
    fn a_column_that_no_item_has_is_left_out() {
        let columns = &[("name", Shown::Text("/name")), ("lane", Shown::Text("/lane"))];
        let table = |answer| table_of(&answer, columns, DateTime::UNIX_EPOCH);
        assert_eq!(table(json!({"items": [{"name": "a"}]})), "NAME\na");
        assert_eq!(table(json!({"items": [{"name": "a", "lane": null}]})), "NAME  LANE\na     -");
        assert_eq!(table(json!({"items": []})), "nothing found");
    }
}
