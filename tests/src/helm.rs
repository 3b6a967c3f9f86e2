//! Helm's engine, with the packages that `.ci/charts` installs, and the chart's checks.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::versions::{fetchable_must_be_there, skipped};

/// A program among the chart's checks. `None`, and a line on stderr, where the packages are missing.
///
/// # Panics
/// They are missing in CI, where they could have been installed.
pub fn check(program: &str, args: &[&str]) -> Option<Command> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let installed = cache.join("tenantry/charts");
    if !installed.join("requirements.txt.installed").is_file() {
        let missing = format!("no Helm in {}; `bash .ci/charts` installs it", installed.display());
        assert!(!fetchable_must_be_there(), "{missing}");
        skipped(&missing);
        return None;
    }
    let checks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/checks");
    let mut command = Command::new(installed.join("python/bin/python"));
    command.arg(checks.join(program)).args(args).env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
    Some(command)
}
