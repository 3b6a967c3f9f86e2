//! `tenantry operations`: the work on tenants.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    Client,
    connection::ConnectionArgs,
    human::text,
    list::{self, ListArgs},
    member,
    output::{Column, Shown},
    progress::{WaitArgs, finish_after, follow, last_event, verdict},
};

const EXAMPLES: &str = "Examples:
  tenantry operations list --state failed
  tenantry operations list --tenant acme-inc
  tenantry operations watch 0199b0de-0000-7000-8000-000000000000
  tenantry operations retry 0199b0de-0000-7000-8000-000000000000";

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
    /// Try a failed or cancelled operation again.
    Retry(RetryArgs),
    /// Ask an operation to stop and undo what it did; possible until its point of no return.
    Cancel(OperationArg),
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

    /// In this state: queued, running, undoing, succeeded, failed or cancelled.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,

    /// Of this kind: provision, suspend, resume, deactivate, restore or purge.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,

    #[command(flatten)]
    list: ListArgs,
}

/// What to try again.
#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    #[command(flatten)]
    operation: OperationArg,
    #[command(flatten)]
    wait: WaitArgs,
}

const COLUMNS: &[Column] = &[
    ("id", Shown::Text("/id")),
    ("kind", Shown::Text("/kind")),
    ("state", Shown::Text("/state")),
    ("done", Shown::Percent("/progress")),
    ("step", Shown::Text("/step")),
    ("created", Shown::Time("/createdAt")),
    ("tenant", Shown::Text("/tenantId")),
    ("error", Shown::Text("/error")),
];

const LINES: &[Column] = &[
    ("id", Shown::Text("/id")),
    ("tenant", Shown::Text("/tenantId")),
    ("kind", Shown::Text("/kind")),
    ("state", Shown::Text("/state")),
    ("asked to stop", Shown::Text("/cancelRequested")),
    ("step", Shown::Text("/step")),
    ("done", Shown::Percent("/progress")),
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
            list::print(client, &["operations"], filters, &args.list, COLUMNS).await
        }
        OperationsCommand::Show(args) => {
            let operation = client.api.get(&["operations", &args.id], &[]).await?;
            client.output.one(&operation, LINES)
        }
        OperationsCommand::Watch(args) => watch(client, &args.id).await,
        OperationsCommand::Retry(args) => {
            let id = &args.operation.id;
            // What happened before is not what the person waits for.
            let after = last_event(&client.api, id).await?;
            let begun = client.api.post(&["operations", id, "retry"], None).await?;
            let Some(ended) = finish_after(client, begun, &args.wait, after).await? else { return Ok(()) };
            client.output.done(&ended, &succeeded(&ended["operation"], Some(member(&ended, "/tenant/slug")?)))
        }
        OperationsCommand::Cancel(args) => {
            let answer = client.api.post(&["operations", &args.id, "cancel"], None).await?;
            let state = text(&answer["operation"]["state"]);
            let sentence = if state == "cancelled" {
                "it is cancelled".to_owned()
            } else {
                format!("it was asked to stop and is {state}; tenantry operations watch {}", args.id)
            };
            client.output.done(&answer, &sentence)
        }
    }
}

async fn watch(client: &Client, id: &str) -> anyhow::Result<()> {
    let operation = client.api.get(&["operations", id], &[]).await?;
    let operation = follow(&client.api, &operation, String::new()).await?;
    if client.output.is_json() {
        client.output.done_as_json(&operation)?;
    }
    verdict(&operation, None)?;
    client.output.done_in_words(&succeeded(&operation, None))
}

fn succeeded(operation: &Value, tenant: Option<&str>) -> String {
    let of = tenant.map_or_else(String::new, |tenant| format!(" of {tenant}"));
    format!("{}{of} succeeded", text(&operation["kind"]))
}
