//! Finding PostgreSQL's programs on this machine, or fetching them.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use postgresql_embedded::{PostgreSQL, Settings, VersionReq};

use super::EmbeddedError;

const OLDEST: u32 = 15;

/// The version that is fetched where none is installed.
const FETCHED: &str = "=17";

/// How long a download may take.
const FETCH_TIMEOUT: Duration = Duration::from_mins(5);

/// Where to look for the programs, as the environment says; read by the caller.
#[derive(Debug, Clone, Default)]
pub struct SearchPath {
    /// `TENANTRY_POSTGRES_BIN`: this folder and no other.
    pub bin_dir: Option<PathBuf>,
    /// `PATH`.
    pub path: Option<OsString>,
}

/// The folder with `postgres`, `initdb` and `pg_ctl`.
pub(super) async fn binaries(
    search: &SearchPath,
    home: &Path,
    on_fetch: fn(&Path),
) -> Result<PathBuf, EmbeddedError> {
    if let Some(dir) = &search.bin_dir {
        return match version(dir) {
            Ok(number) if number >= OLDEST => Ok(dir.clone()),
            Ok(number) => Err(EmbeddedError::BadBinDir {
                dir: dir.clone(),
                problem: format!("holds PostgreSQL {number}"),
            }),
            Err(problem) => Err(EmbeddedError::BadBinDir { dir: dir.clone(), problem }),
        };
    }
    let mut tried = Vec::new();
    for dir in candidates(search.path.as_ref()) {
        match version(&dir) {
            Ok(number) if number >= OLDEST => return Ok(dir),
            Ok(number) => tried.push(format!("{} holds PostgreSQL {number}", dir.display())),
            Err(_) => {}
        }
    }
    let store = home.parent().unwrap_or(home).join("postgresql-binaries");
    on_fetch(&store);
    fetch(&store).await.map_err(|reason| {
        tried.push(format!("downloading one failed: {reason}"));
        EmbeddedError::NotFound { tried: tried.join("; ") }
    })
}

/// The folders with PostgreSQL's programs on this machine, each with its major version: those on `PATH`, then
/// where packages put them, newest first.
pub fn installed(path: Option<&OsString>) -> Vec<(u32, PathBuf)> {
    candidates(path).into_iter().filter_map(|dir| Some((version(&dir).ok()?, dir))).collect()
}

/// Folders on `PATH`, then where packages put them, newest first.
fn candidates(path: Option<&OsString>) -> Vec<PathBuf> {
    let mut dirs: Vec<_> = path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    let mut packaged: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, prefix) in [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql@"),
        ("/usr/local/opt", "postgresql@"),
    ] {
        let entries = Path::new(parent).read_dir().into_iter().flatten().flatten();
        packaged.extend(entries.filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path().join("bin")))
        }));
    }
    packaged.sort_by(|a, b| b.cmp(a));
    dirs.extend(packaged.into_iter().map(|(_, dir)| dir));
    dirs.retain(|dir| dir.is_absolute() && dir.join("postgres").is_file());
    dirs
}

/// The major version of the programs in a folder, or what is wrong with them, after "which".
fn version(dir: &Path) -> Result<u32, String> {
    for program in ["postgres", "initdb", "pg_ctl"] {
        if !dir.join(program).is_file() {
            return Err(format!("holds no `{program}`"));
        }
    }
    let output = Command::new(dir.join("postgres"))
        .arg("--version")
        .output()
        .map_err(|e| format!("holds a `postgres` that does not run ({e})"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    major(&text).ok_or_else(|| format!("holds a `postgres` whose version is not known ({})", text.trim()))
}

/// `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)` is 15.
fn major(text: &str) -> Option<u32> {
    let number = text.split("(PostgreSQL) ").nth(1)?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

async fn fetch(store: &Path) -> Result<PathBuf, String> {
    // The library makes a cluster too; one that looks made keeps it to the programs.
    let decoy = tempfile::tempdir().map_err(|e| e.to_string())?;
    std::fs::write(decoy.path().join("postgresql.conf"), "").map_err(|e| e.to_string())?;
    let mut settings = Settings::new();
    settings.version = VersionReq::parse(FETCHED).map_err(|e| e.to_string())?;
    settings.installation_dir = store.into();
    settings.data_dir = decoy.path().into();
    settings.temporary = false;
    tracing::info!(dir = %store.display(), "no PostgreSQL on this machine: fetching one");
    let mut postgresql = PostgreSQL::new(settings);
    match tokio::time::timeout(FETCH_TIMEOUT, postgresql.setup()).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => return Err(e.to_string()),
        Err(_) => return Err("it took more than 5 minutes".into()),
    }
    let dir = postgresql.settings().binary_dir();
    version(&dir).map(|_| dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_however_it_is_packaged() {
        assert_eq!(major("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 17beta1\n"), Some(17));
        assert_eq!(major("something else"), None);
    }

    #[tokio::test]
    async fn a_wrong_folder_is_refused_with_what_to_do() {
        let empty = tempfile::tempdir().unwrap();
        let search = SearchPath { bin_dir: Some(empty.path().into()), path: None };
        let error = binaries(&search, empty.path(), |_| {}).await.unwrap_err().to_string();
        assert!(error.contains("holds no `postgres`") && error.contains("TENANTRY_POSTGRES_BIN"), "{error}");
    }
}
