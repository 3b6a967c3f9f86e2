//! `--watch`: looking again and again. A terminal is redrawn; elsewhere each change is a line.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use anyhow::Context;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use console::{Term, truncate_str};
use serde_json::Value;
use tenantry_domain::{Clock, SystemClock};

use super::{
    human::text,
    output::{Column, Output, Shown, note},
    problem::is_passing,
};

/// Whether to look once or again and again.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WatchArgs {
    /// Look again every so many seconds (1 to 3600; 2 if not given) until Ctrl-C. A terminal is redrawn;
    /// elsewhere each change is a line, with --output json an object.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u16).range(1..=3600)
    )]
    watch: Option<u16>,
}

impl WatchArgs {
    pub(crate) fn interval(self) -> Option<Duration> {
        self.watch.map(|seconds| Duration::from_secs(seconds.into()))
    }
}

/// Looks in a row that may fail because the control plane is away, before giving up.
const TRIES: u32 = 16;

/// Shows what `read` finds, `{"items": [...]}` and perhaps `orders`, until Ctrl-C or until nobody reads it. `draw` makes a
/// terminal's whole text, `columns` a line elsewhere.
pub(crate) async fn run(
    output: Output,
    interval: Duration,
    columns: &[Column],
    draw: impl Fn(&Value, DateTime<Utc>) -> String,
    read: impl AsyncFn() -> anyhow::Result<Value>,
) -> anyhow::Result<()> {
    let mut screen = if io::stdout().is_terminal() && !output.is_json() {
        Screen::Terminal
    } else {
        Screen::Lines(Changes::new(output, columns))
    };
    let mut failures = 0;
    loop {
        let looked = tokio::select! {
            looked = read() => looked,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let now = SystemClock.now();
        let shown = match looked {
            Ok(answer) => {
                failures = 0;
                match &mut screen {
                    Screen::Terminal => frame(&draw(&answer, now), Term::stdout().size(), interval, now),
                    Screen::Lines(changes) => changes.lines(&answer, now),
                }
            }
            Err(error) if is_passing(&error) && failures < TRIES => {
                failures += 1;
                note(&format!("{error:#}; looking again"));
                String::new()
            }
            Err(error) => return Err(error),
        };
        let mut stdout = io::stdout().lock();
        match stdout.write_all(shown.as_bytes()).and_then(|()| stdout.flush()) {
            // Whoever read it has seen enough, e.g. `| head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("standard output cannot be written")?,
        }
        drop(stdout);
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}

enum Screen<'a> {
    Terminal,
    Lines(Changes<'a>),
}

/// A terminal's new text, drawn over the old one: what does not fit is cut off, not wrapped.
fn frame(body: &str, (rows, columns): (u16, u16), interval: Duration, now: DateTime<Utc>) -> String {
    let heading =
        format!("every {} s, now {}; Ctrl-C ends it", interval.as_secs(), now.format("%H:%M:%S UTC"));
    let (rows, columns) = (usize::from(rows), usize::from(columns));
    let lines = [heading.as_str(), ""].into_iter().chain(body.lines());
    // The last row stays empty: a line's end there would scroll.
    let lines = lines.take(rows.saturating_sub(1)).map(|line| truncate_str(line, columns, "…"));
    // Home; each line with the rest of its row cleared; all rows below cleared.
    let drawn: String = lines.flat_map(|line| [line, "\x1b[K\r\n".into()]).collect();
    format!("\x1b[H{drawn}\x1b[J")
}

/// What was shown of each item, to show what changed.
struct Changes<'a> {
    output: Output,
    columns: &'a [Column],
    known: BTreeMap<String, Value>,
    widths: Vec<usize>,
}

impl<'a> Changes<'a> {
    fn new(output: Output, columns: &'a [Column]) -> Self {
        let widths = columns.iter().map(|(title, _)| title.len()).collect();
        Self { output, columns, known: BTreeMap::new(), widths }
    }

    /// A line for each item that is new or has changed since the last look.
    fn lines(&mut self, answer: &Value, now: DateTime<Utc>) -> String {
        // What is being made is a line, too.
        let items = ["items", "orders"].into_iter().filter_map(|of| answer[of].as_array()).flatten();
        let mut lines = String::new();
        let mut seen = BTreeMap::new();
        for item in items {
            let key = text(item.get("id").unwrap_or(&item["name"]));
            // In words, a change that no column shows is none.
            let shown: Value = if self.output.is_json() {
                item.clone()
            } else {
                self.columns.iter().map(|(_, shown)| item.pointer(shown.pointer()).cloned()).collect()
            };
            if self.known.get(&key) != Some(&shown) {
                lines += &self.line(item, now);
                lines.push('\n');
            }
            seen.insert(key, shown);
        }
        self.known = seen;
        lines
    }

    fn line(&mut self, item: &Value, now: DateTime<Utc>) -> String {
        if self.output.is_json() {
            return item.to_string();
        }
        let mut cells = vec![now.to_rfc3339_opts(SecondsFormat::Secs, true)];
        for ((_, shown), width) in self.columns.iter().zip(&mut self.widths) {
            // A line is read later: a time in it is absolute.
            let cell = match shown {
                Shown::Time(pointer) => text(item.pointer(pointer).unwrap_or(&Value::Null)),
                other => other.of(item, now),
            };
            *width = cell.chars().count().max(*width);
            cells.push(format!("{cell:<width$}"));
        }
        cells.join("  ").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[("name", Shown::Text("/name")), ("created", Shown::Time("/createdAt"))];

    fn args(line: &[&str]) -> Result<WatchArgs, clap::Error> {
        let command = WatchArgs::augment_args(Command::new("x")).no_binary_name(true);
        WatchArgs::from_arg_matches(&command.try_get_matches_from(line)?)
    }

    #[test]
    fn the_interval_is_bounded() {
        let seconds = |line: &[&str]| args(line).map(|args| args.interval().map(|i| i.as_secs()));
        assert_eq!(seconds(&[]).unwrap(), None);
        assert_eq!(seconds(&["--watch"]).unwrap(), Some(2));
        assert_eq!(seconds(&["--watch=60"]).unwrap(), Some(60));
        assert!(seconds(&["--watch=0"]).is_err() && seconds(&["--watch=3601"]).is_err());
    }

    #[test]
    fn away_from_a_terminal_only_changes_are_lines() {
        let mut changes = Changes::new(Output::Table, COLUMNS);
        let now = DateTime::UNIX_EPOCH;
        let a = json!({"id": "1", "name": "a", "createdAt": "2026-01-01T00:00:00Z", "hidden": 1});
        let line = "1970-01-01T00:00:00Z  a     2026-01-01T00:00:00Z\n";
        assert_eq!(changes.lines(&json!({"items": [a]}), now), line);
        let mut again = a.clone();
        again["hidden"] = 2.into();
        assert_eq!(changes.lines(&json!({"items": [again]}), now), "");
        again["name"] = "b".into();
        assert_eq!(changes.lines(&json!({"items": [again]}), now), line.replace("  a ", "  b "));
    }

    #[test]
    fn for_programs_each_changed_item_is_one_line_of_json() {
        let mut changes = Changes::new(Output::Json, COLUMNS);
        let answer = json!({"items": [{"id": "1", "n": 1}, {"id": "2", "n": 1}]});
        let lines = changes.lines(&answer, DateTime::UNIX_EPOCH);
        assert_eq!(lines, "{\"id\":\"1\",\"n\":1}\n{\"id\":\"2\",\"n\":1}\n");
        let answer = json!({"items": [{"id": "1", "n": 1}, {"id": "2", "n": 2}]});
        assert_eq!(changes.lines(&answer, DateTime::UNIX_EPOCH), "{\"id\":\"2\",\"n\":2}\n");
    }

    #[test]
    fn a_frame_fits_the_terminal() {
        let frame =
            frame("one\ntwo is long\nthree\nfour", (5, 6), Duration::from_secs(2), DateTime::UNIX_EPOCH);
        assert_eq!(frame, "\x1b[Hevery…\x1b[K\r\n\x1b[K\r\none\x1b[K\r\ntwo i…\x1b[K\r\n\x1b[J");
    }
}
