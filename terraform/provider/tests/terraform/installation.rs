//! `tenantry dev` on free ports, with a data folder of its own.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::api::Api;

/// An operator's key; every process of a test may know it.
const KEY: &str = "tnt_key_of_the_tests_with_terraform";
/// How long it may take to start, on a busy machine.
const START: Duration = Duration::from_secs(120);

/// A process that ends with its owner.
struct Running(Child);

pub(crate) struct Installation {
    /// First of the members, so that it ends before its folder is removed.
    _process: Running,
    pub(crate) api: Api,
    /// Holds data, log and Terraform's settings.
    folder: TempDir,
}

impl Installation {
    pub(crate) fn start() -> Self {
        let binary = std::env::var_os("TENANTRY_BIN").expect("TENANTRY_BIN names a tenantry binary");
        let folder = tempfile::tempdir().unwrap();
        // The embedded PostgreSQL may run as another user.
        open_to_all(folder.path());
        let log = folder.path().join("dev.log");
        let out = File::create(&log).unwrap();
        let mut process = Command::new(binary)
            .arg("dev")
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .args(["--control-plane-addr", "127.0.0.1:0", "--data-plane-addr", "127.0.0.1:0"])
            .args(["--admin-addr", "127.0.0.1:0", "--bootstrap-key", KEY, "--log", "warn"])
            .args(["--apps-dir", apps_folder().to_str().unwrap()])
            .stdin(Stdio::null())
            .stderr(out.try_clone().unwrap())
            .stdout(out)
            .spawn()
            .map(Running)
            .unwrap();
        let give_up = Instant::now() + START;
        let url = loop {
            let text = std::fs::read_to_string(&log).unwrap();
            if let Some(url) = text.lines().find_map(|line| line.trim().strip_prefix("control plane")) {
                break url.split_whitespace().next().unwrap().to_owned();
            }
            let ended = process.0.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < give_up, "tenantry dev did not start:\n{text}");
            std::thread::sleep(Duration::from_millis(100));
        };
        write_settings(folder.path());
        Self { _process: process, api: Api::new(&url, KEY), folder }
    }

    /// Terraform's own settings: the provider is the binary under test.
    pub(crate) fn settings(&self) -> PathBuf {
        self.folder.path().join("terraform.rc")
    }

    /// A place for workspaces.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None))
            && kill_process(Pid::from_child(&self.0), Signal::TERM).is_ok()
        {
            let _ = self.0.wait();
        }
    }
}

fn apps_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/tenant")
}

fn write_settings(folder: &Path) {
    let binary = Path::new(env!("CARGO_BIN_EXE_terraform-provider-tenantry"));
    let settings = format!(
        "provider_installation {{\n  dev_overrides {{\n    \"tenantry/tenantry\" = {:?}\n  }}\n  direct {{}}\n}}\n",
        binary.parent().unwrap()
    );
    std::fs::write(folder.join("terraform.rc"), settings).unwrap();
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
}
