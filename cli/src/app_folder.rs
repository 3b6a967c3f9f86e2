//! Apps as folders: `<app>/manifest.toml`, `<version>_<name>.up.sql`, `.down.sql`, `seed.sql`.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, bail, ensure};
use tenantry_domain::app::{App, AppName, AppVersion, Manifest, Migration};

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
        if path.join("manifest.toml").is_file() {
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
    let manifest_file = folder.join("manifest.toml");
    let manifest: Manifest = toml::from_str(&text(&manifest_file)?)
        .with_context(|| format!("{} is not a manifest", manifest_file.display()))?;
    manifest.validate().with_context(|| manifest_file.display().to_string())?;

    let mut migrations: BTreeMap<AppVersion, Migration> = BTreeMap::new();
    let mut downs: BTreeMap<AppVersion, String> = BTreeMap::new();
    let mut seed = None;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if file == "seed.sql" {
            seed = Some(text(&path)?);
        } else if let Some(stem) = file.strip_suffix(".up.sql") {
            let (version, name) = versioned(stem, &path)?;
            let migration = Migration { version, name: name.to_owned(), up: text(&path)?, down: None };
            if let Some(other) = migrations.insert(version, migration) {
                bail!("{}: version {version} is there twice ({})", path.display(), other.name);
            }
        } else if let Some(stem) = file.strip_suffix(".down.sql") {
            downs.insert(versioned(stem, &path)?.0, text(&path)?);
        }
    }
    for (version, down) in downs {
        let migration = migrations.get_mut(&version);
        migration
            .with_context(|| format!("{}: {version} has a down file and no up file", folder.display()))?
            .down = Some(down);
    }
    ensure!(!migrations.is_empty(), "{} holds no <version>_<name>.up.sql", folder.display());
    Ok(App { name, manifest, seed, migrations: migrations.into_values().collect() })
}

fn versioned<'a>(stem: &'a str, path: &Path) -> anyhow::Result<(AppVersion, &'a str)> {
    let (version, name) =
        stem.split_once('_').with_context(|| format!("{}: wants <version>_<name>", path.display()))?;
    let version: i64 =
        version.parse().with_context(|| format!("{}: the version is no number", path.display()))?;
    Ok((AppVersion::try_from(version).with_context(|| path.display().to_string())?, name))
}

fn text(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}
