//! `tenantry apps push`

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use tenantry_domain::app::{App, AppName, Migration};

use crate::{
    app_folder,
    client::{Client, human::text, output::note, problem::Problem},
};

/// What to push.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tenantry apps push inventory
  tenantry apps push inventory --dry-run
  tenantry apps push inventory --promote
  tenantry apps push . --app-name inventory

Versions never change once they are pushed: mend one with a new one.")]
pub(in crate::client) struct PushArgs {
    /// The app's folder; its name is the app's.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// The app's name, when it is not the folder's.
    #[arg(long, value_name = "APP")]
    app_name: Option<AppName>,

    /// Only try the next new version on the server; nothing is kept.
    #[arg(long)]
    dry_run: bool,

    /// Give new tenants the last version at once, as `tenantry apps promote` does.
    #[arg(long, conflicts_with = "dry_run")]
    promote: bool,
}

pub(super) async fn run(client: &Client, args: PushArgs) -> anyhow::Result<()> {
    // `.` and `crm/..` have no name of their own.
    let folder =
        args.folder.canonicalize().with_context(|| format!("{} cannot be read", args.folder.display()))?;
    let mut app = app_folder::read(&folder)?;
    if let Some(name) = args.app_name.clone() {
        app.name = name;
    }
    if args.dry_run { dry_run(client, &args, &app).await } else { push(client, &args, &app).await }
}

async fn push(client: &Client, args: &PushArgs, app: &App) -> anyhow::Result<()> {
    let name = app.name.as_str();
    let before = client.api.put(&["apps", name], &app_body(app)).await?;
    let known = versions_of(&before);
    let mut new = 0_usize;
    for migration in &app.migrations {
        let pushed = client.api.post(&["apps", name, "versions"], Some(&version_body(migration))).await;
        let pushed = pushed.map_err(|error| refused(args, migration, error))?;
        if !known.contains(&migration.version.number()) {
            new += 1;
            if !client.output.is_json() {
                note(&format!("new  {} {}", migration.version, migration.name));
                for warning in warnings(&pushed).chain(findings(&pushed, migration)) {
                    note(&format!("     {warning}"));
                }
            }
        }
    }
    let mut after = client.api.get(&["apps", name], &[]).await?;
    if let Some(version) = unpromoted(&after).filter(|_| args.promote) {
        let path = ["apps", name, "versions", &version.to_string(), "promote"];
        after = client.api.post(&path, None).await?;
    }
    client.output.done(&after, &pushed(name, new, &after))
}

/// The last version, if new tenants do not get it.
fn unpromoted(app: &Value) -> Option<i64> {
    let latest = app["latestVersion"].as_i64();
    latest.filter(|latest| {
        app.get("promotedVersion").is_some_and(|promoted| promoted.as_i64() != Some(*latest))
    })
}

/// Tries the first version that is new. Those after it build on it, and can be tried once it is there.
async fn dry_run(client: &Client, args: &PushArgs, app: &App) -> anyhow::Result<()> {
    let name = app.name.as_str();
    let known = match client.api.get(&["apps", name], &[]).await {
        Ok(known) => versions_of(&known),
        Err(error) if error.downcast_ref::<Problem>().is_some_and(Problem::is_not_found) => BTreeSet::new(),
        Err(error) => return Err(error),
    };
    let mut new = app.migrations.iter().filter(|migration| !known.contains(&migration.version.number()));
    let Some(first) = new.next() else {
        let answer = json!({ "app": name, "tried": null, "notTried": [] });
        return client.output.done(&answer, &format!("{name} has no new version"));
    };
    let query = [("dryRun", "true".to_owned())];
    // As it will be once its folder is pushed: manifest and seed too.
    let (mut body, app_body) = (version_body(first), app_body(app));
    for field in ["manifest", "seed"] {
        body[field] = app_body[field].clone();
    }
    let tried = client.api.post_with(&["apps", name, "versions"], &query, Some(&body)).await;
    let tried = tried.map_err(|error| refused(args, first, error))?;
    let later: Vec<_> = new.map(|migration| migration.version).collect();
    let more = match later.len() {
        0 => String::new(),
        1 => "; the one after it is tried when it is pushed".to_owned(),
        more => format!("; the {more} after it are tried when they are pushed"),
    };
    let mut sentence = format!("version {} ({}) of {name} can be pushed{more}", first.version, first.name);
    for warning in warnings(&tried).chain(findings(&tried, first)) {
        sentence.push_str("\n  ");
        sentence.push_str(&warning);
    }
    let answer = json!({
        "app": name, "tried": first.version, "notTried": later, "trial": tried["trial"], "findings": tried["findings"],
    });
    client.output.done(&answer, &sentence)
}

/// What there is to know about a version that was tried.
fn warnings(pushed: &Value) -> impl Iterator<Item = String> {
    pushed["trial"]["warnings"].as_array().into_iter().flatten().map(text)
}

/// What in it is unsafe for tenants with data, or may be: a line each as compilers write it, so that editors jump there.
fn findings(pushed: &Value, migration: &Migration) -> impl Iterator<Item = String> {
    let file = app_folder::up_file(migration);
    let findings = pushed["findings"].as_array().into_iter().flatten();
    findings.map(move |finding| {
        let part = |name: &str| text(&finding[name]);
        let help =
            finding["help"].as_str().map_or_else(String::new, |help| format!("\n       safer: {help}"));
        format!("{file}:{}: {}: {} [{}]{help}", part("line"), part("weight"), part("message"), part("rule"))
    })
}

/// Why a version was refused, with the file and, where PostgreSQL names one, the line.
fn refused(args: &PushArgs, migration: &Migration, error: anyhow::Error) -> anyhow::Error {
    let mut file = app_folder::up_file(migration);
    let problem = error.downcast_ref::<Problem>().filter(|problem| problem.code == "version_invalid");
    if let Some(problem) = problem.filter(|problem| problem.version == Some(migration.version.number())) {
        if problem.part.as_deref() == Some("down") {
            file = app_folder::down_file(migration);
        }
        if let Some(line) = problem.line {
            file = format!("{file}:{line}");
        }
    }
    error.context(format!("{} cannot be pushed", args.folder.join(file).display()))
}

fn pushed(name: &str, new: usize, app: &Value) -> String {
    let versions = match new {
        0 => "no new version; its manifest and seed were replaced".to_owned(),
        1 => "1 new version".to_owned(),
        new => format!("{new} new versions"),
    };
    let Some(latest) = unpromoted(app) else {
        return format!("{name} has {versions}; new tenants get {}", text(&app["latestVersion"]));
    };
    format!(
        "{name} has {versions}; new tenants still get {}\n  \
         -> give them the last one: tenantry apps promote {name} {latest}",
        text(&app["promotedVersion"])
    )
}

fn versions_of(app: &Value) -> BTreeSet<i64> {
    let versions = app["versions"].as_array().into_iter().flatten();
    versions.filter_map(|version| version["version"].as_i64()).collect()
}

fn app_body(app: &App) -> Value {
    let manifest = &app.manifest;
    json!({
        "manifest": {
            "description": manifest.description,
            "jsonCase": manifest.json_case,
            "registration": manifest.registration,
            "connection": manifest.connection,
            "extensions": manifest.extensions,
            "features": manifest.features,
            "functions": manifest.functions,
            "aggregates": manifest.aggregates,
            "unfilteredWrites": manifest.unfiltered_writes,
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
            promoted: None,
        };
        assert_eq!(
            app_body(&app),
            json!({
                "manifest": {
                    "description": "d", "jsonCase": "camel", "registration": null, "connection": null, "extensions": ["pg_trgm"], "features": {},
                    "functions": null, "aggregates": true, "unfilteredWrites": false,
                },
                "seed": null,
            })
        );
    }

    fn migration() -> Migration {
        Migration {
            version: 7_i64.try_into().unwrap(),
            name: "orders".into(),
            up: "create table broken(".into(),
            down: None,
        }
    }

    #[test]
    fn a_version_that_is_refused_is_named_by_file_and_line() {
        let args = PushArgs { folder: "apps/crm".into(), app_name: None, dry_run: false, promote: false };
        let problem: Problem = serde_json::from_value(json!({
            "title": "Unprocessable Entity", "code": "version_invalid", "version": 7, "line": 12,
            "detail": "syntax error at end of input",
        }))
        .unwrap();
        let error = refused(&args, &migration(), problem.into());
        assert_eq!(
            format!("{error:#}"),
            "apps/crm/7_orders.up.sql:12 cannot be pushed: Unprocessable Entity (version_invalid): \
             syntax error at end of input"
        );
    }

    #[test]
    fn a_finding_is_named_by_file_and_line() {
        let pushed = json!({"trial": {"warnings": []}, "findings": [{
            "rule": "ban-drop-table", "line": 3, "message": "`orders`: it is gone", "help": "keep it", "weight": "unsafe",
        }]});
        assert_eq!(
            findings(&pushed, &migration()).collect::<Vec<_>>(),
            ["7_orders.up.sql:3: unsafe: `orders`: it is gone [ban-drop-table]\n       safer: keep it"]
        );
    }

    #[test]
    fn a_version_that_is_not_promoted_yet_says_how_to() {
        let app = json!({"latestVersion": 7, "promotedVersion": 6});
        assert_eq!(
            pushed("crm", 1, &app),
            "crm has 1 new version; new tenants still get 6\n  \
             -> give them the last one: tenantry apps promote crm 7"
        );
        assert_eq!(
            pushed("crm", 2, &json!({"latestVersion": 7, "promotedVersion": 7})),
            "crm has 2 new versions; new tenants get 7"
        );
        assert_eq!(
            pushed("crm", 1, &json!({"latestVersion": 7})),
            "crm has 1 new version; new tenants get 7"
        );
    }
}
