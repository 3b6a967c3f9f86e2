//! Where a test's tenants of tier `instance` are: servers that its workers start.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use secrecy::ExposeSecret;
use sqlx::{Connection, PgConnection};
use tenantry_cli::compose::worker::local_servers;
use tenantry_postgres::embedded::{Durability, RunningServer};
use tenantry_worker::providers::Providers;

use crate::server;

/// The folder of the servers of all workers with a label.
pub fn folder(label: &str) -> PathBuf {
    std::env::temp_dir().join(format!("tenantry-test-servers-{label}"))
}

/// Who makes them.
pub fn providers(label: &str, durability: Durability) -> Providers {
    local_servers(folder(label), server::search(), durability)
}

/// The folders of those that there are, deleted ones left out.
pub fn existing(label: &str) -> Vec<PathBuf> {
    let Ok(entries) = folder(label).read_dir() else { return Vec::new() };
    let folders = entries.map(|entry| entry.expect("an entry").path());
    folders.filter(|folder| !folder.join("deleted").exists()).collect()
}

/// The process id of the postmaster in a server's folder.
pub fn postmaster(folder: &Path) -> Option<String> {
    let file = std::fs::read_to_string(folder.join("postgres/data/postmaster.pid")).ok()?;
    Some(file.lines().next()?.trim().to_owned())
}

/// A database of the server that listens on a port, as its superuser.
///
/// # Panics
/// There is none.
pub async fn admin(label: &str, port: u64, database: &str) -> PgConnection {
    let running =
        existing(label).into_iter().filter_map(|folder| RunningServer::find(&folder.join("postgres")));
    let server =
        running.into_iter().find(|server| u64::from(server.port) == port).expect("a server of this test's");
    let password = server.password.expose_secret();
    let url = format!("postgres://{}:{password}@{}:{port}/{database}", server.user, server.host);
    PgConnection::connect(&url).await.expect("the server answers")
}

/// Ends and removes them when it is dropped.
#[derive(Debug)]
pub struct RemovedAtTheEnd(pub PathBuf);

impl Drop for RemovedAtTheEnd {
    fn drop(&mut self) {
        let Ok(entries) = self.0.read_dir() else { return };
        let pids: Vec<String> = entries.filter_map(|entry| postmaster(&entry.ok()?.path())).collect();
        // In the background: its processes write for a moment longer.
        let script = r#"dir=$1; shift; [ $# = 0 ] || kill -s QUIT "$@"; sleep 0.5; rm -rf "$dir""#;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).arg(&self.0).args(pids).stderr(Stdio::null());
        let _ = command.spawn();
    }
}
