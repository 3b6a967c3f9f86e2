//! Proxies whose word about where a request came from counts.

use std::{net::IpAddr, str::FromStr};

use ipnet::IpNet;

/// A proxy, or a network of proxies, whose word counts: an address or a CIDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedProxy(IpNet);

/// What was given is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address and no network; write `10.0.0.5`, `10.0.0.0/8` or `2001:db8::/32`")]
pub struct NotANetwork(String);

impl TrustedProxy {
    /// Whether an address is its, or within its network.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for TrustedProxy {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let text = text.trim();
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| NotANetwork(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        for text in ["10.0.0.5", "10.0.0.0/8", "::1", "2001:db8::/32", " 10.0.0.5 "] {
            assert!(text.parse::<TrustedProxy>().is_ok(), "{text}");
        }
        for text in ["", "proxy.internal", "10.0.0.0/33", "10.0.0"] {
            assert!(text.parse::<TrustedProxy>().is_err(), "{text}");
        }
    }
}
