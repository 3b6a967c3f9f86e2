//! Finding the addresses of hosts.

use std::{fmt::Debug, io, net::IpAddr};

use async_trait::async_trait;

/// Finds the addresses of a host.
#[async_trait]
pub trait HostResolver: Debug + Send + Sync {
    /// All of them.
    ///
    /// # Errors
    /// There is no such host, or it cannot be asked for.
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// As the machine finds them, its `hosts` file included.
#[derive(Debug, Clone, Copy)]
pub struct SystemHosts;

#[async_trait]
impl HostResolver for SystemHosts {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}
