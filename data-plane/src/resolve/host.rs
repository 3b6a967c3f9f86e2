//! The host that a request was sent to, whatever way HTTP says it.

use std::{borrow::Cow, net::Ipv4Addr, net::Ipv6Addr};

use axum::http::request::Parts;
use tenantry_domain::Invalid;

use super::{HOST, ResolveError, malformed, one_value};

/// What a host means here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host<'r> {
    /// An address, the base domain itself, a single label, or no host at all: names no tenant.
    Nobody,
    /// What stands in front of the base domain.
    Below(Cow<'r, str>),
    /// Another host name.
    Foreign(Cow<'r, str>),
}

/// The host of the absolute form and of HTTP/2 is in the URI; where `Host` is there too, they must agree.
pub(super) fn of_request<'r>(parts: &'r Parts, base_domain: &str) -> Result<Host<'r>, ResolveError> {
    let in_header = one_value(&parts.headers, HOST, "Host")?;
    let in_uri = parts.uri.authority().map(axum::http::uri::Authority::as_str);
    let read = |text| read(text, base_domain).map_err(|reason| malformed("Host", reason));
    match (in_uri, in_header) {
        (None, None) => Ok(Host::Nobody),
        (Some(host), None) | (None, Some(host)) => read(host),
        (Some(a), Some(b)) => {
            let (a, b) = (read(a)?, read(b)?);
            if a == b { Ok(a) } else { Err(ResolveError::Twice("Host")) }
        }
    }
}

pub(super) fn read<'r>(authority: &'r str, base_domain: &str) -> Result<Host<'r>, Invalid> {
    let Some(host) = without_port(authority)? else { return Ok(Host::Nobody) };
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return Ok(Host::Nobody);
    }
    // `_` is in names of container networks.
    if host.len() > 253 || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(Invalid::because("is no host name"));
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    if host.parse::<Ipv4Addr>().is_ok() || last.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(Host::Nobody);
    }
    let host: Cow<'r, str> = if host.bytes().any(|b| b.is_ascii_uppercase()) {
        host.to_ascii_lowercase().into()
    } else {
        host.into()
    };
    if *host == *base_domain {
        return Ok(Host::Nobody);
    }
    match below(&host, base_domain).map(str::len) {
        Some(len) => Ok(Host::Below(match host {
            Cow::Borrowed(host) => host[..len].into(),
            Cow::Owned(mut host) => {
                host.truncate(len);
                host.into()
            }
        })),
        // The names of container networks and of the machine itself: never a custom domain.
        None if !host.contains('.') => Ok(Host::Nobody),
        None => Ok(Host::Foreign(host)),
    }
}

fn below<'h>(host: &'h str, base_domain: &str) -> Option<&'h str> {
    host.strip_suffix(base_domain)?.strip_suffix('.')
}

/// The host without its port; none for an IPv6 address.
fn without_port(authority: &str) -> Result<Option<&str>, Invalid> {
    let bad = || Invalid::because("is no host name");
    let is_port = |text: &str| text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or_else(bad)?;
        let address = address.split('%').next().unwrap_or_default();
        let port_ok = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return if address.parse::<Ipv6Addr>().is_ok() && port_ok { Ok(None) } else { Err(bad()) };
    }
    match authority.split_once(':') {
        None => Ok(Some(authority)),
        Some((host, port)) if is_port(port) => Ok(Some(host)),
        Some(_) if authority.parse::<Ipv6Addr>().is_ok() => Ok(None),
        Some(_) => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(host: &str) -> Host<'_> {
        read(host, "example.com").unwrap()
    }

    #[test]
    fn case_port_and_final_dot_do_not_matter() {
        for host in ["acme.example.com", "ACME.Example.COM", "acme.example.com:8081", "acme.example.com.:80"]
        {
            assert_eq!(of(host), Host::Below("acme".into()), "{host}");
        }
    }

    #[test]
    fn addresses_and_the_base_domain_name_nobody() {
        for host in [
            "example.com",
            "EXAMPLE.com:1",
            "10.0.0.1",
            "10.0.0.1:80",
            "[::1]",
            "[::1]:8081",
            "::1",
            "",
            ":80",
        ] {
            assert_eq!(of(host), Host::Nobody, "{host}");
        }
        for host in ["localhost", "data-plane:8081", "data_plane", "2130706433", "127.1"] {
            assert_eq!(of(host), Host::Nobody, "{host}");
        }
    }

    #[test]
    fn labels_are_respected() {
        assert_eq!(of("notexample.com"), Host::Foreign("notexample.com".into()));
        assert_eq!(of("a.b.example.com"), Host::Below("a.b".into()));
        assert_eq!(of("acme.example.com.evil.net"), Host::Foreign("acme.example.com.evil.net".into()));
        assert_eq!(of(".example.com"), Host::Below("".into()));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in
            ["a b.example.com", "a'.example.com", "[::1", "[x]", "a:b:c", "a:99x", "u@h.com", "[::1]x", "é"]
        {
            assert!(read(host, "example.com").is_err(), "{host}");
        }
    }
}
