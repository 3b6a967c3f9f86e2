//! `tenantry apps`: the applications whose tables tenants get.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tenantry_domain::app::{App, AppName, Migration};

use super::{
    Client,
    connection::ConnectionArgs,
    list::{self, ListArgs},
    output::{Column, Shown, note},
};
use crate::app_folder;

const EXAMPLES: &str = "Examples:
  tenantry apps push migrations/tenant/crm
  tenantry apps list
  tenantry apps show crm

A folder holds manifest.toml, <version>_<name>.up.sql and .down.sql files, and perhaps seed.sql.";

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
    /// Push an app's folder: its manifest, its seed and the versions that are new.
    Push(PushArgs),
}

/// One app.
#[derive(Debug, Args)]
pub(super) struct AppArg {
    /// The app's name.
    #[arg(value_name = "APP")]
    app: String,
}

/// What to push.
#[derive(Debug, Args)]
pub(super) struct PushArgs {
    /// The app's folder; its name is the app's.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// The app's name, when it is not the folder's.
    #[arg(long, value_name = "APP")]
    app_name: Option<AppName>,
}

const COLUMNS: &[Column] = &[
    ("name", Shown::Text("/name")),
    ("versions", Shown::Text("/versions")),
    ("latest", Shown::Text("/latestVersion")),
    ("tenants", Shown::Text("/tenants")),
    ("description", Shown::Text("/manifest/description")),
];

const LINES: &[Column] = &[
    ("name", Shown::Text("/name")),
    ("description", Shown::Text("/manifest/description")),
    ("latest version", Shown::Text("/latestVersion")),
    ("JSON names", Shown::Text("/manifest/jsonCase")),
    ("extensions", Shown::Text("/manifest/extensions")),
];

const VERSION_COLUMNS: &[Column] = &[
    ("version", Shown::Text("/version")),
    ("name", Shown::Text("/name")),
    ("reversible", Shown::Text("/reversible")),
    ("checksum", Shown::Text("/checksum")),
];

pub(super) async fn run(client: &Client, command: AppsCommand) -> anyhow::Result<()> {
    match command {
        AppsCommand::List(list) => list::print(client, &["apps"], Vec::new(), &list, COLUMNS).await,
        AppsCommand::Show(args) => {
            let app = client.api.get(&["apps", &args.app], &[]).await?;
            client.output.one(&app, LINES)?;
            if client.output.is_json() {
                return Ok(());
            }
            client.output.done_in_words("")?;
            client.output.list(&json!({ "items": app["versions"] }), VERSION_COLUMNS)
        }
        AppsCommand::Push(args) => push(client, args).await,
    }
}

async fn push(client: &Client, args: PushArgs) -> anyhow::Result<()> {
    // `.` and `crm/..` have no name of their own.
    let folder =
        args.folder.canonicalize().with_context(|| format!("{} cannot be read", args.folder.display()))?;
    let mut app = app_folder::read(&folder)?;
    if let Some(name) = args.app_name {
        app.name = name;
    }
    let name = app.name.as_str();
    let before = client.api.put(&["apps", name], &app_body(&app)).await?;
    let known: BTreeSet<i64> = before["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|version| version["version"].as_i64())
        .collect();
    let mut new = 0_usize;
    for migration in &app.migrations {
        client.api.post(&["apps", name, "versions"], Some(&version_body(migration))).await.with_context(
            || format!("version {} ({}) cannot be pushed", migration.version, migration.name),
        )?;
        if !known.contains(&migration.version.number()) {
            new += 1;
            note(&format!("new  {} {}", migration.version, migration.name));
        }
    }
    let after = client.api.get(&["apps", name], &[]).await?;
    let sentence = match new {
        0 => format!("{name} is as it was, apart from its manifest and seed, which were replaced"),
        1 => format!("{name} has 1 new version; new tenants get it"),
        new => format!("{name} has {new} new versions; new tenants get them"),
    };
    client.output.done(&after, &sentence)
}

fn app_body(app: &App) -> Value {
    let manifest = &app.manifest;
    json!({
        "manifest": {
            "description": manifest.description,
            "jsonCase": manifest.json_case,
            "extensions": manifest.extensions,
            "features": manifest.features,
        },
        "seed": app.seed,
    })
}

fn version_body(migration: &Migration) -> Value {
    json!({
        "version": migration.version,
        "name": migration.name,
        "up": migration.up,
        "down": migration.down,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_sent_in_the_api_s_words() {
        let app: App = App {
            name: AppName::parse("crm").unwrap(),
            manifest: toml::from_str("description = 'd'\njson_case = 'camel'\nextensions = ['pg_trgm']")
                .unwrap(),
            seed: None,
            migrations: Vec::new(),
        };
        assert_eq!(
            app_body(&app),
            json!({
                "manifest": {"description": "d", "jsonCase": "camel", "extensions": ["pg_trgm"], "features": {}},
                "seed": null,
            })
        );
    }
}
