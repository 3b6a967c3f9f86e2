//! Clients that go only where requests may go.
//!
//! A host's addresses are looked up once, all of them are checked, and the connection goes to one of those: what DNS says a moment later
//! does not matter. An address in the URL is checked as it is. No redirect is followed, no proxy is asked.

use std::{
    error::Error,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};

use ipnet::IpNet;
use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use tenantry_domain::http_url::HttpUrl;
use url::Host;

use crate::{
    HostResolver,
    addresses::{is_admitted, is_allowed},
};

/// No request is sent to a URL; why, for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoRequest(String);

/// Where requests may go, and the clients that go there.
#[derive(Debug)]
pub struct Outbound {
    guard: Guard,
    /// For https, to all addresses that are admitted.
    encrypted: OnceLock<Client>,
    /// For http, to networks that are allowed.
    plain: OnceLock<Client>,
}

#[derive(Debug, Clone)]
struct Guard {
    allow_networks: Arc<[IpNet]>,
    hosts: Arc<dyn HostResolver>,
}

impl Outbound {
    /// To public addresses by https; and to networks that are allowed though they are not public, where http will do.
    pub fn new(allow_networks: Vec<IpNet>, hosts: Arc<dyn HostResolver>) -> Self {
        let guard = Guard { allow_networks: allow_networks.into(), hosts };
        Self { guard, encrypted: OnceLock::new(), plain: OnceLock::new() }
    }

    /// A client for a request to this URL, and to no other.
    ///
    /// # Errors
    /// The URL has an address where no request may go, or no client can be made. Of a host's addresses this is found out when the
    /// request is sent.
    pub fn client(&self, url: &HttpUrl) -> Result<&Client, NoRequest> {
        let target = Target { encrypted: url.is_encrypted(), guard: self.guard.clone() };
        target.check_literal(url).map_err(NoRequest)?;
        let made = if target.encrypted { &self.encrypted } else { &self.plain };
        if let Some(client) = made.get() {
            return Ok(client);
        }
        let client = Client::builder()
            .user_agent(concat!("tenantry/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(target))
            .build()
            .map_err(|error| NoRequest(format!("no HTTP client can be made: {}", root_cause(&error))))?;
        Ok(made.get_or_init(|| client))
    }
}

/// The last of what an error came of: "error sending request" tells nobody anything.
pub fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// How a request goes, and which addresses it may go to.
#[derive(Debug, Clone)]
struct Target {
    encrypted: bool,
    guard: Guard,
}

impl Target {
    /// Nobody resolves an address.
    fn check_literal(&self, url: &HttpUrl) -> Result<(), String> {
        let address = match url.host() {
            Host::Domain(_) => return Ok(()),
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
        };
        self.check(address)
    }

    fn check(&self, address: IpAddr) -> Result<(), String> {
        let allowed = &self.guard.allow_networks;
        if !is_admitted(address, allowed) {
            return Err(format!(
                "the address {address} is not public, and in no network that is allowed (of workers: TENANTRY_WEBHOOKS_ALLOW_NETWORKS)"
            ));
        }
        if !self.encrypted && !is_allowed(address, allowed) {
            return Err(format!(
                "http is for networks that are allowed (of workers: TENANTRY_WEBHOOKS_ALLOW_NETWORKS), and {address} is in none; use https"
            ));
        }
        Ok(())
    }

    /// All addresses of a host, if requests may go to all of them.
    async fn addresses(self, host: &str) -> Result<Vec<IpAddr>, String> {
        let found = self.guard.hosts.addresses(host).await;
        let found = found.map_err(|error| format!("the host {host} cannot be found: {error}"))?;
        if found.is_empty() {
            return Err(format!("the host {host} has no address"));
        }
        found.iter().try_for_each(|address| self.check(*address))?;
        Ok(found)
    }
}

impl Resolve for Target {
    fn resolve(&self, name: Name) -> Resolving {
        let target = self.clone();
        Box::pin(async move {
            let found = target.addresses(name.as_str()).await?;
            // The port is the URL's.
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}
