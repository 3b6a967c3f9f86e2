//! The folder of an embedded server, and the lock that keeps two processes from sharing it.

use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::{EmbeddedError, user::ServerUser};

/// Where things are.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The whole.
    pub(super) home: PathBuf,
    /// The cluster (`PGDATA`).
    pub(super) data: PathBuf,
    /// The superuser's password.
    pub(super) password: PathBuf,
    /// The port of the last start.
    pub(super) port: PathBuf,
    /// The server's log.
    pub(super) log: PathBuf,
    lock: PathBuf,
}

impl Layout {
    /// Of a folder.
    pub(super) fn of(home: PathBuf) -> Self {
        Self {
            data: home.join("data"),
            password: home.join("password"),
            port: home.join("port"),
            log: home.join("postgres.log"),
            lock: home.join("lock"),
            home,
        }
    }

    /// Makes the folder, reachable and owned by the user that runs the server.
    pub(super) fn prepare(home: PathBuf, run_as: Option<&ServerUser>) -> Result<Self, EmbeddedError> {
        let layout = Self::of(home);
        if let Some(parent) = layout.home.parent() {
            make_parents(parent)?;
            if let Some(user) = run_as {
                user.can_enter(parent)?;
            }
        }
        match DirBuilder::new().mode(0o700).create(&layout.home) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => layout.must_be_ours()?,
            Err(e) => return Err(EmbeddedError::io("make", &layout.home, e)),
        }
        if let Some(user) = run_as {
            user.own(&layout.home)?;
        }
        Ok(layout)
    }

    /// A folder with somebody's files in it is neither filled nor, if ephemeral, removed.
    fn must_be_ours(&self) -> Result<(), EmbeddedError> {
        let mut entries =
            self.home.read_dir().map_err(|e| EmbeddedError::io("list", &self.home, e))?.peekable();
        if entries.peek().is_none() || self.lock.exists() {
            Ok(())
        } else {
            Err(EmbeddedError::NotOurs { dir: self.home.clone() })
        }
    }

    /// Takes the folder for as long as the file lives.
    pub(super) fn lock(&self) -> Result<File, EmbeddedError> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&self.lock);
        let file = file.map_err(|e| EmbeddedError::io("open", &self.lock, e))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(EmbeddedError::InUse { dir: self.home.clone() }),
            Err(TryLockError::Error(e)) => Err(EmbeddedError::io("lock", &self.lock, e)),
        }
    }

    /// Removes everything.
    pub(super) async fn remove(&self) -> Result<(), EmbeddedError> {
        tokio::fs::remove_dir_all(&self.home).await.map_err(|e| EmbeddedError::io("remove", &self.home, e))
    }

    /// The process id that a postmaster left in the cluster.
    pub(super) fn postmaster_pid(&self) -> Option<u32> {
        Some(self.postmaster()?.0)
    }

    /// The same with the port that it listens on.
    pub(super) fn postmaster(&self) -> Option<(u32, Option<u16>)> {
        let file = std::fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        let mut lines = file.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        Some((pid, lines.nth(2).and_then(|port| port.trim().parse().ok())))
    }
}

/// Makes the folders above ours, open to pass through whatever the umask.
fn make_parents(parent: &Path) -> Result<(), EmbeddedError> {
    let missing: Vec<_> = parent.ancestors().take_while(|dir| !dir.exists()).collect();
    for dir in missing.into_iter().rev() {
        match std::fs::create_dir(dir) {
            Ok(()) => std::fs::set_permissions(dir, Permissions::from_mode(0o755))
                .map_err(|e| EmbeddedError::io("set the permissions of", dir, e))?,
            // Another process was faster.
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(EmbeddedError::io("make", dir, e)),
        }
    }
    Ok(())
}
