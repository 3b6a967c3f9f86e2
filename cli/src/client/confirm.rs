//! Asking before what cannot be taken back.

use std::io::{self, BufRead, IsTerminal};

use anyhow::{bail, ensure};

use super::output::note;

/// Lets pass what `--yes` allows or the person at the terminal confirms.
pub(crate) async fn confirm(question: String, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    ensure!(io::stdin().is_terminal() && io::stderr().is_terminal(), "{question} Say so with --yes");
    note(&format!("{question} [y/N]"));
    // Blocking: standard input has no other reader, and Ctrl-C ends the process.
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map(|_| answer)
    });
    match answer.await??.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => bail!("nothing was done"),
    }
}
