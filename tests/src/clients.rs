//! Programs in other languages, with the packages that `.ci/clients` installs.
//!
//! Where Node.js, Python or the packages are missing a test is skipped, and says so.

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use tempfile::TempDir;
use tokio::process::Command;

use crate::versions::{fetchable_must_be_there, skipped};

/// Where the tests' programs are.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

/// A folder in which programs find their packages.
#[derive(Debug)]
pub struct Workshop {
    installed: PathBuf,
    folder: TempDir,
}

impl Workshop {
    /// With the packages of npm. `None`, and a line on stderr, where they are missing.
    ///
    /// # Panics
    /// They are missing in CI, where they could have been installed.
    pub fn with_node() -> Option<Self> {
        Self::with("node_modules", "package.json.installed")
    }

    /// With the packages of `PyPI`, likewise.
    ///
    /// # Panics
    /// As [`Workshop::with_node`].
    pub fn with_python() -> Option<Self> {
        Self::with("python", "requirements.txt.installed")
    }

    fn with(packages: &str, mark: &str) -> Option<Self> {
        let installed = installed_dir()?;
        if !installed.join(mark).is_file() {
            let missing =
                format!("no {packages} in {}; `bash .ci/clients` installs them", installed.display());
            assert!(!fetchable_must_be_there(), "{missing}");
            skipped(&missing);
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        for entry in std::fs::read_dir(PROGRAMS).expect("the programs") {
            let entry = entry.expect("a file");
            if entry.path().is_file() {
                std::fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("a copy");
            }
        }
        // Where both Node.js and tsc look for packages.
        std::os::unix::fs::symlink(installed.join("node_modules"), folder.path().join("node_modules"))
            .expect("a link");
        Some(Self { installed, folder })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A program for Node.js.
    pub fn node(&self, args: &[&str]) -> Command {
        self.command("node", args)
    }

    /// A command line tool of an npm package.
    pub fn node_tool(&self, name: &str, args: &[&str]) -> Command {
        self.command(self.installed.join("node_modules/.bin").join(name), args)
    }

    /// A program for Python, or a tool of one of its packages.
    pub fn python(&self, tool: &str, args: &[&str]) -> Command {
        self.command(self.installed.join("python/bin").join(tool), args)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        // openapi-python-client looks for ruff.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = [self.installed.join("python/bin")].into_iter().chain(std::env::split_paths(&path));
        command
            .args(args)
            .current_dir(self.path())
            .env("PATH", std::env::join_paths(paths).expect("a path"))
            .kill_on_drop(true);
        command
    }
}

/// Runs it; answers what it printed.
///
/// # Panics
/// It fails.
pub async fn succeeded(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().await.expect("it starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// Where `.ci/clients` installs.
fn installed_dir() -> Option<PathBuf> {
    let dir = std::env::var_os("TENANTRY_TEST_CLIENTS").map(PathBuf::from).or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
        Some(cache.join("tenantry/clients"))
    });
    if dir.is_none() {
        skipped("no TENANTRY_TEST_CLIENTS");
    }
    dir
}
