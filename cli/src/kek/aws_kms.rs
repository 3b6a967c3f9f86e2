//! A key-encryption key that a key of AWS KMS has encrypted: a data key in the words of KMS.
//!
//! It is decrypted once, when a process starts. To ask KMS for each secret would put its latency, price and outages between a
//! tenant and its data. The encryption context keeps whoever may decrypt other things with the key from decrypting this one by mistake,
//! and shows in AWS `CloudTrail` what was decrypted.

use std::{str::FromStr, time::Duration};

use anyhow::Context;
use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_kms::{Client, error::DisplayErrorContext, primitives::Blob, types::DataKeySpec};
use aws_smithy_http_client::tls;
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret;
use tenantry_domain::{Invalid, envelope::Key};

use super::Given;

/// The encryption context.
const CONTEXT: (&str, &str) = ("tenantry", "key-encryption-key");

/// A process that starts waits for KMS this long, with all tries.
const TIMEOUT: Duration = Duration::from_secs(30);
const TRIES: u32 = 5;

/// A key of AWS KMS, or an alias of one, by its ARN. It says the region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KmsKey {
    arn: String,
    region: String,
}

impl FromStr for KmsKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["arn", _, "kms", region, account, name]
                if !region.is_empty()
                    && !account.is_empty()
                    && (name.starts_with("key/") || name.starts_with("alias/")) =>
            {
                Ok(Self { arn: text.to_owned(), region: region.to_owned() })
            }
            _ => Err(Invalid::because(
                "must be the ARN of a KMS key, such as arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            )),
        }
    }
}

impl KmsKey {
    /// With the credentials of the process's surroundings.
    async fn client(&self) -> Client {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let found = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .region(Region::new(self.region.clone()))
            .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
            .timeout_config(TimeoutConfig::builder().operation_timeout(TIMEOUT).build())
            .load()
            .await;
        Client::new(&found)
    }

    /// Decrypts a key-encryption key.
    pub(super) async fn decrypt(&self, encrypted: &Given) -> anyhow::Result<Key> {
        let encrypted = encrypted.read()?;
        let encrypted = STANDARD
            .decode(encrypted.expose_secret().trim())
            .context("the key-encryption key is no ciphertext of AWS KMS in base64")?;
        let decrypted = self
            .client()
            .await
            .decrypt()
            // The ciphertext names its key, but whoever writes it might have taken one of their own.
            .key_id(&self.arn)
            .ciphertext_blob(Blob::new(encrypted))
            .encryption_context(CONTEXT.0, CONTEXT.1)
            .send()
            .await
            .map_err(|error| self.refused("decrypt the key-encryption key", &DisplayErrorContext(error)))?;
        let bytes = decrypted.plaintext.context("AWS KMS answered without a key")?;
        Key::from_slice(bytes.as_ref()).context("what AWS KMS decrypted is no key-encryption key")
    }

    /// A new key-encryption key, encrypted, in base64. KMS makes it and shows it to nobody.
    pub(crate) async fn generate(&self) -> anyhow::Result<String> {
        let made = self
            .client()
            .await
            .generate_data_key_without_plaintext()
            .key_id(&self.arn)
            .key_spec(DataKeySpec::Aes256)
            .encryption_context(CONTEXT.0, CONTEXT.1)
            .send()
            .await
            .map_err(|error| self.refused("make a key-encryption key", &DisplayErrorContext(error)))?;
        let encrypted = made.ciphertext_blob.context("AWS KMS answered without a key")?;
        Ok(STANDARD.encode(encrypted.as_ref()))
    }

    fn refused(&self, what: &str, error: &dyn std::fmt::Display) -> anyhow::Error {
        anyhow::anyhow!("AWS KMS does not {what} with {}: {error}", self.arn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_kms_is_named_by_its_arn_which_says_the_region() {
        for arn in [
            "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws-us-gov:kms:eu-central-1:123456789012:alias/tenantry",
        ] {
            assert_eq!(arn.parse::<KmsKey>().unwrap().region, "eu-central-1");
        }
        for text in [
            "",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "alias/tenantry",
            "arn:aws:s3:::bucket",
            "arn:aws:kms::123456789012:key/1",
            "arn:aws:kms:eu-central-1:123456789012:grant/1",
        ] {
            assert!(text.parse::<KmsKey>().is_err(), "{text}");
        }
    }
}
