//! `tenantry completions`: scripts for shells, from the command line's own definition.

use std::io::{self, Write};

use anyhow::Context;
use clap::{Args, CommandFactory, ValueEnum};

use crate::Cli;

/// `tenantry completions`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bash   tenantry completions bash > ~/.local/share/bash-completion/completions/tenantry
  zsh    tenantry completions zsh > \"${fpath[1]}/_tenantry\"
  fish   tenantry completions fish > ~/.config/fish/completions/tenantry.fish")]
pub struct CompletionsArgs {
    /// For which shell.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// The shells that there are scripts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(&script(args.shell)) {
        // Whoever read it has seen enough, e.g. `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output cannot be written"),
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tenantry", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_s_script_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(script(shell)).unwrap();
            for word in ["tenantry", "tenants", "promote", "reveal"] {
                assert!(script.contains(word), "{shell:?}: {word}");
            }
        }
    }
}
