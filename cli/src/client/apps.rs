//! `tenantry apps`: the applications whose tables tenants get.

mod lint;
mod new;
mod push;
mod verify;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Client,
    connection::ConnectionArgs,
    list::{self, ListArgs},
    output::{Column, Shown},
};

const EXAMPLES: &str = "Examples:
  tenantry apps new inventory
  tenantry apps lint inventory
  tenantry apps push inventory --dry-run
  tenantry apps push inventory
  tenantry apps promote inventory 20261120093000
  tenantry apps verify inventory --sql mend.sql

An app's folder holds manifest.toml, <version>_<name>.up.sql and .down.sql files, and perhaps seed.sql.";

/// `tenantry apps`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AppsArgs {
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    #[command(subcommand)]
    pub(super) command: AppsCommand,
}

/// What to do with apps.
#[derive(Debug, Subcommand)]
pub(super) enum AppsCommand {
    /// List apps.
    List(ListArgs),
    /// Show an app and its versions.
    Show(AppArg),
    /// Write a small app's folder, to begin with. Needs no control plane.
    New(new::NewArgs),
    /// Check an app's folder, file by file and line by line. Needs no control plane.
    Lint(lint::LintArgs),
    /// Push an app's folder: its manifest, its seed and the versions that are new.
    Push(push::PushArgs),
    /// Give new tenants this version.
    Promote(VersionArgs),
    /// Delete a version that no tenant has.
    DeleteVersion(VersionArgs),
    /// Compare all tenants' tables with their versions; the exit code is 0 only if none differs.
    Verify(verify::VerifyArgs),
}

/// One app.
#[derive(Debug, Args)]
pub(super) struct AppArg {
    /// The app's name or id.
    #[arg(value_name = "APP")]
    app: String,
}

/// One version of an app.
#[derive(Debug, Args)]
pub(super) struct VersionArgs {
    #[command(flatten)]
    app: AppArg,

    /// The version's number, as `tenantry apps show` lists it.
    #[arg(value_name = "VERSION")]
    number: u64,
}

const COLUMNS: &[Column] = &[
    ("name", Shown::Text("/name")),
    ("versions", Shown::Text("/versions")),
    ("latest", Shown::Text("/latestVersion")),
    ("promoted", Shown::Text("/promotedVersion")),
    ("tenants", Shown::Text("/tenants")),
    ("description", Shown::Text("/manifest/description")),
];

const LINES: &[Column] = &[
    ("name", Shown::Text("/name")),
    ("description", Shown::Text("/manifest/description")),
    ("latest version", Shown::Text("/latestVersion")),
    ("promoted version", Shown::Text("/promotedVersion")),
    ("JSON names", Shown::Text("/manifest/jsonCase")),
    ("extensions", Shown::Text("/manifest/extensions")),
];

const VERSION_COLUMNS: &[Column] = &[
    ("version", Shown::Text("/version")),
    ("name", Shown::Text("/name")),
    ("reversible", Shown::Text("/reversible")),
    ("checksum", Shown::Text("/checksum")),
];

pub(super) async fn run(connection: &ConnectionArgs, command: AppsCommand) -> anyhow::Result<()> {
    let client = || Client::new(connection);
    match command {
        AppsCommand::List(list) => list::print(&client()?, &["apps"], Vec::new(), &list, COLUMNS).await,
        AppsCommand::Show(args) => show(&client()?, &args.app).await,
        AppsCommand::New(args) => new::run(connection.output(), &args),
        AppsCommand::Lint(args) => lint::run(connection.output(), &args),
        AppsCommand::Push(args) => push::run(&client()?, args).await,
        AppsCommand::Promote(args) => promote(&client()?, &args).await,
        AppsCommand::DeleteVersion(args) => delete_version(&client()?, &args).await,
        AppsCommand::Verify(args) => verify::run(&client()?, &args).await,
    }
}

async fn show(client: &Client, app: &str) -> anyhow::Result<()> {
    let app = client.api.get(&["apps", app], &[]).await?;
    client.output.one(&app, LINES)?;
    if client.output.is_json() {
        return Ok(());
    }
    client.output.done_in_words("")?;
    client.output.list(&json!({ "items": app["versions"] }), VERSION_COLUMNS)
}

async fn promote(client: &Client, args: &VersionArgs) -> anyhow::Result<()> {
    let (app, version) = (&args.app.app, args.number.to_string());
    let answer = client.api.post(&["apps", app, "versions", &version, "promote"], None).await?;
    client.output.done(&answer, &format!("new tenants of {app} get version {version}"))
}

async fn delete_version(client: &Client, args: &VersionArgs) -> anyhow::Result<()> {
    let (app, version) = (&args.app.app, args.number.to_string());
    let answer = client.api.delete(&["apps", app, "versions", &version], &[]).await?;
    client.output.done(&answer, &format!("version {version} of {app} is deleted"))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
