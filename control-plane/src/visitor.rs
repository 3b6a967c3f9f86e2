//! Who sends a request without a key: the address of its connection or, behind proxies that the operator
//! trusts, the one that they say they were asked from.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, header},
    middleware::Next,
    response::Response,
};
use tenantry_http::PeerAddr;

use crate::{Settings, trusted_proxy::TrustedProxy};

/// The address of who sends a request; an extension of requests to public endpoints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visitor(pub(crate) IpAddr);

/// Tells the endpoints behind it who asks. Nothing where the connection is unknown.
pub(crate) async fn identify(
    State(settings): State<Arc<Settings>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(address) = address_of(&request, &settings) {
        request.extensions_mut().insert(Visitor(address));
    }
    next.run(request).await
}

/// The address that a request comes from, if the connection is known.
pub(crate) fn address_of(request: &Request, settings: &Settings) -> Option<IpAddr> {
    let ConnectInfo(PeerAddr(peer)) = request.extensions().get()?;
    Some(visitor(peer.ip(), request.headers(), &settings.trusted_proxies))
}

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The rightmost address of the chain that is no trusted proxy's: what stands left of it is what the
/// visitor likes to say.
fn visitor(peer: IpAddr, headers: &HeaderMap, trusted: &[TrustedProxy]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|proxy| proxy.contains(*address));
    if !is_trusted(&peer) {
        return peer;
    }
    let rightmost = |hops: &[Option<IpAddr>]| {
        let mut seen = peer;
        for hop in hops.iter().rev() {
            // A proxy that hides whom it was asked by: all that is known is the proxy.
            let Some(address) = hop else { return seen };
            seen = *address;
            if !is_trusted(address) {
                break;
            }
        }
        seen
    };
    let by_standard = forwarded(headers).map(|hops| rightmost(&hops));
    let by_custom = x_forwarded_for(headers).map(|hops| rightmost(&hops));
    match (by_standard, by_custom) {
        (Some(a), Some(b)) if a == b => a,
        // The proxy writes one of the two; the other came from the visitor, and no one can tell which.
        (Some(_), Some(_)) | (None, None) => peer,
        (Some(one), None) | (None, Some(one)) => one,
    }
}

/// The hops of `Forwarded` (RFC 7239), nearest last; `None` for one that names no address.
fn forwarded(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    let text = joined(headers, &header::FORWARDED)?;
    let hop = |element: &str| {
        let mut addresses = split_outside_quotes(element, ';').filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case("for").then(|| address(&unquoted(value.trim())))
        });
        let first = addresses.next().flatten();
        // An element that says it twice says nothing.
        first.filter(|_| addresses.next().is_none())
    };
    Some(split_outside_quotes(&text, ',').map(hop).collect())
}

fn x_forwarded_for(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    let text = joined(headers, &X_FORWARDED_FOR)?;
    Some(text.split(',').map(address).collect())
}

/// All lines of a header as one list. Bytes that are not ASCII become what is no address.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> =
        headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// Splits at a separator that is not within a quoted string.
fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let within = quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        c == separator && !within
    })
}

fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut escaped = false;
    inner
        .chars()
        .filter(|c| {
            escaped = *c == '\\' && !escaped;
            !escaped
        })
        .collect()
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80`, `2001:db8::1`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asked from 10.0.0.1, with 10.0.0.0/8 and `fd00::/8` trusted.
    fn seen(headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        visitor("::ffff:10.0.0.1".parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn the_rightmost_address_that_is_no_proxy_s_is_the_visitor() {
        for (header, value, expected) in [
            ("x-forwarded-for", "192.0.2.9", "192.0.2.9"),
            ("x-forwarded-for", "203.0.113.7, 192.0.2.9", "192.0.2.9"),
            ("x-forwarded-for", "203.0.113.7,192.0.2.9 , 10.1.1.1,fd00::1", "192.0.2.9"),
            ("x-forwarded-for", "192.0.2.9:4711", "192.0.2.9"),
            ("x-forwarded-for", "2001:db8::9", "2001:db8::9"),
            ("x-forwarded-for", "[2001:db8::9]:4711", "2001:db8::9"),
            ("x-forwarded-for", "[2001:db8::9]", "2001:db8::9"),
            ("x-forwarded-for", "::ffff:192.0.2.9", "192.0.2.9"),
            ("x-forwarded-for", "10.2.2.2, 10.1.1.1", "10.2.2.2"),
            ("forwarded", "for=192.0.2.9", "192.0.2.9"),
            ("forwarded", "For=203.0.113.7, proto=https;FOR=192.0.2.9;by=10.0.0.1", "192.0.2.9"),
            ("forwarded", "for=\"[2001:db8::9]:4711\";by=10.0.0.1, for=10.1.1.1", "2001:db8::9"),
            ("forwarded", "for=\"192.0.2.9:80\"", "192.0.2.9"),
            // A comma, a semicolon and a quote within quotes separate nothing.
            ("forwarded", "for=192.0.2.9;host=\"a,for=203.0.113.7;\\\",b\"", "192.0.2.9"),
        ] {
            assert_eq!(seen(&[(header, value)]), expected, "{header}: {value}");
        }
        let lines = [("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "192.0.2.9")];
        assert_eq!(seen(&lines), "192.0.2.9");
    }

    #[test]
    fn what_names_no_address_leaves_the_proxy_that_said_it() {
        for (header, value, expected) in [
            ("x-forwarded-for", "203.0.113.7, unknown", "10.0.0.1"),
            ("x-forwarded-for", "203.0.113.7, , 10.1.1.1", "10.1.1.1"),
            ("x-forwarded-for", "", "10.0.0.1"),
            ("forwarded", "for=203.0.113.7, for=_hidden, for=10.1.1.1", "10.1.1.1"),
            ("forwarded", "for=unknown", "10.0.0.1"),
            ("forwarded", "proto=https", "10.0.0.1"),
            ("forwarded", "for=203.0.113.7;for=192.0.2.9", "10.0.0.1"),
            ("forwarded", "for=\"203.0.113.7", "10.0.0.1"),
        ] {
            assert_eq!(seen(&[(header, value)]), expected, "{header}: {value}");
        }
        assert_eq!(seen(&[]), "10.0.0.1");
    }

    #[test]
    fn two_headers_that_disagree_are_both_disbelieved() {
        let both = |standard, custom| seen(&[("forwarded", standard), ("x-forwarded-for", custom)]);
        assert_eq!(both("for=192.0.2.9", "192.0.2.9"), "192.0.2.9");
        assert_eq!(both("for=203.0.113.7", "192.0.2.9"), "10.0.0.1");
    }

    #[test]
    fn nobody_but_a_trusted_proxy_is_believed() {
        let headers = HeaderMap::from_iter([(X_FORWARDED_FOR.clone(), "203.0.113.7".parse().unwrap())]);
        let peer: IpAddr = "192.0.2.9".parse().unwrap();
        assert_eq!(visitor(peer, &headers, &[]), peer);
        assert_eq!(visitor(peer, &headers, &["10.0.0.0/8".parse().unwrap()]), peer);
        assert_eq!(visitor(peer, &headers, &["192.0.2.9".parse().unwrap()]).to_string(), "203.0.113.7");
    }
}
