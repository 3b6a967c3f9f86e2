//! The server process: how it is started, when it is ready, how it is stopped.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{NoTls, error::SqlState};

use super::{
    Durability, EmbeddedConfig, EmbeddedError, HOST, USER,
    guard::{Guard, Reaped},
    layout::Layout,
    user::ServerUser,
};

/// Recovery after a crash may take a while; a server that is busy with it is not a failed one.
const READY_TIMEOUT: Duration = Duration::from_mins(2);

/// How often the state of a process is looked at.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// A log longer than this is put aside at the next start.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;

/// What it takes to run the server.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) binaries: PathBuf,
    pub(super) run_as: Option<ServerUser>,
    pub(super) layout: Layout,
    pub(super) config: EmbeddedConfig,
}

/// A server process.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) process: Reaped,
    pid: u32,
}

impl Program {
    /// A command of PostgreSQL's, as the user that runs the server, out of reach of Ctrl-C.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command.current_dir("/").process_group(0);
        for variable in ["PGDATA", "PGPORT", "PGHOST", "PGUSER", "PGPASSWORD", "PGOPTIONS", "PGDATABASE"] {
            command.env_remove(variable);
        }
        if let Some(user) = &self.run_as {
            user.dress(&mut command);
        }
        command
    }

    /// Starts the server and waits until it answers. `port` is the one it has to have.
    pub(super) async fn launch(
        &self,
        password: &SecretString,
        guard: &mut Guard,
        port: Option<u16>,
    ) -> Result<(Running, u16), EmbeddedError> {
        let wanted = port.or(self.config.port);
        let mut remembered = std::fs::read_to_string(&self.layout.port)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .filter(|port| TcpListener::bind((HOST, *port)).is_ok());
        let mut attempts = 0;
        loop {
            attempts += 1;
            let port = match wanted.or_else(|| remembered.take()) {
                Some(port) => port,
                None => {
                    free_port().map_err(|e| EmbeddedError::io("find a free port on", HOST.as_ref(), e))?
                }
            };
            let log_start = self.log_length();
            let mut running = self.spawn(port)?;
            guard.server_is(Some(running.pid))?;
            let Some(status) = self.wait_ready(&mut running, port, password).await? else {
                // Only a hint for the next start.
                let _ = std::fs::write(&self.layout.port, format!("{port}\n"));
                return Ok((running, port));
            };
            guard.server_is(None)?;
            let tail = self.log_tail(log_start);
            let port_was_taken = tail.contains("Address already in use") && wanted.is_none();
            // What a killed postmaster leaves for a moment: its children, and their shared memory.
            let predecessor_lingers =
                tail.contains("shared memory block") || tail.contains("lock file \"postmaster.pid\"");
            if attempts == 20 || !(port_was_taken || predecessor_lingers) {
                let log = self.layout.log.clone();
                return Err(EmbeddedError::Exited { status: status.to_string(), log, tail });
            }
            if predecessor_lingers {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        }
    }

    fn spawn(&self, port: u16) -> Result<Running, EmbeddedError> {
        let log = self.open_log().map_err(|e| EmbeddedError::io("open", &self.layout.log, e))?;
        let errors = log.try_clone().map_err(|e| EmbeddedError::io("open", &self.layout.log, e))?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(&self.layout.data);
        for setting in self.settings(port) {
            command.arg("-c").arg(setting);
        }
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let process =
            command.spawn().map_err(|e| EmbeddedError::io("run", &self.binaries.join("postgres"), e))?;
        Ok(Running { pid: process.id(), process: Reaped::new(process) })
    }

    /// On the command line rather than in a file, so that an upgrade of Tenantry takes effect.
    fn settings(&self, port: u16) -> Vec<String> {
        let mut settings: Vec<String> = [
            // No Unix socket: the path of one may have 107 bytes at most.
            "unix_socket_directories=",
            "password_encryption=scram-sha-256",
            "cluster_name=tenantry",
            // Moving a tenant is logical replication.
            "wal_level=logical",
            "max_wal_senders=20",
            "max_replication_slots=100",
            "max_logical_replication_workers=16",
            "max_sync_workers_per_subscription=4",
            "max_worker_processes=24",
            "shared_buffers=256MB",
            // Dropping a schema locks everything in it at once.
            "max_locks_per_transaction=256",
            // Compiling the plan costs more than any of these queries.
            "jit=off",
            "timezone=UTC",
            "log_timezone=UTC",
            "logging_collector=off",
            "log_destination=stderr",
            "log_min_messages=warning",
            "log_line_prefix=%m [%p] %u@%d ",
        ]
        .map(String::from)
        .into();
        settings.push(format!("listen_addresses={HOST}"));
        settings.push(format!("port={port}"));
        settings.push(format!("max_connections={}", self.config.max_connections));
        settings.extend(self.config.parameters.iter().map(|(name, value)| format!("{name}={value}")));
        if self.config.durability == Durability::Volatile {
            settings
                .extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(String::from));
        }
        settings
    }

    /// Waits until the server answers, or says how it ended.
    async fn wait_ready(
        &self,
        running: &mut Running,
        port: u16,
        password: &SecretString,
    ) -> Result<Option<ExitStatus>, EmbeddedError> {
        let mut connect = tokio_postgres::Config::new();
        connect.host(HOST).port(port).user(USER).password(password.expose_secret()).dbname("postgres");
        connect.connect_timeout(Duration::from_secs(5)).application_name("tenantry-embedded");
        let started = Instant::now();
        loop {
            if let Some(status) = running.status()? {
                return Ok(Some(status));
            }
            let Err(refusal) = connect.connect(NoTls).await else { return Ok(None) };
            let wrong_password = refusal.code() == Some(&SqlState::INVALID_PASSWORD);
            if wrong_password || started.elapsed() > READY_TIMEOUT {
                let log = self.layout.log.clone();
                return Err(EmbeddedError::NotReady { port, reason: refusal.to_string(), log });
            }
            tokio::time::sleep(TICK).await;
        }
    }

    fn open_log(&self) -> std::io::Result<File> {
        if self.log_length() > LOG_LIMIT {
            std::fs::rename(&self.layout.log, self.layout.log.with_extension("log.1"))?;
        }
        OpenOptions::new().create(true).append(true).open(&self.layout.log)
    }

    fn log_length(&self) -> u64 {
        self.layout.log.metadata().map_or(0, |metadata| metadata.len())
    }

    /// The last lines of the log after a position.
    fn log_tail(&self, from: u64) -> String {
        let mut text = String::new();
        let read = File::open(&self.layout.log)
            .and_then(|mut file| file.seek(SeekFrom::Start(from)).map(|_| file))
            .and_then(|mut file| file.read_to_string(&mut text));
        if let Err(e) = read {
            return format!("(unreadable: {e})");
        }
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Running {
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal and waits for the end; what does not end is asked more firmly.
    pub(super) async fn stop(mut self, signal: &str) -> Result<(), EmbeddedError> {
        for (signal, patience) in [(signal, 60), ("QUIT", 20), ("KILL", 10)] {
            if self.status()?.is_some() {
                return Ok(());
            }
            self::signal(self.pid, signal).await?;
            let deadline = Instant::now() + Duration::from_secs(patience);
            while Instant::now() < deadline {
                if self.status()?.is_some() {
                    return Ok(());
                }
                tokio::time::sleep(TICK).await;
            }
        }
        Ok(())
    }

    pub(super) fn status(&mut self) -> Result<Option<ExitStatus>, EmbeddedError> {
        let status = self.process.child().try_wait();
        status.map_err(|e| EmbeddedError::io("wait for", "postgres".as_ref(), e))
    }
}

/// Sends a signal to a process, through the shell's own `kill`: calling the system's takes unsafe code or another
/// library. That it fails because the process has just ended is seen by the caller's next look.
pub(super) async fn signal(pid: u32, signal: &str) -> Result<(), EmbeddedError> {
    let mut kill = tokio::process::Command::new("/bin/sh");
    kill.args(["-c", r#"kill -s "$1" "$2""#, "sh", signal, &pid.to_string()]).stderr(Stdio::null());
    let status = kill.status().await;
    status.map(drop).map_err(|e| EmbeddedError::io("run", "/bin/sh".as_ref(), e))
}

fn free_port() -> std::io::Result<u16> {
    TcpListener::bind((HOST, 0)).and_then(|listener| listener.local_addr()).map(|address| address.port())
}
