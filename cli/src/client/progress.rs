//! Following an operation by its event stream until it is over, and saying how it ended.

use std::{fmt, io::IsTerminal, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use eventsource_stream::Eventsource;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Response;
use serde_json::{Value, json};

use super::{
    Client,
    http::Api,
    human::{one_line, text},
    member,
    output::{Output, note},
    problem::is_passing,
};

/// Whether to wait for the work that a command begins.
#[derive(Debug, Clone, Args)]
pub(crate) struct WaitArgs {
    /// Do not wait until the work is done.
    #[arg(long)]
    no_wait: bool,
}

impl WaitArgs {
    /// Whether not to.
    pub(crate) const fn no_wait(&self) -> bool {
        self.no_wait
    }
}

/// Tries without any answer in between, before giving up: about a minute.
const TRIES: u32 = 16;
/// The wait before the stream is opened again; doubled with each try that fails.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Without an event for so long, the operation itself is looked at: one that is stuck may say no more.
const WITHOUT_NEWS: Duration = Duration::from_secs(30);

/// Waits for begun work, `{"tenant": ..., "operation": ...}`, if it is to be waited for: how both are
/// then. Work on a server has no tenant. `None` means that it goes on; the answer as it is was printed.
pub(crate) async fn finish(client: &Client, begun: Value, wait: &WaitArgs) -> anyhow::Result<Option<Value>> {
    finish_after(client, begun, wait, String::new()).await
}

/// As [`finish`], without the part of the story that ends with a known event.
pub(crate) async fn finish_after(
    client: &Client,
    begun: Value,
    wait: &WaitArgs,
    after: String,
) -> anyhow::Result<Option<Value>> {
    if begun["operation"].is_null() {
        // It was so already.
        return Ok(Some(begun));
    }
    let id = member(&begun, "/operation/id")?;
    let subject = subject(&begun["operation"], &begun["tenant"]);
    if wait.no_wait {
        let work = work(&begun["operation"], subject.as_deref());
        client.output.done(&begun, &format!("{work} goes on; tenantry operations watch {id}"))?;
        return Ok(None);
    }
    let operation = follow(client, &begun["operation"], after).await?;
    let mut ended = json!({ "operation": operation });
    if let Some(tenant) = begun["tenant"]["id"].as_str() {
        ended["tenant"] = client.api.get(&["tenants", tenant], &[]).await?;
    }
    if let Err(unsuccessful) = verdict(&operation, subject.as_deref()) {
        // Programs get the whole story; people the error below.
        client.output.done_as_json(&ended)?;
        return Err(unsuccessful.into());
    }
    Ok(Some(ended))
}

/// What an operation is on, for a sentence: the tenant's slug, or what the operation says itself.
pub(crate) fn subject(operation: &Value, tenant: &Value) -> Option<String> {
    tenant["slug"].as_str().or_else(|| operation["subject"]["name"].as_str()).map(one_line)
}

/// An operation in words: `provision of acme`.
pub(crate) fn work(operation: &Value, subject: Option<&str>) -> String {
    let of = subject.map_or_else(String::new, |subject| format!(" of {subject}"));
    format!("{}{of}", text(&operation["kind"]))
}

/// The last event of an operation that is over; nothing for one that goes on.
pub(crate) async fn last_event(api: &Api, id: &str) -> anyhow::Result<String> {
    let mut last = String::new();
    if is_over(&api.get(&["operations", id], &[]).await?) {
        let story = api.events(&["operations", id, "events"], "").await?;
        show(story, &mut last, &Display::None).await;
    }
    Ok(last)
}

/// Follows an operation until it is over, or stuck; how it is then. `after` is the last event to leave out.
pub(crate) async fn follow(client: &Client, operation: &Value, after: String) -> anyhow::Result<Value> {
    let id = member(operation, "/id")?;
    let display = Display::new(client.output, &text(&operation["kind"]));
    let ended = tokio::select! {
        ended = until_settled(&client.api, id, after, &display) => ended,
        _ = tokio::signal::ctrl_c() => {
            display.end();
            bail!("stopped waiting; the operation goes on\n  -> tenantry operations watch {id}\n  -> tenantry operations cancel {id}")
        }
    };
    display.end();
    ended.with_context(|| {
        format!("the operation could not be followed, but may go on\n  -> tenantry operations watch {id}\nwhat happened")
    })
}

async fn until_settled(api: &Api, id: &str, mut after: String, display: &Display) -> anyhow::Result<Value> {
    let mut failures = 0;
    loop {
        match look(api, id, &mut after, display).await {
            Ok(operation) if is_over(&operation) || operation["state"] == "stuck" => return Ok(operation),
            Ok(_) => failures = 0,
            Err(error) if is_passing(&error) && failures < TRIES => {
                failures += 1;
                display.lost();
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep((FIRST_WAIT * (1 << failures.min(8))).min(LONGEST_WAIT)).await;
    }
}

/// Shows what happens until the stream ends, be it after the last event or with the connection, or says
/// nothing for a while; the operation as it is then.
async fn look(api: &Api, id: &str, after: &mut String, display: &Display) -> anyhow::Result<Value> {
    let story = api.events(&["operations", id, "events"], after).await?;
    show(story, after, display).await;
    api.get(&["operations", id], &[]).await
}

/// Shows events until the stream ends, for whatever reason. `after` is then the last one seen.
async fn show(response: Response, after: &mut String, display: &Display) {
    let mut events = response.bytes_stream().eventsource();
    while let Ok(Some(Ok(event))) = tokio::time::timeout(WITHOUT_NEWS, events.next()).await {
        if !event.id.is_empty() {
            *after = event.id;
        }
        if let Ok(data) = serde_json::from_str(&event.data) {
            display.show(&data);
        }
    }
}

fn is_over(operation: &Value) -> bool {
    matches!(operation["state"].as_str(), Some("succeeded" | "failed" | "cancelled"))
}

/// An operation that did not succeed: why, and what to do.
#[derive(Debug)]
pub(crate) struct Unsuccessful {
    pub(crate) operation_id: String,
    pub(crate) state: String,
    message: String,
}

impl fmt::Display for Unsuccessful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Unsuccessful {}

/// An error unless the operation succeeded, with what to do.
pub(crate) fn verdict(operation: &Value, subject: Option<&str>) -> Result<(), Unsuccessful> {
    let (id, state) = (text(&operation["id"]), text(&operation["state"]));
    let work = work(operation, subject);
    let at_step =
        operation["step"].as_str().map(|step| format!(" at step {}", one_line(step))).unwrap_or_default();
    let error = operation["error"].as_str().map_or_else(|| "no reason is known".into(), one_line);
    let retry = format!("\n  -> try again: tenantry operations retry {id}");
    let message = match state.as_str() {
        "succeeded" => return Ok(()),
        "cancelled" => format!("{work} was cancelled and undone{retry}"),
        "failed" => {
            let give_up = match subject {
                Some(tenant) if operation["kind"] == "provision" => {
                    format!("\n  -> give up: tenantry tenants delete {tenant} --purge-now")
                }
                _ => String::new(),
            };
            format!("{work} failed{at_step} and was undone: {error}{retry}{give_up}")
        }
        "stuck" => format!(
            "{work} is stuck{at_step}: {error}{retry}\n  \
             -> give it up: tenantry operations abandon {id} --reason <why>"
        ),
        _ => format!("{work} is {state}\n  -> tenantry operations watch {id}"),
    };
    Err(Unsuccessful { operation_id: id, state, message })
}

/// Where progress is shown; always on standard error.
enum Display {
    /// A terminal.
    Bar(ProgressBar),
    /// A file or a pipe.
    Lines,
    /// Nowhere.
    None,
}

/// Parts of the bar.
const WHOLE: u64 = 1000;

impl Display {
    fn new(output: Output, kind: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            // A program finds one JSON object on standard error, or nothing.
            return if output.is_json() { Self::None } else { Self::Lines };
        }
        let style =
            ProgressStyle::with_template("{spinner} {prefix} [{bar:30}] {percent:>3} % {elapsed} {wide_msg}")
                .expect("the template is valid")
                .progress_chars("=> ");
        let bar = ProgressBar::new(WHOLE).with_style(style).with_prefix(kind.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self::Bar(bar)
    }

    fn show(&self, event: &Value) {
        let progress = event["progress"].as_f64().unwrap_or_default().clamp(0.0, 1.0);
        match self {
            Self::Bar(bar) => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
                bar.set_position((progress * 1000.0) as u64);
                bar.set_message(words(event));
            }
            // The next step's line says how far it is.
            Self::Lines if event["kind"] == "step_finished" => {}
            Self::Lines => note(&format!("{:>3.0} %  {}", progress * 100.0, words(event))),
            Self::None => {}
        }
    }

    fn lost(&self) {
        match self {
            Self::Bar(bar) => bar.set_message("the connection is lost; trying again"),
            Self::Lines => note("       the connection is lost; trying again"),
            Self::None => {}
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// What an event says, for a line of its own.
fn words(event: &Value) -> String {
    let said = event["message"].as_str().filter(|message| !message.is_empty());
    let said = said.map_or_else(|| text(&event["kind"]), one_line);
    match event["step"].as_str() {
        // The same words for every step.
        Some(step)
            if matches!(event["kind"].as_str(), Some("step_undone" | "step_finished" | "retrying")) =>
        {
            format!("{}: {said}", one_line(step))
        }
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_success_is_one() {
        let operation = |state: &str| json!({"id": "o-1", "kind": "provision", "state": state});
        assert!(verdict(&operation("succeeded"), None).is_ok());
        for state in
            ["queued", "running", "waiting", "undoing", "stuck", "failed", "cancelled", "something new"]
        {
            assert!(verdict(&operation(state), None).is_err(), "{state}");
        }
    }

    #[test]
    fn a_step_that_is_taken_back_is_named() {
        let event = |kind: &str| json!({"kind": kind, "step": "migrate", "message": "undone"});
        assert_eq!(words(&event("step_undone")), "migrate: undone");
        assert_eq!(words(&event("step_started")), "undone");
        assert_eq!(words(&json!({"kind": "queued", "message": ""})), "queued");
    }

    #[test]
    fn a_failure_says_where_why_and_what_next() {
        let operation = json!({
            "id": "o-1", "kind": "provision", "state": "failed", "step": "create_schema", "error": "no server has room",
        });
        assert_eq!(
            verdict(&operation, Some("acme")).unwrap_err().to_string(),
            "provision of acme failed at step create_schema and was undone: no server has room\n  \
             -> try again: tenantry operations retry o-1\n  \
             -> give up: tenantry tenants delete acme --purge-now"
        );
    }

    #[test]
    fn what_is_stuck_can_be_tried_again_or_given_up() {
        let operation = json!({
            "id": "o-1", "kind": "remove", "state": "stuck", "step": "drop", "error": "the server is away",
            "subject": {"kind": "server", "id": "s-1", "name": "eu-1"},
        });
        let subject = subject(&operation, &Value::Null);
        let stuck = verdict(&operation, subject.as_deref()).unwrap_err().to_string();
        assert_eq!(
            stuck,
            "remove of eu-1 is stuck at step drop: the server is away\n  \
             -> try again: tenantry operations retry o-1\n  \
             -> give it up: tenantry operations abandon o-1 --reason <why>"
        );
    }
}
