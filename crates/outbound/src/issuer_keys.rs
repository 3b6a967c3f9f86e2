//! Fetching the public keys of an issuer of tokens: a key set at a URL, or where the issuer's `OpenID` configuration says.
//!
//! An issuer may be hostile: how long it takes and how much it sends is bounded, redirects are not followed, and of what it answers
//! nothing is shown to anybody but a status.

use std::time::Duration;

use headers::{CacheControl, HeaderMapExt};
use reqwest::{Response, header};
use serde::Deserialize;
use tenantry_domain::{
    Invalid,
    http_url::HttpUrl,
    jwk::Jwks,
    trusted_issuer::{KeySource, KeySourceKind},
};

use crate::{Outbound, root_cause};

/// Bytes of a document. The largest of the large providers, with their certificates, have a tenth.
const MAX_BYTES: usize = 256 << 10;
/// For how long keys are taken as they are, whatever the issuer says: it is neither asked all the time nor never again.
const SHORTEST_LIFE: Duration = Duration::from_mins(5);
const LONGEST_LIFE: Duration = Duration::from_hours(24);
/// Where it says nothing.
const USUAL_LIFE: Duration = Duration::from_hours(1);

/// What an issuer published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its keys that tokens can be checked with.
    pub keys: Jwks,
    /// When to look again.
    pub fresh_for: Duration,
}

/// Keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A document could not be had.
    #[error("{url}: {message}")]
    Document {
        /// Which.
        url: HttpUrl,
        /// Why, for a person.
        message: String,
    },
    /// The issuer's configuration is another issuer's.
    #[error("{url} is the configuration of {found:?}, not of {wanted:?}")]
    OtherIssuer {
        /// The configuration.
        url: HttpUrl,
        /// Whose it says it is.
        found: String,
        /// Whose it should be.
        wanted: String,
    },
    /// It takes too long.
    #[error("no complete answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
}

/// The part of an issuer's configuration that matters here.
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

/// Fetches the keys of an issuer.
///
/// # Errors
/// A document cannot be had, is not what it should be, or has a key that is nobody else's business.
pub async fn fetch(
    outbound: &Outbound,
    source: &KeySource,
    timeout: Duration,
) -> Result<Published, FetchError> {
    let fetched = async {
        match source.kind() {
            KeySourceKind::JwksUri => key_set(outbound, source.document().clone()).await,
            KeySourceKind::Discovery => key_set(outbound, discover(outbound, source).await?).await,
        }
    };
    tokio::time::timeout(timeout, fetched).await.unwrap_or(Err(FetchError::TimedOut(timeout)))
}

/// Where the issuer's configuration says that its keys are.
async fn discover(outbound: &Outbound, source: &KeySource) -> Result<HttpUrl, FetchError> {
    let url = source.document().clone();
    let document = Document::get(outbound, url.clone()).await?;
    let Discovered { issuer, jwks_uri } = serde_json::from_slice(&document.body).map_err(|_| {
        document.failed("is no OpenID configuration: an object with the texts `issuer` and `jwks_uri`")
    })?;
    // Else whoever can write one document there could speak for another issuer.
    if issuer != source.url() {
        let found = issuer.chars().take(200).collect();
        return Err(FetchError::OtherIssuer { url, found, wanted: source.url().to_owned() });
    }
    HttpUrl::parse(&jwks_uri).map_err(|error| document.failed(format!("its jwks_uri {error}")))
}

async fn key_set(outbound: &Outbound, url: HttpUrl) -> Result<Published, FetchError> {
    let document = Document::get(outbound, url).await?;
    let keys =
        Jwks::published(&document.body).map_err(|error: Invalid| document.failed(error.to_string()))?;
    Ok(Published { keys, fresh_for: fresh_for(document.cache_control.as_ref()) })
}

fn fresh_for(cache_control: Option<&CacheControl>) -> Duration {
    let Some(said) = cache_control else { return USUAL_LIFE };
    if said.no_store() || said.no_cache() {
        return SHORTEST_LIFE;
    }
    said.max_age().unwrap_or(USUAL_LIFE).clamp(SHORTEST_LIFE, LONGEST_LIFE)
}

struct Document {
    url: HttpUrl,
    body: Vec<u8>,
    cache_control: Option<CacheControl>,
}

impl Document {
    async fn get(outbound: &Outbound, url: HttpUrl) -> Result<Self, FetchError> {
        let mut document = Self { url, body: Vec::new(), cache_control: None };
        let client = outbound.client(&document.url).map_err(|error| document.failed(error.to_string()))?;
        let request = client.get(document.url.as_str()).header(header::ACCEPT, "application/json");
        let response = request.send().await.map_err(|error| document.broke(error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(document.failed(format!("answered {status}; redirects are not followed")));
        }
        if !status.is_success() {
            return Err(document.failed(format!("answered {status}")));
        }
        document.cache_control = response.headers().typed_get();
        document.read(response).await?;
        Ok(document)
    }

    async fn read(&mut self, mut response: Response) -> Result<(), FetchError> {
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broke(error))? {
            if self.body.len() + chunk.len() > MAX_BYTES {
                return Err(self.failed(format!("has more than {MAX_BYTES} bytes")));
            }
            self.body.extend_from_slice(&chunk);
        }
        Ok(())
    }

    fn failed(&self, message: impl Into<String>) -> FetchError {
        FetchError::Document { url: self.url.clone(), message: message.into() }
    }

    fn broke(&self, error: reqwest::Error) -> FetchError {
        self.failed(root_cause(&error.without_url()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_says_within_bounds_for_how_long_its_keys_are_fresh() {
        let said = |text: &'static str| {
            let mut headers = reqwest::header::HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, text.parse().unwrap());
            fresh_for(headers.typed_get().as_ref()).as_secs()
        };
        assert_eq!(fresh_for(None), USUAL_LIFE);
        for (text, seconds) in [
            ("max-age=1800", 1800),
            ("public, max-age=21600, must-revalidate", 21_600),
            ("max-age=0", 300),
            ("max-age=99999999999", 86_400),
            ("no-store", 300),
            ("private", 3600),
        ] {
            assert_eq!(said(text), seconds, "{text}");
        }
    }
}
