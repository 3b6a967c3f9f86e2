//! Profiles: control planes and their keys, kept in a file that only the user may read.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, bail, ensure};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::settings::config_dir;

/// The name of a profile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ProfileName(String);

impl FromStr for ProfileName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if (1..=64).contains(&text.len()) && text.chars().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err("must have 1 to 64 characters of a-z, A-Z, 0-9, `-`, `_` and `.`".into())
        }
    }
}

impl TryFrom<String> for ProfileName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Default for ProfileName {
    fn default() -> Self {
        Self("default".into())
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A control plane and the key for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) url: Url,
    #[serde(serialize_with = "exposed")]
    pub(crate) api_key: SecretString,
}

fn exposed<S: serde::Serializer>(key: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(key.expose_secret())
}

/// The file of profiles.
#[derive(Debug)]
pub(crate) struct Profiles {
    file: PathBuf,
    kept: Kept,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[serde(default)]
    profiles: BTreeMap<ProfileName, Profile>,
}

impl Profiles {
    /// Reads the user's profiles; none if there is no file.
    pub(crate) fn load() -> anyhow::Result<Self> {
        Self::load_from(config_dir()?.join("profiles.toml"))
    }

    fn load_from(file: PathBuf) -> anyhow::Result<Self> {
        let kept = match fs::read_to_string(&file) {
            Ok(text) => {
                toml::from_str(&text).with_context(|| format!("{} holds no profiles", file.display()))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::none(file)),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
        };
        let open = fs::metadata(&file)?.permissions().mode() & 0o077 != 0;
        ensure!(!open, "{0} holds keys and others may open it; run: chmod 600 {0}", file.display());
        Ok(Self { file, kept })
    }

    fn none(file: PathBuf) -> Self {
        Self { file, kept: Kept::default() }
    }

    /// The profile of a name, which must be there; without a name the default one, if it is there.
    pub(crate) fn chosen(&self, name: Option<&ProfileName>) -> anyhow::Result<Option<&Profile>> {
        let Some(name) = name else { return Ok(self.get(&ProfileName::default())) };
        match self.get(name) {
            Some(profile) => Ok(Some(profile)),
            None => {
                bail!("there is no profile {name} ({})\n  -> tenantry login --profile {name}", self.known())
            }
        }
    }

    pub(crate) fn get(&self, name: &ProfileName) -> Option<&Profile> {
        self.kept.profiles.get(name)
    }

    pub(crate) fn put(&mut self, name: ProfileName, profile: Profile) -> anyhow::Result<()> {
        self.kept.profiles.insert(name, profile);
        self.save()
    }

    /// Forgets a profile; whether it was there.
    pub(crate) fn remove(&mut self, name: &ProfileName) -> anyhow::Result<bool> {
        let was_there = self.kept.profiles.remove(name).is_some();
        if was_there {
            self.save()?;
        }
        Ok(was_there)
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The names that there are, for messages.
    pub(crate) fn known(&self) -> String {
        let names: Vec<_> = self.kept.profiles.keys().map(ToString::to_string).collect();
        if names.is_empty() { "none is kept".into() } else { format!("kept are: {}", names.join(", ")) }
    }

    /// Writes a file beside it and renames it, so that a crash leaves the old one or the new one.
    fn save(&self) -> anyhow::Result<()> {
        let failed = || format!("{} cannot be written", self.file.display());
        let text = toml::to_string(&self.kept)?;
        let folder = self.file.parent().context("the file of profiles has no folder")?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(failed)?;
        let new = self.file.with_extension(format!("toml.{}", std::process::id()));
        let written = write_private(&new, &text).and_then(|()| fs::rename(&new, &self.file));
        if written.is_err() {
            // The error is the writing's; a file that was not made cannot be removed either.
            let _ = fs::remove_file(&new);
        }
        written.with_context(failed)
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(key: &str) -> Profile {
        Profile { url: "http://127.0.0.1:8080".parse().unwrap(), api_key: key.to_owned().into() }
    }

    #[test]
    fn what_is_kept_is_read_again_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config/tenantry/profiles.toml");
        let mut profiles = Profiles::load_from(file.clone()).unwrap();
        assert!(profiles.chosen(None).unwrap().is_none());
        profiles.put(ProfileName::default(), profile("one")).unwrap();
        profiles.put("eu".parse().unwrap(), profile("two")).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);

        let mut again = Profiles::load_from(file.clone()).unwrap();
        assert_eq!(again.chosen(None).unwrap().unwrap().api_key.expose_secret(), "one");
        let eu = "eu".parse().unwrap();
        assert_eq!(again.chosen(Some(&eu)).unwrap().unwrap().api_key.expose_secret(), "two");
        assert!(again.remove(&eu).unwrap() && !again.remove(&eu).unwrap());
        assert!(Profiles::load_from(file).unwrap().get(&eu).is_none());
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("profiles.toml");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Profiles::load_from(file).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_profile_that_is_not_there_is_named_with_those_that_are() {
        let mut profiles = Profiles::none(tempfile::tempdir().unwrap().path().join("profiles.toml"));
        profiles.put("eu".parse().unwrap(), profile("k")).unwrap();
        let error = profiles.chosen(Some(&"us".parse().unwrap())).unwrap_err().to_string();
        assert!(error.contains("no profile us (kept are: eu)"), "{error}");
    }

    #[test]
    fn a_profile_s_name_is_plain() {
        assert!("eu-1.prod_b".parse::<ProfileName>().is_ok());
        for name in ["", "a b", "a/b", "é", &"a".repeat(65)] {
            assert!(name.parse::<ProfileName>().is_err(), "{name}");
        }
    }
}
