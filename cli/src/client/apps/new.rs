//! `tenantry apps new`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tenantry_domain::{Clock, SystemClock, app::AppName};

use crate::{app_folder::starter, client::output::Output};

/// What to begin.
#[derive(Debug, Args)]
pub(in crate::client) struct NewArgs {
    /// The app's name, e.g. inventory.
    #[arg(value_name = "NAME")]
    name: AppName,

    /// Where to write it; the folder's name is the app's when it is pushed. [default: ./NAME]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

pub(super) fn run(output: Output, args: &NewArgs) -> anyhow::Result<()> {
    let folder = args.folder.clone().unwrap_or_else(|| args.name.to_string().into());
    starter::write(&folder, &args.name, SystemClock.now())?;
    let shown = folder.display();
    let sentence = format!(
        "{shown} holds a small app; change it, then\n  -> check it: tenantry apps lint {shown}\n  \
         -> push it: tenantry apps push {shown}"
    );
    output.done(&json!({ "app": args.name, "folder": folder }), &sentence)
}
