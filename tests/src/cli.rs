//! The operator's commands, as processes of their own.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command};

/// A user of the command line: a home with nothing in it, and an environment of the test's own.
#[derive(Debug)]
pub struct Cli {
    binary: &'static str,
    home: TempDir,
    env: Vec<(String, String)>,
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    /// Whether it exited with 0.
    pub ok: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Cli {
    /// `binary` is `env!("CARGO_BIN_EXE_tenantry-under-test")` of the calling test.
    pub fn new(binary: &'static str) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default().to_string_lossy().into_owned();
        let home = tempfile::tempdir().expect("a home");
        Self { binary, home, env: vec![("PATH".into(), path)] }
    }

    /// With a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Where the user is, and what `XDG_CONFIG_HOME` is.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The file of profiles.
    pub fn profiles(&self) -> PathBuf {
        self.home().join("tenantry/profiles.toml")
    }

    /// A command that was not started yet. It is killed when dropped.
    pub fn command(&self, args: &[&str]) -> Command {
        self.with_environment(self.binary, args)
    }

    /// A shell script, with `tenantry` on its path.
    pub fn script(&self, text: &str) -> Command {
        let bin = self.home().join("bin");
        std::fs::create_dir_all(&bin).expect("a folder");
        // The second script of a test finds it.
        let _ = std::os::unix::fs::symlink(self.binary, bin.join("tenantry"));
        let mut shell = self.with_environment("sh", &["-euc", text]);
        let path = std::env::var_os("PATH").unwrap_or_default();
        shell.env("PATH", format!("{}:{}", bin.display(), path.to_string_lossy()));
        shell
    }

    fn with_environment(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home())
            .env("XDG_CONFIG_HOME", self.home())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command.
    pub async fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().await.expect("the binary under test").into()
    }

    /// Runs a command that reads a text.
    pub async fn run_with_input(&self, args: &[&str], input: &str) -> Ran {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().expect("the binary under test");
        let mut stdin = child.stdin.take().expect("its input is piped");
        stdin.write_all(input.as_bytes()).await.expect("it reads");
        drop(stdin);
        child.wait_with_output().await.expect("it ends").into()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("a command prints UTF-8");
        Self { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    /// Standard output of a command that succeeded.
    #[track_caller]
    pub fn succeeded(self) -> String {
        assert!(self.ok, "{}\n{}", self.out, self.err);
        self.out
    }

    /// Standard error of a command that failed.
    #[track_caller]
    pub fn failed(self) -> String {
        assert!(!self.ok, "{}\n{}", self.out, self.err);
        self.err
    }

    /// What a command that succeeded printed as JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        let out = self.succeeded();
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("no JSON ({error}): {out}"))
    }
}
