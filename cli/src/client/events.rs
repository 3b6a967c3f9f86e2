//! `tenantry events`: what has happened.

use clap::{Args, Subcommand};

use super::{
    Client,
    connection::ConnectionArgs,
    list::{self, ListArgs},
    output::{Column, Shown},
};

/// `tenantry events`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry events list --type 'tenant.*' --tenant acme-inc
  tenantry events list --all --output json")]
pub struct EventsArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: EventsCommand,
}

/// What to do with events.
#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// List what has happened, the last first.
    List(ListEventsArgs),
}

/// Which events.
#[derive(Debug, Args)]
pub(super) struct ListEventsArgs {
    /// Only of this type, or of these: `tenant.*`.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,

    /// Only about this tenant: id or slug.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,

    #[command(flatten)]
    list: ListArgs,
}

const COLUMNS: &[Column] = &[
    ("id", Shown::Text("/id")),
    ("when", Shown::Time("/timestamp")),
    ("type", Shown::Text("/type")),
    ("tenant", Shown::Text("/data/tenant/slug")),
];

pub(super) async fn run(client: &Client, command: EventsCommand) -> anyhow::Result<()> {
    let EventsCommand::List(args) = command;
    let filters = vec![("type", args.kind), ("tenant", args.tenant)];
    list::print(client, &["events"], filters, &args.list, COLUMNS).await
}
