//! `tenantry operations`: the work on tenants, servers and rollouts.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Client,
    connection::ConnectionArgs,
    human::{in_words, indented, text},
    list::{self, ListArgs},
    output::{Column, Shown},
    progress::{WaitArgs, finish_after, follow, last_event, subject, verdict, work},
    watch::WatchArgs,
};

const EXAMPLES: &str = "Examples:
  tenantry operations list --state failed
  tenantry operations list --tenant acme-inc
  tenantry operations list --state running --watch
  tenantry operations watch 0199b0de-0000-7000-8000-000000000000
  tenantry operations retry 0199b0de-0000-7000-8000-000000000000
  tenantry operations abandon 0199b0de-0000-7000-8000-000000000000 --reason \"the server is lost\"";

/// `tenantry operations`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct OperationsArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: OperationsCommand,
}

/// What to do with operations.
#[derive(Debug, Subcommand)]
pub(super) enum OperationsCommand {
    /// List operations, newest first.
    List(OperationListArgs),
    /// Show an operation.
    Show(OperationArg),
    /// Follow an operation until it is over; the exit code is 0 only if it succeeded.
    Watch(OperationArg),
    /// Try a failed, cancelled or stuck operation again.
    Retry(RetryArgs),
    /// Ask an operation to stop and undo what it did; possible until its point of no return.
    Cancel(OperationArg),
    /// Give a stuck operation up, and show what it leaves behind.
    Abandon(AbandonArgs),
}

/// One operation.
#[derive(Debug, Args)]
pub(super) struct OperationArg {
    /// The operation's id.
    #[arg(value_name = "OPERATION")]
    id: String,
}

/// Which operations.
#[derive(Debug, Args)]
pub(super) struct OperationListArgs {
    /// Of this tenant (slug or id).
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,

    /// In this state: queued, running, waiting, undoing, stuck, succeeded, failed or cancelled.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,

    /// Of this kind, e.g. provision, suspend, resume, deactivate, restore or purge.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,

    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    watch: WatchArgs,
}

/// What to try again.
#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    #[command(flatten)]
    operation: OperationArg,
    #[command(flatten)]
    wait: WaitArgs,
}

/// What to give up.
#[derive(Debug, Args)]
pub(super) struct AbandonArgs {
    #[command(flatten)]
    operation: OperationArg,

    /// Why; it is kept with the operation.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

const COLUMNS: &[Column] = &[
    ("id", Shown::Text("/id")),
    ("kind", Shown::Text("/kind")),
    ("subject", Shown::Either("/subject/name", "/tenantId")),
    ("state", Shown::Text("/state")),
    ("done", Shown::Percent("/progress")),
    ("step", Shown::Text("/step")),
    ("lane", Shown::Text("/lane")),
    ("created", Shown::Time("/createdAt")),
    ("error", Shown::Text("/error")),
];

const LINES: &[Column] = &[
    ("id", Shown::Text("/id")),
    ("on", Shown::Text("/subject/kind")),
    ("name", Shown::Text("/subject/name")),
    ("tenant", Shown::Text("/tenantId")),
    ("kind", Shown::Text("/kind")),
    ("lane", Shown::Text("/lane")),
    ("state", Shown::Text("/state")),
    ("asked to stop", Shown::Text("/cancelRequested")),
    ("steps", Shown::Text("/steps")),
    ("step", Shown::Text("/step")),
    ("done", Shown::Percent("/progress")),
    ("message", Shown::Text("/message")),
    ("error", Shown::Text("/error")),
    ("attempts", Shown::Text("/attempts")),
    ("created", Shown::Time("/createdAt")),
    ("started", Shown::Time("/startedAt")),
    ("finished", Shown::Time("/finishedAt")),
];

pub(super) async fn run(client: &Client, command: OperationsCommand) -> anyhow::Result<()> {
    match command {
        OperationsCommand::List(args) => {
            let filters = vec![("tenant", args.tenant), ("state", args.state), ("kind", args.kind)];
            list::print_or_watch(client, &["operations"], filters, &args.list, args.watch, COLUMNS).await
        }
        OperationsCommand::Show(args) => {
            let operation = client.api.get(&["operations", &args.id], &[]).await?;
            client.output.one(&operation, LINES)
        }
        OperationsCommand::Watch(args) => watch(client, &args.id).await,
        OperationsCommand::Retry(args) => retry(client, &args).await,
        OperationsCommand::Cancel(args) => cancel(client, &args.id).await,
        OperationsCommand::Abandon(args) => abandon(client, &args).await,
    }
}

async fn watch(client: &Client, id: &str) -> anyhow::Result<()> {
    let operation = client.api.get(&["operations", id], &[]).await?;
    let operation = follow(client, &operation, String::new()).await?;
    if client.output.is_json() {
        client.output.done_as_json(&operation)?;
    }
    let subject = subject(&operation, &Value::Null);
    verdict(&operation, subject.as_deref())?;
    client.output.done_in_words(&format!("{} succeeded", work(&operation, subject.as_deref())))
}

async fn retry(client: &Client, args: &RetryArgs) -> anyhow::Result<()> {
    let id = &args.operation.id;
    // What happened before is not what the person waits for.
    let after = last_event(&client.api, id).await?;
    let begun = client.api.post(&["operations", id, "retry"], None).await?;
    let Some(ended) = finish_after(client, begun, &args.wait, after).await? else { return Ok(()) };
    let subject = subject(&ended["operation"], &ended["tenant"]);
    client.output.done(&ended, &format!("{} succeeded", work(&ended["operation"], subject.as_deref())))
}

async fn cancel(client: &Client, id: &str) -> anyhow::Result<()> {
    let answer = client.api.post(&["operations", id, "cancel"], None).await?;
    let state = text(&answer["operation"]["state"]);
    let sentence = if state == "cancelled" {
        "it is cancelled".to_owned()
    } else {
        format!("it was asked to stop and is {state}; tenantry operations watch {id}")
    };
    client.output.done(&answer, &sentence)
}

async fn abandon(client: &Client, args: &AbandonArgs) -> anyhow::Result<()> {
    let body = json!({ "reason": args.reason });
    let answer = client.api.post(&["operations", &args.operation.id, "abandon"], Some(&body)).await?;
    client.output.done(&answer, &abandoned(&answer))
}

/// What an abandoned operation leaves behind, for a person to clear away.
fn abandoned(answer: &Value) -> String {
    let operation = &answer["operation"];
    let work = work(operation, subject(operation, &answer["tenant"]).as_deref());
    let left = answer["left"].as_array().map(Vec::as_slice).unwrap_or_default();
    if left.is_empty() {
        return format!("{work} is given up; it leaves nothing behind");
    }
    format!("{work} is given up; it leaves behind:{}", indented(left.iter().map(in_words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_says_what_it_leaves_behind() {
        let mut answer = json!({
            "operation": {"kind": "purge", "subject": {"kind": "tenant", "name": "acme"}},
            "left": [{"kind": "schema", "name": "tenant_acme", "database": "tenants"}, "role tenant_acme"],
        });
        assert_eq!(
            abandoned(&answer),
            "purge of acme is given up; it leaves behind:\n  \
             schema tenant_acme (database tenants)\n  role tenant_acme"
        );
        answer["left"] = json!([]);
        assert_eq!(abandoned(&answer), "purge of acme is given up; it leaves nothing behind");
    }
}
