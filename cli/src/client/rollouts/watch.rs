//! `tenantry rollouts watch`: a bar per wave on a terminal, a line per change elsewhere.

use std::{io::IsTerminal, time::Duration};

use anyhow::bail;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::client::{
    Client,
    human::{one_line, text},
    output::note,
    problem::is_passing,
};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Looks in a row that may fail because the control plane is away: about a minute.
const TRIES: u32 = 120;

/// Follows a rollout until it is over, or halts; the rollout as it is then.
pub(super) async fn follow(client: &Client, id: &str) -> anyhow::Result<Value> {
    let mut display = Display::new(client);
    let mut failures = 0;
    let path = ["rollouts", id];
    loop {
        let looked = tokio::select! {
            looked = client.api.get(&path, &[]) => looked,
            _ = tokio::signal::ctrl_c() => {
                display.end();
                bail!("stopped waiting; the rollout goes on\n  -> tenantry rollouts watch {id}\n  -> tenantry rollouts pause {id}")
            }
        };
        match looked {
            Ok(rollout) => {
                failures = 0;
                display.show(&rollout);
                if !matches!(rollout["state"].as_str(), Some("running" | "paused")) {
                    display.end();
                    return Ok(rollout);
                }
            }
            Err(error) if is_passing(&error) && failures < TRIES => failures += 1,
            Err(error) => {
                display.end();
                return Err(error);
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Says how a rollout ended; an error unless it is as it was to be.
pub(super) fn verdict(client: &Client, rollout: &Value, wanted: &str) -> anyhow::Result<()> {
    let (id, state) = (text(&rollout["id"]), text(&rollout["state"]));
    let what = format!("rollout of {} {}", text(&rollout["app"]), text(&rollout["targetVersion"]));
    let done = text(&rollout["tenants"]["done"]);
    if state == wanted || (wanted == "succeeded" && state == "rolled_back") {
        let failed = match rollout["tenants"]["failed"].as_u64() {
            Some(0) | None => String::new(),
            Some(failed) => format!(", {failed} failed: tenantry rollouts tenants {id} --state failed"),
        };
        let verb = if state == "rolled_back" { "are back where they were" } else { "have it" };
        return client.output.done(rollout, &format!("{what}: {done} tenants {verb}{failed}"));
    }
    client.output.done_as_json(rollout)?;
    let reason = rollout["reason"].as_str().map_or_else(|| "no reason is known".to_owned(), one_line);
    match state.as_str() {
        "halted" => bail!(
            "{what} has halted: {reason}\n  -> see which: tenantry rollouts tenants {id} --state failed\n  \
             -> go on: tenantry rollouts resume {id}, with --target for a version that mends it\n  \
             -> or take it back: tenantry rollouts rollback {id}"
        ),
        _ => bail!("{what} is {state}: {reason}"),
    }
}

/// Where progress is shown; always on standard error.
enum Display {
    /// A terminal, with a bar per wave.
    Bars(MultiProgress, Vec<ProgressBar>),
    /// A file or a pipe, with the last line that was written.
    Lines(String),
    /// Nowhere.
    None,
}

impl Display {
    fn new(client: &Client) -> Self {
        if std::io::stderr().is_terminal() {
            Self::Bars(MultiProgress::new(), Vec::new())
        } else if client.output.is_json() {
            // A program finds one JSON object on standard error, or nothing.
            Self::None
        } else {
            Self::Lines(String::new())
        }
    }

    fn show(&mut self, rollout: &Value) {
        let waves = rollout["waves"].as_array().map(Vec::as_slice).unwrap_or_default();
        match self {
            Self::Bars(all, bars) => {
                while bars.len() < waves.len() {
                    bars.push(all.add(bar()));
                }
                for (number, (bar, wave)) in bars.iter().zip(waves).enumerate() {
                    let count = |state: &str| wave["tenants"][state].as_u64().unwrap_or_default();
                    bar.set_length(count("total"));
                    bar.set_position(count("done") + count("failed") + count("skipped"));
                    bar.set_prefix(name(number, wave));
                    let is_at_it = rollout["wave"].as_u64() == u64::try_from(number + 1).ok();
                    bar.set_message(if is_at_it { words(rollout) } else { String::new() });
                }
            }
            Self::Lines(last) => {
                let counts = &rollout["tenants"];
                let line = format!(
                    "wave {} of {}  {} of {} done, {} failed  {}",
                    text(&rollout["wave"]),
                    waves.len(),
                    text(&counts["done"]),
                    text(&counts["total"]),
                    text(&counts["failed"]),
                    words(rollout)
                );
                if *last != line {
                    note(&line);
                    *last = line;
                }
            }
            Self::None => {}
        }
    }

    fn end(&self) {
        if let Self::Bars(_, bars) = self {
            for bar in bars {
                bar.abandon();
            }
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:<12} [{bar:30}] {pos:>6} of {len:<6} {wide_msg}")
        .expect("the template is valid")
        .progress_chars("=> ");
    ProgressBar::new(0).with_style(style)
}

fn name(number: usize, wave: &Value) -> String {
    wave["percent"]
        .as_u64()
        .map_or_else(|| format!("{}: canaries", number + 1), |percent| format!("{}: {percent} %", number + 1))
}

/// What a rollout does now, in words.
fn words(rollout: &Value) -> String {
    match (rollout["state"].as_str(), rollout["reason"].as_str()) {
        (Some("running"), _) if rollout["soakUntil"].is_string() => {
            format!("watched until {}", text(&rollout["soakUntil"]))
        }
        (Some("running"), _) => {
            let left = rollout["secondsLeft"].as_u64().map(|left| format!(", {left} s left"));
            format!("{} per minute{}", text(&rollout["tenantsPerMinute"]), left.unwrap_or_default())
        }
        (state, reason) => {
            let reason = reason.map(|reason| format!(": {}", one_line(reason))).unwrap_or_default();
            format!("{}{reason}", state.unwrap_or_default())
        }
    }
}
