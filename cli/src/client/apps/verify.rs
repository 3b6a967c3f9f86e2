//! `tenantry apps verify`

use std::{
    fmt::Write as _,
    fs::File,
    io::{IsTerminal, Write as _},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::counted;
use crate::client::{
    Client,
    human::{indented, text},
    output::{Output, note},
};

/// Tenants that are asked for at a time: the most that there can be, since each question makes the versions anew.
const PAGE: usize = 200;

/// Which app.
#[derive(Debug, Args)]
#[command(
    after_help = "Finds what was changed by hand: each tenant's tables, columns, indexes, constraints, views, functions and
triggers are compared with those of the version that it has. Nothing is changed.

The exit code is 0 only if all tenants could be compared and none differs.

Example:
  tenantry apps verify crm --sql mend.sql
  less mend.sql
  psql --host <server> --username <admin> --dbname postgres --file mend.sql

The SQL is in one transaction for each tenant. What would lose data (a table or column that the version does not have, a
type) is commented out: read it, and take away the dashes where you agree."
)]
pub(in crate::client) struct VerifyArgs {
    /// The app's name.
    #[arg(value_name = "APP")]
    app: String,

    /// Write the SQL that mends what differs into this file, for psql.
    #[arg(long, value_name = "FILE")]
    sql: Option<PathBuf>,
}

pub(super) async fn run(client: &Client, args: &VerifyArgs) -> anyhow::Result<()> {
    // One that cannot be written is known before the tenants are looked at.
    let file = args.sql.as_ref().map(|path| {
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()));
        file.map(|file| (path, file))
    });
    let file = file.transpose()?;
    let found = compare(client, &args.app).await?;
    if let Some((path, mut file)) = file {
        let sql = sql(&args.app, &found.drifted);
        file.write_all(sql.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    client.output.done_as_json(&json!({
        "compared": found.compared, "items": found.drifted, "notCompared": found.not_compared,
    }))?;
    for tenant in &found.not_compared {
        let (slug, reason) = (text(&tenant["slug"]), text(&tenant["reason"]));
        client.output.done_in_words(&format!("{slug} could not be compared: {reason}"))?;
    }
    let compared = counted(found.compared, "tenant");
    match (found.drifted.len(), found.not_compared.len()) {
        (0, 0) => {
            client.output.done_in_words(&format!("{compared} of {}: each is as its version says", args.app))
        }
        (0, left) => {
            bail!("{compared} of {}: each is as its version says; {left} could not be compared", args.app)
        }
        (some, 0) => bail!("{some} of {compared} of {} differ from their version", args.app),
        (some, left) => bail!(
            "{some} of {compared} of {} differ from their version; {left} could not be compared",
            args.app
        ),
    }
}

/// What was found in all pages.
#[derive(Default)]
struct Found {
    compared: usize,
    drifted: Vec<Value>,
    not_compared: Vec<Value>,
}

async fn compare(client: &Client, app: &str) -> anyhow::Result<Found> {
    let progress = Progress::new(client.output);
    let mut found = Found::default();
    let mut cursor: Option<String> = None;
    loop {
        let mut query = vec![("limit", PAGE.to_string())];
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let mut page = client.api.get(&["apps", app, "verify"], &query).await?;
        found.compared +=
            page["compared"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
        if let Value::Array(drifted) = page["items"].take() {
            for tenant in &drifted {
                progress.past(|| client.output.done_in_words(&report(tenant)))?;
            }
            found.drifted.extend(drifted);
        }
        if let Value::Array(tenants) = page["notCompared"].take() {
            found.not_compared.extend(tenants);
        }
        cursor = page["nextCursor"].as_str().map(ToOwned::to_owned);
        progress.show(&found, cursor.is_some());
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

/// A tenant that differs, for people.
fn report(tenant: &Value) -> String {
    let differences = tenant["differences"].as_array().map(Vec::as_slice).unwrap_or_default();
    let lines = differences
        .iter()
        .map(|difference| format!("{} {}", text(&difference["object"]), text(&difference["difference"])));
    format!(
        "{} (version {}, server {}):{}",
        text(&tenant["slug"]),
        text(&tenant["version"]),
        text(&tenant["server"]),
        indented(lines)
    )
}

/// The SQL of all tenants, by server and database.
fn sql(app: &str, drifted: &[Value]) -> String {
    let member = |tenant: &Value, name: &str| text(&tenant[name]);
    let mut tenants: Vec<_> = drifted.iter().collect();
    tenants.sort_by_key(|tenant| ["server", "database", "slug"].map(|name| member(tenant, name)));
    let mut sql = format!(
        "-- Brings tenants of {} back to their versions. For psql, which stops at the first error: nothing of that tenant is\n\
         -- changed then. Indexes are made in the transaction, and writes of their tables wait for that.\n\
         \\set ON_ERROR_STOP on\n",
        text(&json!(app))
    );
    let mut server = String::new();
    for tenant in tenants {
        if member(tenant, "server") != server {
            server = member(tenant, "server");
            let _ = write!(
                sql,
                "\n-- Server {server}: what follows is to be run there, up to the next server.\n"
            );
        }
        let (database, schema) = (member(tenant, "database"), member(tenant, "schema"));
        let _ = write!(
            sql,
            "\n-- Tenant {slug} ({id}), version {version}\n",
            slug = member(tenant, "slug"),
            id = member(tenant, "tenantId"),
            version = member(tenant, "version"),
        );
        let Some(mend) = tenant["mend"].as_str() else {
            sql.push_str("-- No SQL mends it: see what differs.\n");
            continue;
        };
        let _ = write!(
            sql,
            "\\connect \"{database}\"\n\
             BEGIN;\n\
             SET LOCAL ROLE tenantry_owner;\n\
             SET LOCAL check_function_bodies = off;\n\
             -- Fails on another server, where the schema is not.\n\
             SELECT '\"{schema}\"'::regnamespace;\n\
             SET LOCAL search_path = \"{schema}\", extensions;\n\
             {mend}\
             COMMIT;\n"
        );
    }
    sql
}

/// How far it is, on standard error.
enum Progress {
    /// A terminal.
    Spinner(ProgressBar),
    /// A file or a pipe.
    Lines,
    /// Nowhere.
    None,
}

impl Progress {
    fn new(output: Output) -> Self {
        if !std::io::stderr().is_terminal() {
            // A program finds one JSON object on standard error, or nothing.
            return if output.is_json() { Self::None } else { Self::Lines };
        }
        let spinner = ProgressBar::new_spinner().with_message("comparing tenants");
        spinner.enable_steady_tick(Duration::from_millis(100));
        Self::Spinner(spinner)
    }

    fn show(&self, found: &Found, more: bool) {
        let so_far =
            format!("{} compared, {} differ", counted(found.compared, "tenant"), found.drifted.len());
        match self {
            Self::Spinner(spinner) => spinner.set_message(so_far),
            // The last one's line is the result.
            Self::Lines if more => note(&so_far),
            Self::Lines | Self::None => {}
        }
    }

    /// Prints something above the spinner.
    fn past<T>(&self, print: impl FnOnce() -> T) -> T {
        match self {
            Self::Spinner(spinner) => spinner.suspend(print),
            Self::Lines | Self::None => print(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Self::Spinner(spinner) = self {
            spinner.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drift() -> Value {
        json!({
            "tenantId": "019a", "slug": "acme", "version": 7, "server": "eu-1", "database": "tenants", "schema": "tenant_acme",
            "differences": [{"object": "index items_price on items", "difference": "is missing"}],
            "mend": "CREATE INDEX items_price ON items (price);\n",
        })
    }

    #[test]
    fn a_tenant_that_differs_is_told_with_all_that_differs() {
        assert_eq!(
            report(&drift()),
            "acme (version 7, server eu-1):\n  index items_price on items is missing"
        );
    }

    #[test]
    fn the_sql_of_a_tenant_stands_under_its_name_and_path() {
        let sql = sql("crm", &[drift()]);
        let own = sql.split_once("-- Tenant acme (019a), version 7\n").unwrap().1;
        let first = "\\connect \"tenants\"\nBEGIN;\nSET LOCAL ROLE tenantry_owner;\n";
        assert!(own.starts_with(first), "{sql}");
        let last = "SET LOCAL search_path = \"tenant_acme\", extensions;\nCREATE INDEX items_price ON items (price);\nCOMMIT;\n";
        assert!(own.ends_with(last), "{sql}");
    }
}
