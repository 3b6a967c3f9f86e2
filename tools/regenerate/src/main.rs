//! Regenerates every generated file, with one command and nothing running:
//!
//! - `.sqlx/`: what the registry's queries look like to PostgreSQL, so that they are checked at
//!   compile time without a database;
//! - `docs/openapi/*.json` and `docs/configuration.md`, by `tenantry-tests`' binary `documents`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use secrecy::ExposeSecret;
use sqlx::{Connection, PgConnection, migrate::Migrator};
use tenantry_postgres::embedded::{EmbeddedConfig, EmbeddedPostgres, SearchPath};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    queries(&root).await?;
    cargo(&root, &["run", "--quiet", "-p", "tenantry-tests", "--bin", "documents"], &[])
}

async fn queries(root: &Path) -> anyhow::Result<()> {
    let scratch = std::env::temp_dir().join(format!("tenantry-regenerate-{}", std::process::id()));
    let search = SearchPath {
        bin_dir: std::env::var_os("TENANTRY_POSTGRES_BIN").map(PathBuf::from),
        path: std::env::var_os("PATH"),
    };
    let postgres = EmbeddedPostgres::start(EmbeddedConfig::throwaway(&scratch, search)).await?;
    let url = postgres.admin_url().expose_secret().to_owned();
    let mut connection = PgConnection::connect(&url).await?;
    Migrator::new(root.join("migrations/registry")).await?.run(&mut connection).await?;
    connection.close().await?;

    let fresh = root.join("target/sqlx-fresh");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh)?;
    // Cargo looks at times, not at environments: what is compiled already must be compiled again.
    let lib = root.join("crates/registry/src/lib.rs");
    fs::write(&lib, fs::read(&lib)?)?;
    let checked = cargo(
        root,
        &["check", "--quiet", "-p", "tenantry-registry"],
        &[
            ("REGISTRY_DATABASE_URL", &url),
            ("SQLX_OFFLINE", "false"),
            ("SQLX_OFFLINE_DIR", &fresh.to_string_lossy()),
        ],
    );
    postgres.stop().await?;
    checked?;

    ensure!(fs::read_dir(&fresh)?.next().is_some(), "no query was found");
    let kept = root.join(".sqlx");
    let _ = fs::remove_dir_all(&kept);
    fs::create_dir_all(&kept)?;
    for entry in fs::read_dir(&fresh)? {
        let entry = entry?;
        fs::copy(entry.path(), kept.join(entry.file_name()))?;
    }
    Ok(())
}

fn cargo(root: &Path, args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What `cargo run` tells this program of itself. Build scripts that look at it would run again, and what depends on
    // them would be compiled again: TLS, and all clients of it.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
    let status = command
        .args(args)
        .current_dir(root)
        .envs(env.iter().copied())
        .status()
        .with_context(|| format!("cargo {} cannot be run", args.join(" ")))?;
    ensure!(status.success(), "cargo {} failed", args.join(" "));
    Ok(())
}
