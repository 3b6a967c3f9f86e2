//! The configuration file: fills in what neither flag nor environment gives.

use std::{ffi::OsString, path::Path};

use clap::{CommandFactory, FromArgMatches, error::ErrorKind};

use crate::Cli;

/// Reads the command line, with the configuration file's values as defaults.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let args: Vec<OsString> = args.collect();
    let mut command = Cli::command();
    // A first look, for the file alone: settings that only the file gives are still missing.
    let path = command
        .clone()
        .ignore_errors(true)
        .try_get_matches_from(&args)
        .ok()
        .and_then(|matches| matches.get_one::<std::path::PathBuf>("config").cloned());
    if let Some(path) = path {
        let table = read(&path).map_err(|message| command.error(ErrorKind::Io, message))?;
        command = with_defaults(command, &table)
            .map_err(|message| Cli::command().error(ErrorKind::InvalidValue, message))?;
    }
    Cli::from_arg_matches(&command.try_get_matches_from(args)?)
}

fn read(path: &Path) -> Result<toml::Table, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    text.parse().map_err(|error| format!("{} is not TOML: {error}", path.display()))
}

fn with_defaults(mut command: clap::Command, table: &toml::Table) -> Result<clap::Command, String> {
    for (key, value) in table {
        let value = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => value.to_string(),
            _ => {
                return Err(format!(
                    "the configuration file's `{key}` must be a text, a number or true or false"
                ));
            }
        };
        let mut known = false;
        command = set(command, key, &value, &mut known);
        if !known {
            return Err(format!("the configuration file's `{key}` is no setting; see --help of the command"));
        }
    }
    Ok(command)
}

/// Gives the setting its default in every subcommand that has it.
fn set(mut command: clap::Command, key: &str, value: &str, known: &mut bool) -> clap::Command {
    if command.get_arguments().any(|arg| arg.get_id() == key) {
        *known = true;
        let value: clap::builder::OsStr = value.to_owned().into();
        command = command.mut_arg(key, |arg| {
            // What is a secret in the environment is one in the file.
            let secret = arg.is_hide_env_values_set();
            arg.default_value(value).hide_default_value(secret).required(false)
        });
    }
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, |sub| set(sub, key, value, known));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        use std::io::Write;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn parsed(file: &tempfile::NamedTempFile, more: &[&str]) -> Result<Cli, clap::Error> {
        let args = ["tenantry", "migrate", "--config", file.path().to_str().unwrap()];
        parse(args.iter().chain(more).map(Into::into))
    }

    #[test]
    fn the_file_gives_what_flags_do_not() {
        let file = file("database_url = 'postgres://from-file/x'");
        assert!(format!("{:?}", parsed(&file, &[]).unwrap()).contains("Migrate"));
    }

    #[test]
    fn a_key_that_is_no_setting_is_refused_by_name() {
        let file = file("database_url = 'postgres://x/y'\ncolour = 'red'");
        assert!(parsed(&file, &[]).unwrap_err().to_string().contains("`colour`"));
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
