//! `tenantry apps lint`

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::counted;
use crate::{
    app_folder::lint::{self, Severity},
    client::output::Output,
};

/// What to check.
#[derive(Debug, Args)]
#[command(
    after_help = "Checks the files' names and order, and that their SQL leaves alone what is Tenantry's: schema
names, the search path, the transaction, extensions. SQL that does not parse is found when it is pushed
(`tenantry apps push --dry-run`).

The exit code is 0 unless there is an error; a warning is none."
)]
pub(in crate::client) struct LintArgs {
    /// The app's folder.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(super) fn run(output: Output, args: &LintArgs) -> anyhow::Result<()> {
    let findings = lint::lint(&args.folder)?;
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    output.done_as_json(&json!({ "findings": findings }))?;
    for finding in &findings {
        output.done_in_words(&finding.to_string())?;
    }
    let summary = format!("{} and {}", counted(errors, "error"), counted(warnings, "warning"));
    if errors > 0 {
        bail!("{} has {summary}", args.folder.display());
    }
    let folder = args.folder.display();
    output.done_in_words(&match warnings {
        0 => format!("{folder} is fine"),
        _ => format!("{folder} has {summary}"),
    })
}
