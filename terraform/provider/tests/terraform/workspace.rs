//! A folder with a configuration and its state, and the commands that people type there.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::Installation;

/// What Terraform printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.text);
        self
    }

    /// It failed, and said all of this. Lines are broken where Terraform likes.
    #[track_caller]
    pub(crate) fn failed_with(self, told: &[&str]) -> Self {
        assert_eq!(self.code, Some(1), "{}", self.text);
        self.says(told)
    }

    #[track_caller]
    pub(crate) fn says(self, told: &[&str]) -> Self {
        let text = words(&self.text);
        for part in told {
            assert!(text.contains(&words(part)), "{part:?} is not in\n{}", self.text);
        }
        self
    }
}

fn words(text: &str) -> String {
    text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

pub(crate) struct Workspace<'a> {
    installation: &'a Installation,
    folder: TempDir,
}

impl<'a> Workspace<'a> {
    /// A workspace with a configuration.
    pub(crate) fn new(installation: &'a Installation, configuration: &str) -> Self {
        let folder = tempfile::tempdir_in(installation.folder()).unwrap();
        let workspace = Self { installation, folder };
        let versions = "terraform {\n  required_providers {\n    tenantry = { source = \"tenantry/tenantry\" }\n  }\n}\n";
        std::fs::write(workspace.folder.path().join("versions.tf"), versions).unwrap();
        workspace.write(configuration);
        workspace
    }

    /// Replaces the configuration.
    pub(crate) fn write(&self, configuration: &str) {
        std::fs::write(self.path().join("main.tf"), configuration).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, &[])
    }

    /// Runs a command with more in its environment.
    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let output = self.command(arguments).envs(variables.iter().copied()).output().unwrap();
        let text =
            [output.stdout, output.stderr].map(|part| String::from_utf8_lossy(&part).into_owned()).concat();
        Run { code: output.status.code(), text }
    }

    /// Starts a command; what it prints is in its output.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn apply(&self) -> Run {
        self.run(&["apply", "-auto-approve"])
    }

    pub(crate) fn destroy(&self) -> Run {
        self.run(&["destroy", "-auto-approve"])
    }

    /// There is nothing to do.
    #[track_caller]
    pub(crate) fn is_settled(&self) {
        let run = self.run(&["plan", "-detailed-exitcode"]);
        assert_eq!(run.code, Some(0), "{}", run.text);
    }

    /// There is something to do, which is said.
    #[track_caller]
    pub(crate) fn plans(&self, told: &[&str]) -> Run {
        let run = self.run(&["plan", "-detailed-exitcode"]);
        assert_eq!(run.code, Some(2), "{}", run.text);
        run.says(told)
    }

    /// An attribute in the state.
    #[track_caller]
    pub(crate) fn attribute(&self, address: &str, name: &str) -> Json {
        let shown = self.run(&["show", "-json"]).succeeded().text;
        // Warnings come before.
        let state: Json =
            serde_json::from_str(shown.lines().find(|line| line.starts_with('{')).unwrap()).unwrap();
        let resources = state["values"]["root_module"]["resources"].as_array().unwrap().clone();
        let resource = resources.into_iter().find(|resource| resource["address"] == address);
        resource.expect("the resource is in the state")["values"][name].clone()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("terraform");
        command
            .current_dir(self.path())
            .args(arguments)
            .arg("-no-color")
            .env("TF_CLI_CONFIG_FILE", self.installation.settings())
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_IN_AUTOMATION", "1")
            .env("TENANTRY_URL", &self.installation.api.url)
            .env("TENANTRY_API_KEY", &self.installation.api.key);
        command
    }
}
