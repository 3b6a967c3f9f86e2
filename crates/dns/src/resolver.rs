//! Looking up TXT records.

use async_trait::async_trait;
use hickory_resolver::{TokioResolver, proto::rr::RData};

/// DNS does not answer, or cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("DNS cannot be asked: {0}")]
pub struct DnsError(pub String);

/// Looks up TXT records.
#[async_trait]
pub trait TxtResolver: Send + Sync {
    /// The texts of a name's TXT records; none if it has none.
    async fn txt(&self, name: &str) -> Result<Vec<String>, DnsError>;
}

/// The resolver that the machine is configured with, read when it is first used.
#[derive(Default)]
pub struct SystemResolver(tokio::sync::OnceCell<TokioResolver>);

#[async_trait]
impl TxtResolver for SystemResolver {
    async fn txt(&self, name: &str) -> Result<Vec<String>, DnsError> {
        let failed = |error: hickory_resolver::net::NetError| DnsError(error.to_string());
        let resolver = self
            .0
            .get_or_try_init(async || TokioResolver::builder_tokio().map_err(failed)?.build().map_err(failed))
            .await?;
        // The final dot: a proof must not be found under one of the machine's search domains.
        match resolver.txt_lookup(format!("{name}.")).await {
            Ok(found) => Ok(found
                .answers()
                .iter()
                .filter_map(|record| match &record.data {
                    RData::TXT(txt) => Some(
                        // A long text comes in pieces of 255 bytes.
                        txt.txt_data.iter().map(|piece| String::from_utf8_lossy(piece)).collect::<String>(),
                    ),
                    _ => None,
                })
                .collect()),
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(error) => Err(failed(error)),
        }
    }
}
