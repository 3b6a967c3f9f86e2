//! Workers as processes of their own, to be killed.

use std::process::Stdio;

use secrecy::ExposeSecret;
use tenantry_domain::envelope::Key;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

/// The environment variable that names the point at which the worker stops.
pub const STOP_AT: &str = "TENANTRY_TEST_STOP_AT";

/// A worker process. Killed when dropped.
#[derive(Debug)]
pub struct WorkerProcess {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl WorkerProcess {
    /// Starts a worker on a registry that stops at a point (see [`crate::probe::StopAt`]), or runs on.
    ///
    /// `binary` is `env!("CARGO_BIN_EXE_tenantry-under-test")` of the calling test.
    pub fn start(binary: &str, registry_url: &str, kek: &Key, label: &str, stop_at: Option<&str>) -> Self {
        let mut command = Command::new(binary);
        command
            .args(["worker", "--admin-addr", "127.0.0.1:0", "--worker-lease", "1", "--label", label])
            .args(["--warm-databases", "0"])
            .env("TENANTRY_DATABASE_URL", registry_url)
            .env("TENANTRY_KEK", kek.to_base64().expose_secret())
            .env("TENANTRY_LOG", "error")
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Some(point) = stop_at {
            command.env(STOP_AT, point);
        }
        let mut child = command.spawn().expect("the binary under test");
        let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        Self { child, lines }
    }

    /// Waits until it has stopped at its point.
    pub async fn stopped(&mut self) {
        while let Some(line) = self.lines.next_line().await.expect("its output") {
            if line.starts_with("stopped at ") {
                return;
            }
        }
        panic!("the worker ended before it reached the point");
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the worker is killed");
    }
}
