//! The provider in the hands of a real Terraform, against a real `tenantry dev`.
//!
//! One installation for all tests; each has a workspace, and names, of its own.

mod api;
mod installation;
mod scenarios;
mod workspace;

use std::{process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Trial};

use crate::{installation::Installation, workspace::Workspace};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(None)).exit_code();
    }
    let installation = Arc::new(Installation::start());
    let conclusion = libtest_mimic::run(&arguments, trials(Some(&installation)));
    drop(installation);
    conclusion.exit_code()
}

fn trials(installation: Option<&Arc<Installation>>) -> Vec<Trial> {
    let trials = scenarios::ALL.iter().map(|(name, scenario)| {
        let installation = installation.cloned();
        Trial::test(*name, move || {
            let installation = installation.ok_or("nothing is started to list tests")?;
            scenario(&installation);
            Ok(())
        })
    });
    trials.collect()
}
