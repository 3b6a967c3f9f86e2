//! Following an operation by its event stream until it is over, and saying how it ended.

use std::{io::IsTerminal, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use eventsource_stream::Eventsource;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use super::{
    Client,
    http::{Api, StreamError},
    human::{one_line, text},
    member,
    output::note,
};

/// Whether to wait for the work that a command begins.
#[derive(Debug, Clone, Args)]
pub(crate) struct WaitArgs {
    /// Come back at once instead of waiting until the work is done.
    #[arg(long)]
    no_wait: bool,
}

/// Tries without any answer in between, before giving up: about a minute.
const TRIES: u32 = 16;
/// The wait before the stream is opened again; doubled with each try that fails.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Waits for begun work, `{"tenant": ..., "operation": ...}`, if it is to be waited for: how both are
/// then. `None` means that it goes on; the answer as it is was printed.
pub(crate) async fn finish(client: &Client, begun: Value, wait: &WaitArgs) -> anyhow::Result<Option<Value>> {
    let id = member(&begun, "/operation/id")?;
    let slug = member(&begun, "/tenant/slug")?;
    if wait.no_wait {
        let sentence = format!(
            "{} of {slug} goes on; tenantry operations watch {id}",
            text(&begun["operation"]["kind"])
        );
        client.output.done(&begun, &sentence)?;
        return Ok(None);
    }
    let operation = follow(&client.api, &begun["operation"]).await?;
    let tenant = client.api.get(&["tenants", member(&begun, "/tenant/id")?], &[]).await?;
    let ended = json!({ "tenant": tenant, "operation": operation });
    if let Err(failed) = verdict(&operation, Some(slug)) {
        // Programs get the whole story; people the error below.
        client.output.done_as_json(&ended)?;
        return Err(failed);
    }
    Ok(Some(ended))
}

/// Follows an operation until it is over; how it is then.
pub(crate) async fn follow(api: &Api, operation: &Value) -> anyhow::Result<Value> {
    let id = member(operation, "/id")?;
    let display = Display::new(&text(&operation["kind"]));
    let ended = tokio::select! {
        ended = until_over(api, id, &display) => ended,
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

async fn until_over(api: &Api, id: &str, display: &Display) -> anyhow::Result<Value> {
    let mut after = String::new();
    let mut failures = 0;
    loop {
        match api.events(&["operations", id, "events"], &after).await {
            Ok(response) if response.status() == StatusCode::NO_CONTENT => {}
            Ok(response) => show(response, &mut after, display).await,
            Err(StreamError::Refused(error)) => return Err(error),
            Err(StreamError::Lost(error)) => {
                failures += 1;
                if failures >= TRIES {
                    return Err(error);
                }
                display.lost();
                tokio::time::sleep((FIRST_WAIT * (1 << failures.min(8))).min(LONGEST_WAIT)).await;
                continue;
            }
        }
        failures = 0;
        // The stream ends after the last event, and with the connection.
        let operation = api.get(&["operations", id], &[]).await?;
        if is_over(&operation) {
            return Ok(operation);
        }
        tokio::time::sleep(FIRST_WAIT).await;
    }
}

/// Shows events until the stream ends, for whatever reason. `after` is then the last one seen.
async fn show(response: Response, after: &mut String, display: &Display) {
    let mut events = response.bytes_stream().eventsource();
    while let Some(Ok(event)) = events.next().await {
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

/// An error unless the operation succeeded, with what to do.
pub(crate) fn verdict(operation: &Value, tenant: Option<&str>) -> anyhow::Result<()> {
    let (kind, id) = (text(&operation["kind"]), text(&operation["id"]));
    let of = tenant.map_or_else(String::new, |tenant| format!(" of {tenant}"));
    let retry = format!("\n  -> try again: tenantry operations retry {id}");
    match operation["state"].as_str() {
        Some("succeeded") => Ok(()),
        Some("cancelled") => bail!("{kind}{of} was cancelled and undone{retry}"),
        Some("failed") => {
            let step = operation["step"]
                .as_str()
                .map(|step| format!(" at step {}", one_line(step)))
                .unwrap_or_default();
            let error = operation["error"].as_str().map_or_else(|| "no reason is known".into(), one_line);
            let give_up = match tenant {
                Some(tenant) if kind == "provision" => {
                    format!("\n  -> give up: tenantry tenants delete {tenant} --purge-now")
                }
                _ => String::new(),
            };
            bail!("{kind}{of} failed{step} and was undone: {error}{retry}{give_up}")
        }
        state => bail!("{kind}{of} is {}\n  -> tenantry operations watch {id}", state.unwrap_or("not known")),
    }
}

/// A bar on a terminal, lines elsewhere; always on standard error.
struct Display {
    bar: Option<ProgressBar>,
}

/// Parts of the bar.
const WHOLE: u64 = 1000;

impl Display {
    fn new(kind: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "{spinner} {prefix} [{bar:30}] {percent:>3} % {elapsed} {wide_msg}",
            )
            .expect("the template is valid")
            .progress_chars("=> ");
            let bar = ProgressBar::new(WHOLE).with_style(style).with_prefix(kind.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar }
    }

    fn show(&self, event: &Value) {
        let progress = event["progress"].as_f64().unwrap_or_default().clamp(0.0, 1.0);
        let message = event["message"].as_str().map(one_line).filter(|message| !message.is_empty());
        let message = message.unwrap_or_else(|| text(&event["kind"]));
        if let Some(bar) = &self.bar {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
            bar.set_position((progress * 1000.0) as u64);
            bar.set_message(message);
        } else if event["kind"] != "step_finished" {
            // The next step's line says how far it is.
            note(&format!("{:>3.0} %  {message}", progress * 100.0));
        }
    }

    fn lost(&self) {
        match &self.bar {
            Some(bar) => bar.set_message("the connection is lost; trying again"),
            None => note("       the connection is lost; trying again"),
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_success_is_one() {
        let operation = |state: &str| json!({"id": "o-1", "kind": "provision", "state": state});
        assert!(verdict(&operation("succeeded"), None).is_ok());
        for state in ["queued", "running", "undoing", "failed", "cancelled", "something new"] {
            assert!(verdict(&operation(state), None).is_err(), "{state}");
        }
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
}
