//! A server that this process need not have started: where it is, and its end.

use std::{path::Path, time::Duration};

use secrecy::SecretString;

use super::{
    EmbeddedError, HOST, USER, cluster,
    layout::Layout,
    server::{TICK, signal},
};

/// How to reach a server that somebody runs in a folder.
#[derive(Debug)]
pub struct RunningServer {
    /// The address it listens on.
    pub host: &'static str,
    /// The port it listens on.
    pub port: u16,
    /// The superuser.
    pub user: &'static str,
    /// The superuser's password.
    pub password: SecretString,
}

impl RunningServer {
    /// The one in a folder; none: nobody runs it, or it has not answered yet since it was made. It may just be starting.
    pub fn find(data_dir: &Path) -> Option<Self> {
        let layout = Layout::of(data_dir.to_owned());
        let (pid, port) = layout.postmaster()?;
        if !cluster::serves(pid, &layout.data) || !layout.port.exists() {
            return None;
        }
        let port = port?;
        let password = std::fs::read_to_string(&layout.password).ok()?.trim().into();
        Some(Self { host: HOST, port, user: USER, password })
    }
}

/// Ends the server in a folder, whoever runs it, and removes the folder. What is there in the end is gone for good.
///
/// # Errors
/// It cannot be ended, or not all can be removed.
pub async fn remove(data_dir: &Path) -> Result<(), EmbeddedError> {
    let layout = Layout::of(data_dir.to_owned());
    for (name, patience) in [("QUIT", 500), ("KILL", 500)] {
        let Some(pid) = layout.postmaster_pid().filter(|pid| cluster::serves(*pid, &layout.data)) else {
            break;
        };
        signal(pid, name).await?;
        for _ in 0..patience {
            if !cluster::serves(pid, &layout.data) {
                break;
            }
            tokio::time::sleep(TICK).await;
        }
    }
    // Its children may write for a moment longer.
    let mut tries = 0;
    loop {
        match tokio::fs::remove_dir_all(data_dir).await {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(_) if tries < 20 => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(e) => return Err(EmbeddedError::io("remove", data_dir, e)),
        }
        tries += 1;
    }
}
