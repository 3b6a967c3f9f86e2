//! Why an embedded server does not run.

use std::path::{Path, PathBuf};

/// Why an embedded server does not run, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// No usable programs on this machine, and none could be fetched.
    #[error(
        "no PostgreSQL 15 or later was found ({tried}): install one (`apt install postgresql` or `brew install \
         postgresql@17`) or set TENANTRY_POSTGRES_BIN to the folder that holds `postgres` and `initdb`"
    )]
    NotFound {
        /// What was looked at and why it would not do.
        tried: String,
    },
    /// The folder that was configured holds no usable programs.
    #[error(
        "TENANTRY_POSTGRES_BIN is {}, which {problem}: set it to the folder that holds `postgres` and `initdb` of \
         PostgreSQL 15 or later",
        dir.display()
    )]
    BadBinDir {
        /// The folder.
        dir: PathBuf,
        /// What is wrong with it, after "which".
        problem: String,
    },
    /// PostgreSQL refuses to run as root, and there is no user to run it as.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither a user `postgres` nor `nobody`: \
             run as another user"
    )]
    NoUser,
    /// The unprivileged user that runs the server cannot reach a folder.
    #[error(
        "PostgreSQL refuses to run as root and runs as `{user}`, who may not enter {}: choose a folder elsewhere \
         (TENANTRY_DATA_DIR, e.g. /var/lib/tenantry), or allow it with `chmod o+x {}`",
        dir.display(), dir.display()
    )]
    NotTraversable {
        /// The user that runs the server.
        user: String,
        /// The folder that is closed to it.
        dir: PathBuf,
    },
    /// Another process runs a server in this folder.
    #[error("{} is in use by another Tenantry process: stop that one, or choose another TENANTRY_DATA_DIR", dir.display())]
    InUse {
        /// The data folder.
        dir: PathBuf,
    },
    /// The folder holds something else.
    #[error("{} holds other files: choose an empty folder as TENANTRY_DATA_DIR", dir.display())]
    NotOurs {
        /// The data folder.
        dir: PathBuf,
    },
    /// The server ended instead of answering.
    #[error("PostgreSQL ended while starting ({status}); the end of {} says:\n{tail}", log.display())]
    Exited {
        /// How it ended.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The server runs but does not let us in.
    #[error("PostgreSQL on port {port} does not answer as expected ({reason}); its log is {}", log.display())]
    NotReady {
        /// The port.
        port: u16,
        /// The last refusal.
        reason: String,
        /// Its log.
        log: PathBuf,
    },
    /// One of PostgreSQL's programs failed.
    #[error("`{program}` failed ({status}): {output}")]
    Program {
        /// Which.
        program: &'static str,
        /// How it ended.
        status: String,
        /// What it said.
        output: String,
    },
    /// A file or process could not be handled.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl EmbeddedError {
    pub(super) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }
}
