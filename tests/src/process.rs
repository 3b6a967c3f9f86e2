//! Roles as processes of their own: workers to be killed, planes to be restarted.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use secrecy::ExposeSecret;
use tenantry_domain::envelope::Key;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::watch,
    time::timeout,
};

use crate::{Api, local_servers, within::in_time};

/// How long a process may take to say what a test waits for.
const PATIENCE: Duration = Duration::from_mins(1);

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
        let servers = local_servers::folder(label).display().to_string();
        let surroundings = [("TENANTRY_LOCAL_SERVERS".to_owned(), servers)];
        Self::start_in(&surroundings, binary, registry_url, kek, label, stop_at)
    }

    /// The same with variables of its environment that say who makes servers.
    pub fn start_in(
        surroundings: &[(String, String)],
        binary: &str,
        registry_url: &str,
        kek: &Key,
        label: &str,
        stop_at: Option<&str>,
    ) -> Self {
        let mut command = Command::new(binary);
        command
            .args(["worker", "--admin-addr", "127.0.0.1:0", "--label", label])
            .args(["--warm-databases", "0", "--warm-tenants", "0"])
            // Moves are live, but for those that are asked for offline.
            .args(["--move-at-once", "0"])
            .env("TENANTRY_WORKER_LEASE", "1")
            .envs(surroundings.iter().cloned())
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
        let comes = "the worker comes to its point";
        while let Some(line) = in_time(comes, self.lines.next_line()).await.expect("its output") {
            if line.starts_with("stopped at ") {
                return;
            }
        }
        panic!("the worker ended before it reached the point");
    }

    /// Sends it a signal: `STOP`, `CONT`.
    ///
    /// # Panics
    /// It has ended.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        Command::new("kill").args(["-s", name, &pid]).status().await.expect("kill runs");
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the worker is killed");
    }
}

/// A role as a process of its own, with its log. Killed when dropped.
#[derive(Debug)]
pub struct RoleProcess {
    child: Child,
    log: watch::Receiver<Vec<String>>,
    /// Its admin port.
    pub admin: Api,
}

impl RoleProcess {
    /// Starts a role on a registry, with further arguments, on free ports.
    pub async fn start(binary: &str, role: &str, registry_url: &str, kek: &Key, args: &[&str]) -> Self {
        let mut command = Command::new(binary);
        command
            .args([role, "--admin-addr", "127.0.0.1:0"])
            .args(args)
            .env("TENANTRY_DATABASE_URL", registry_url)
            .env("TENANTRY_KEK", kek.to_base64().expose_secret())
            .env("TENANTRY_LOG", "info")
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        match role {
            "control-plane" => command.args(["--control-plane-addr", "127.0.0.1:0"]),
            "data-plane" => command.args(["--data-plane-addr", "127.0.0.1:0"]),
            _ => &mut command,
        };
        Self::follow(command).await
    }

    /// A role that a command starts, whose standard error is piped. Waits for its admin port.
    pub async fn follow(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary under test");
        let mut lines = BufReader::new(child.stderr.take().expect("its log is piped")).lines();
        let (write, mut log) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                write.send_modify(|log| log.push(line));
            }
        });
        let admin = listening(&mut log, "the admin port").await;
        Self { child, log, admin: Api::new(admin) }
    }

    /// Waits until it serves; where.
    pub async fn serving(&mut self) -> SocketAddr {
        listening(&mut self.log, "plane").await
    }

    /// Waits for a line of its log that contains a text.
    pub async fn logged(&mut self, text: &str) -> String {
        line(&mut self.log, &[text]).await
    }

    /// Its log until now.
    pub fn log(&self) -> Vec<String> {
        self.log.borrow().clone()
    }

    /// Its process id.
    ///
    /// # Panics
    /// It has ended.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Tells it to stop (SIGTERM).
    pub async fn terminate(&self) {
        let pid = self.child.id().expect("it runs").to_string();
        Command::new("kill").args(["-s", "TERM", &pid]).status().await.expect("kill runs");
    }

    /// Stops it, and waits until it has said its last word; all of its log.
    pub async fn stopped(mut self) -> Vec<String> {
        self.terminate().await;
        let last_word = async {
            self.child.wait().await.expect("its end");
            // Its reader ends with its output.
            while self.log.changed().await.is_ok() {}
        };
        in_time("the process ends", last_word).await;
        self.log()
    }

    /// Waits for its end, which must be a good one.
    pub async fn ended(mut self) {
        let status = in_time("the process ends", self.child.wait()).await.expect("its end");
        assert!(status.success(), "{status}: {:#?}", *self.log.borrow());
    }
}

async fn line(log: &mut watch::Receiver<Vec<String>>, texts: &[&str]) -> String {
    let fits = |line: &&String| texts.iter().all(|text| line.contains(text));
    let found = timeout(PATIENCE, log.wait_for(|log| log.iter().any(|line| fits(&line)))).await;
    let found = found.ok().and_then(|found| found.ok()?.iter().find(fits).cloned());
    found.unwrap_or_else(|| panic!("no line with {texts:?} within {PATIENCE:?}: {:#?}", *log.borrow()))
}

async fn listening(log: &mut watch::Receiver<Vec<String>>, what: &str) -> SocketAddr {
    let line = line(log, &[what, "listens on http://"]).await;
    let address = line.rsplit("http://").next().expect("a part");
    // In JSON more follows.
    address.split('"').next().and_then(|address| address.trim().parse().ok()).expect("an address")
}
