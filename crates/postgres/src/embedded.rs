//! A private PostgreSQL server for one machine: development, the demo and tests.
//!
//! Everything lies in one folder (see [`EmbeddedConfig::data_dir`]); nothing else on the machine
//! is touched. The server ends with the process that started it, however that ends: a guard
//! process (see `guard`) holds the other end of a pipe and stops the server when it closes.

mod cluster;
mod elsewhere;
mod error;
mod find;
mod guard;
mod layout;
mod server;
mod user;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};

pub use elsewhere::{RunningServer, remove};
pub use error::EmbeddedError;
pub use find::{SearchPath, installed};
pub use user::is_root;

use guard::Guard;
use layout::Layout;
use server::{Program, Running};

/// The superuser of an embedded server.
pub const USER: &str = "tenantry";

/// The address an embedded server listens on, and nowhere else.
pub const HOST: &str = "127.0.0.1";

/// What survives a crash of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// All that was committed, as in production.
    #[default]
    Full,
    /// Nothing is promised (`fsync = off`): for tests. A crash of processes alone loses nothing.
    Volatile,
}

/// How to run an embedded server.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// A folder of its own: cluster, password, log and lock. Made when it does not exist.
    pub data_dir: PathBuf,
    /// Where to look for the programs.
    pub search: SearchPath,
    /// The port to listen on; by default the one it had before, or a free one.
    pub port: Option<u16>,
    /// What survives a crash of the machine.
    pub durability: Durability,
    /// Remove `data_dir` when the server ends, however it ends.
    pub ephemeral: bool,
    /// `max_connections` of the server.
    pub max_connections: u32,
    /// Further settings by name, over those that it has by itself.
    pub parameters: BTreeMap<String, String>,
    /// Told the folder that PostgreSQL is fetched into, before a download that takes a while begins.
    pub on_fetch: fn(&Path),
}

impl EmbeddedConfig {
    /// A durable server in a folder, on any port, with 200 connections.
    pub fn new(data_dir: impl Into<PathBuf>, search: SearchPath) -> Self {
        Self {
            data_dir: data_dir.into(),
            search,
            port: None,
            durability: Durability::default(),
            ephemeral: false,
            max_connections: 200,
            parameters: BTreeMap::new(),
            on_fetch: |_| {},
        }
    }

    /// A server for tests: its folder is removed with it, and it does not wait for the disk.
    pub fn throwaway(data_dir: impl Into<PathBuf>, search: SearchPath) -> Self {
        Self { durability: Durability::Volatile, ephemeral: true, ..Self::new(data_dir, search) }
    }
}

/// A running server. Dropping it stops the server in the background; [`EmbeddedPostgres::stop`]
/// waits for it.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    program: Program,
    /// `None` between `suspend_server` and `resume_server`.
    running: Option<Running>,
    port: u16,
    password: SecretString,
    admin_url: SecretString,
    ephemeral: bool,
    // Fields drop in this order: the guard takes over before the lock lets another process in.
    guard: Guard,
    lock: std::fs::File,
}

impl EmbeddedPostgres {
    /// Starts the server: finds the programs, makes the cluster if it is not there yet, recovers
    /// it if a predecessor crashed, and waits until it answers.
    pub async fn start(config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let home = std::path::absolute(&config.data_dir)
            .map_err(|e| EmbeddedError::io("resolve", &config.data_dir, e))?;
        let binaries = find::binaries(&config.search, &home, config.on_fetch).await?;
        let run_as = user::unprivileged()?;
        if let Some(user) = &run_as {
            user.can_enter(&binaries)?;
        }
        let layout = Layout::prepare(home, run_as.as_ref())?;
        let lock = layout.lock()?;
        let mut guard = Guard::spawn(&layout, config.ephemeral)?;

        let program = Program { binaries, run_as, layout, config };
        cluster::end_predecessor(&program).await?;
        let password = cluster::ensure(&program).await?;
        let (running, port) = program.launch(&password, &mut guard, None).await?;
        tracing::info!(server.port = port, server.pid = running.pid(), "embedded PostgreSQL is up");

        let admin_url = format!("postgres://{USER}:{}@{HOST}:{port}/postgres", password.expose_secret());
        let ephemeral = program.config.ephemeral;
        Ok(Self {
            program,
            running: Some(running),
            port,
            password,
            admin_url: admin_url.into(),
            ephemeral,
            guard,
            lock,
        })
    }

    /// The superuser's URL of the database `postgres`.
    pub fn admin_url(&self) -> &SecretString {
        &self.admin_url
    }

    /// The address it listens on.
    pub fn host(&self) -> &'static str {
        HOST
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser.
    pub fn user(&self) -> &'static str {
        USER
    }

    /// The superuser's password.
    pub fn password(&self) -> &SecretString {
        &self.password
    }

    /// The process id of the postmaster; `None` while it is suspended.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(Running::pid)
    }

    /// Whether it has ended by itself.
    ///
    /// # Errors
    /// The system does not say.
    pub fn has_ended(&mut self) -> Result<bool, EmbeddedError> {
        self.running.as_mut().map_or(Ok(true), |running| Ok(running.status()?.is_some()))
    }

    /// The server's log.
    pub fn log_file(&self) -> &std::path::Path {
        &self.program.layout.log
    }

    /// Stops the server: open transactions are rolled back, what was committed is kept.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        // What is removed anyway need not be written out first, which takes seconds.
        let signal = if self.ephemeral { "QUIT" } else { "INT" };
        self.end(signal).await
    }

    /// Stops the server as a crash would: the next start recovers from the log.
    pub async fn stop_immediately(self) -> Result<(), EmbeddedError> {
        self.end("QUIT").await
    }

    async fn end(mut self, signal: &str) -> Result<(), EmbeddedError> {
        if let Some(running) = self.running.take() {
            running.stop(signal).await?;
        }
        self.guard.server_is(None)?;
        if self.ephemeral {
            self.program.layout.remove().await?;
        }
        self.guard.release();
        drop(self.lock);
        Ok(())
    }

    /// Stops the server until [`EmbeddedPostgres::resume_server`]: an outage, for tests.
    pub async fn suspend_server(&mut self) -> Result<(), EmbeddedError> {
        if let Some(running) = self.running.take() {
            running.stop("INT").await?;
            self.guard.server_is(None)?;
        }
        Ok(())
    }

    /// Starts the server again on the same port with the same data.
    pub async fn resume_server(&mut self) -> Result<(), EmbeddedError> {
        if self.running.is_none() {
            let (running, _) = self.program.launch(&self.password, &mut self.guard, Some(self.port)).await?;
            self.running = Some(running);
        }
        Ok(())
    }

    /// Stops the server and starts it again.
    pub async fn restart(&mut self) -> Result<(), EmbeddedError> {
        self.suspend_server().await?;
        self.resume_server().await
    }
}

#[cfg(test)]
mod tests;
