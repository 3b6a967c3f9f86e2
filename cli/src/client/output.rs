//! Standard output: what the control plane answered, as a table or as JSON. Nothing else prints there.

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
    /// For people.
    Table,
    /// What the API answered, for programs.
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
}

/// A column of a list, or a line of a single thing: its title and what it shows.
pub(crate) type Column = (&'static str, Shown);

impl Shown {
    fn of(self, item: &Value, now: DateTime<Utc>) -> String {
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
            | Self::Percent(pointer) => pointer,
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
        let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        if items.is_empty() {
            return line("nothing found");
        }
        let now = SystemClock.now();
        let mut table = plain_table();
        table.set_header(columns.iter().map(|(title, _)| title.to_uppercase()));
        for item in items {
            table.add_row(columns.iter().map(|(_, shown)| shown.of(item, now)));
        }
        print_table(&mut table)
    }

    /// Prints one thing, a line for each member that the answer has.
    pub(crate) fn one(self, answer: &Value, lines: &[Column]) -> anyhow::Result<()> {
        if self == Self::Json {
            return json(answer);
        }
        let now = SystemClock.now();
        let mut table = plain_table();
        for (title, shown) in lines {
            if answer.pointer(shown.pointer()).is_some() {
                table.add_row([(*title).to_owned(), shown.of(answer, now)]);
            }
        }
        print_table(&mut table)
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

/// A table without lines: easy to read, to grep and to cut.
fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn print_table(table: &mut Table) -> anyhow::Result<()> {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    line(&table.trim_fmt())
}

fn json(value: &Value) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

fn line(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
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
    }
}
