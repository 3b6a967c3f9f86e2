//! Apps as folders: `<app>/manifest.toml`, `<version>_<name>.up.sql`, `.down.sql`, `seed.sql`.

pub(crate) mod lint;
mod sql;
pub(crate) mod starter;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, bail, ensure};
use tenantry_domain::app::{App, AppName, AppVersion, Manifest, Migration};

/// The manifest's file.
const MANIFEST: &str = "manifest.toml";
/// The default data's file.
const SEED: &str = "seed.sql";

/// Reads every app below a folder.
///
/// # Errors
/// Names the file that cannot be read or is not as it should be.
pub fn read_all(folder: &Path) -> anyhow::Result<Vec<App>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("the apps in {} cannot be read", folder.display()))?;
    let mut apps = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.join(MANIFEST).is_file() {
            apps.push(read(&path)?);
        }
    }
    apps.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(apps)
}

/// As [`read_all`]; none without a folder.
pub(crate) fn read_all_of(folder: Option<&Path>) -> anyhow::Result<Vec<App>> {
    folder.map_or_else(|| Ok(Vec::new()), read_all)
}

/// Reads one app; the folder's name is the app's.
///
/// # Errors
/// As [`read_all`].
pub fn read(folder: &Path) -> anyhow::Result<App> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = AppName::parse(name).with_context(|| format!("{} is no name of an app", folder.display()))?;
    let manifest_file = folder.join(MANIFEST);
    let manifest: Manifest = toml::from_str(&text(&manifest_file)?)
        .with_context(|| format!("{} is not a manifest", manifest_file.display()))?;
    manifest.validate().with_context(|| manifest_file.display().to_string())?;

    let mut migrations: BTreeMap<AppVersion, Migration> = BTreeMap::new();
    let mut downs: BTreeMap<AppVersion, String> = BTreeMap::new();
    let mut seed = None;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else { continue };
        match AppFile::of(file) {
            AppFile::Seed => seed = Some(text(&path)?),
            AppFile::Up(stem) => {
                let (version, name) = versioned(stem).with_context(|| path.display().to_string())?;
                let migration = Migration { version, name: name.to_owned(), up: text(&path)?, down: None };
                if let Some(other) = migrations.insert(version, migration) {
                    bail!("{}: version {version} is there twice ({})", path.display(), other.name);
                }
            }
            AppFile::Down(stem) => {
                let (version, _) = versioned(stem).with_context(|| path.display().to_string())?;
                downs.insert(version, text(&path)?);
            }
            AppFile::Manifest | AppFile::OtherSql | AppFile::Other => {}
        }
    }
    for (version, down) in downs {
        let migration = migrations.get_mut(&version);
        migration
            .with_context(|| format!("{}: {version} has a down file and no up file", folder.display()))?
            .down = Some(down);
    }
    ensure!(!migrations.is_empty(), "{} holds no <version>_<name>.up.sql", folder.display());
    Ok(App { name, manifest, seed, migrations: migrations.into_values().collect(), promoted: None })
}

/// The name of the file with a migration's SQL.
pub(crate) fn up_file(migration: &Migration) -> String {
    format!("{}_{}.up.sql", migration.version, migration.name)
}

/// The name of the file with the SQL that takes a migration back.
pub(crate) fn down_file(migration: &Migration) -> String {
    format!("{}_{}.down.sql", migration.version, migration.name)
}

/// What a file of an app is for, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AppFile<'a> {
    Manifest,
    Seed,
    /// `<stem>.up.sql`
    Up(&'a str),
    /// `<stem>.down.sql`
    Down(&'a str),
    /// SQL that nobody reads.
    OtherSql,
    /// A text, say.
    Other,
}

impl<'a> AppFile<'a> {
    fn of(name: &'a str) -> Self {
        if let Some(stem) = name.strip_suffix(".up.sql") {
            return Self::Up(stem);
        }
        if let Some(stem) = name.strip_suffix(".down.sql") {
            return Self::Down(stem);
        }
        match name {
            MANIFEST => Self::Manifest,
            SEED => Self::Seed,
            _ if Path::new(name).extension().is_some_and(|ext| ext.eq_ignore_ascii_case("sql")) => {
                Self::OtherSql
            }
            _ => Self::Other,
        }
    }
}

/// The version and the name in `<version>_<name>`.
fn versioned(stem: &str) -> anyhow::Result<(AppVersion, &str)> {
    let (version, name) =
        stem.split_once('_').context("the file's name must be <version>_<name>.up.sql or .down.sql")?;
    let version: i64 =
        version.parse().ok().with_context(|| format!("`{version}` is no number of a version"))?;
    Ok((AppVersion::try_from(version)?, name))
}

fn text(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}
