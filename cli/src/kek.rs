//! Where a process has the key-encryption key from, once, when it starts.
//!
//! The key is 32 bytes: as they are, or encrypted by a key of AWS KMS. One file per source.

mod aws_kms;
mod given;

use tenantry_domain::envelope::Key;

pub(crate) use self::{aws_kms::KmsKey, given::Given};

/// See the module.
#[derive(Debug, Clone)]
pub(crate) enum KekSource {
    /// The key itself is given.
    Plain(Given),
    /// What is given is the key as AWS KMS has encrypted it.
    AwsKms {
        /// Decrypts it.
        key: KmsKey,
        /// The ciphertext.
        encrypted: Given,
    },
}

impl KekSource {
    /// The key.
    ///
    /// # Errors
    /// What is given cannot be read or is no key; or AWS KMS does not answer, or refuses.
    pub(crate) async fn load(&self) -> anyhow::Result<Key> {
        match self {
            Self::Plain(given) => given.key(),
            Self::AwsKms { key, encrypted } => key.decrypt(encrypted).await,
        }
    }
}
