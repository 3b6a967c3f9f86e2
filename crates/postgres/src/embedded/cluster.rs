//! The cluster: made once, freed from a predecessor that crashed.

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::{Output, Stdio},
};

use rand::{RngExt, distr::Alphanumeric};
use secrecy::{ExposeSecret, SecretString};

use super::{Durability, EmbeddedError, USER, server::Program};

/// Makes the cluster if it is not there yet, and returns the superuser's password.
pub(super) async fn ensure(program: &Program) -> Result<SecretString, EmbeddedError> {
    let layout = &program.layout;
    let password = password(program)?;
    if layout.data.join("PG_VERSION").exists() {
        return Ok(password);
    }
    // Under another name first: a crash halfway leaves nothing that looks complete.
    let unfinished = layout.home.join("data.new");
    // Unicode order would be better for people, but is not the same on every machine.
    let mut last = None;
    for locale in ["C.UTF-8", "C"] {
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished).map_err(|e| EmbeddedError::io("remove", &unfinished, e))?;
        }
        let output = initdb(program, &unfinished, locale).await?;
        if output.status.success() {
            std::fs::rename(&unfinished, &layout.data)
                .map_err(|e| EmbeddedError::io("rename", &unfinished, e))?;
            return Ok(password);
        }
        last = Some(output);
    }
    Err(failure("initdb", &last.expect("two locales were tried")))
}

async fn initdb(program: &Program, dir: &Path, locale: &str) -> Result<Output, EmbeddedError> {
    let mut command = program.command("initdb");
    command
        .args(["--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions"])
        .arg(format!("--username={USER}"))
        .arg(format!("--locale={locale}"))
        .arg(concat_path("--pwfile=", &program.layout.password))
        .arg(concat_path("--pgdata=", dir));
    if program.config.durability == Durability::Volatile {
        command.arg("--no-sync");
    }
    run("initdb", program, command).await
}

/// The password in its file, made at the first start.
fn password(program: &Program) -> Result<SecretString, EmbeddedError> {
    let path = &program.layout.password;
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().into()),
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(EmbeddedError::io("read", path, e)),
    }
    // Not a parameter like other randomness: nobody has a use for a password that is known before.
    let password: String = rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect();
    let password = SecretString::from(password);
    std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| writeln!(file, "{}", password.expose_secret()))
        .map_err(|e| EmbeddedError::io("write", path, e))?;
    if let Some(user) = &program.run_as {
        user.own(path)?;
    }
    Ok(password)
}

/// Ends a server that an earlier process left running in this cluster. We hold the folder's lock,
/// so whoever started it is gone.
pub(super) async fn end_predecessor(program: &Program) -> Result<(), EmbeddedError> {
    let Some(pid) = program.layout.postmaster_pid() else { return Ok(()) };
    if !serves(pid, &program.layout.data) {
        // A stale file: PostgreSQL checks it again by itself, and recovers.
        return Ok(());
    }
    tracing::warn!(server.pid = pid, "stopping a PostgreSQL that an earlier process left running");
    for (mode, seconds) in [("fast", "30"), ("immediate", "10")] {
        let mut command = program.command("pg_ctl");
        command
            .args(["stop", "--silent", "-w", "-m", mode, "-t", seconds])
            .arg("-D")
            .arg(&program.layout.data);
        let output = run("pg_ctl", program, command).await?;
        if output.status.success() || !serves(pid, &program.layout.data) {
            return Ok(());
        }
        if mode == "immediate" {
            return Err(failure("pg_ctl", &output));
        }
    }
    Ok(())
}

/// Whether a process is a live postmaster of this cluster, and not one that got its number since.
pub(super) fn serves(pid: u32, data: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    if Path::new("/proc/self").exists() {
        return match std::fs::read_link(process.join("cwd")) {
            // A postmaster works in its cluster's folder.
            Ok(cwd) => data.canonicalize().is_ok_and(|data| cwd == data),
            // A zombie has no folder, and another user's process does not show us its own.
            Err(_) => false,
        };
    }
    let output = std::process::Command::new("/bin/ps").args(["-o", "comm=", "-p", &pid.to_string()]).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("postgres"))
}

async fn run(
    name: &'static str,
    program: &Program,
    mut command: std::process::Command,
) -> Result<Output, EmbeddedError> {
    command.stdin(Stdio::null());
    tokio::process::Command::from(command)
        .output()
        .await
        .map_err(|e| EmbeddedError::io("run", &program.binaries.join(name), e))
}

fn failure(program: &'static str, output: &Output) -> EmbeddedError {
    let text = [&output.stdout[..], &output.stderr].concat();
    EmbeddedError::Program {
        program,
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&text).trim().to_owned(),
    }
}

fn concat_path(option: &str, path: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from(option);
    argument.push(path);
    argument
}
