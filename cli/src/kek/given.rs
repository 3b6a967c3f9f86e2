//! A text from the environment, the configuration file or a flag; or a file of its own that holds it.

use std::path::PathBuf;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tenantry_domain::envelope::Key;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) enum Given {
    /// The text.
    Text(SecretString),
    /// A file that holds it.
    File(PathBuf),
}

impl Given {
    /// One of both, if one is there.
    pub(crate) fn one_of(text: Option<SecretString>, file: Option<PathBuf>) -> Option<Self> {
        text.map(Self::Text).or_else(|| file.map(Self::File))
    }

    /// The text.
    pub(super) fn read(&self) -> anyhow::Result<SecretString> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(file) => Ok(std::fs::read_to_string(file)
                .with_context(|| format!("the key-encryption key in {} cannot be read", file.display()))?
                .into()),
        }
    }

    /// The key that the text is.
    pub(super) fn key(&self) -> anyhow::Result<Key> {
        Key::from_base64(self.read()?.expose_secret()).context("the key-encryption key is not valid")
    }
}
