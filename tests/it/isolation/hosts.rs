//! Hosts that are read in more than one way.

use super::{
    Attempt,
    Outcome::{self, Refused, Served},
};

const MISMATCH: Outcome = Refused("tenant_mismatch");
const CONFLICT: Outcome = Refused("tenant_conflict");
const INVALID: Outcome = Refused("invalid_tenant");
const NOBODY: Outcome = Refused("tenant_not_found");

pub(super) const ATTEMPTS: &[Attempt] = &[
    ("the victim's subdomain", MISMATCH, |p| p.at(&p.victim.host)),
    ("the victim's subdomain in upper case", MISMATCH, |p| p.at(p.victim.host.to_uppercase())),
    ("the victim's subdomain with a port", MISMATCH, |p| p.at(format!("{}:{}", p.victim.host, p.port))),
    ("the victim's subdomain with another port", MISMATCH, |p| p.at(format!("{}:1", p.victim.host))),
    ("the victim's subdomain with an empty port", MISMATCH, |p| p.at(format!("{}:", p.victim.host))),
    ("the victim's subdomain with a final dot", MISMATCH, |p| p.at(format!("{}.", p.victim.host))),
    ("the victim's subdomain with final dot and port", MISMATCH, |p| p.at(format!("{}.:80", p.victim.host))),
    ("the victim's subdomain with two final dots", Served, |p| p.at(format!("{}..", p.victim.host))),
    ("the victim's subdomain between spaces", MISMATCH, |p| p.at(format!("  {}  ", p.victim.host))),
    ("below the victim's subdomain", NOBODY, |p| p.at(format!("www.{}", p.victim.host))),
    ("the attacker below the victim", NOBODY, |p| p.at(format!("{}.{}", p.attacker.slug, p.victim.host))),
    ("the victim below the attacker", NOBODY, |p| p.at(format!("{}.{}", p.victim.slug, p.attacker.host))),
    ("both whole hosts in one", NOBODY, |p| p.at(format!("{}.{}", p.victim.host, p.attacker.host))),
    ("the victim with an empty label", NOBODY, |p| p.at(format!("{}..localhost", p.victim.slug))),
    ("the victim with a leading dot", NOBODY, |p| p.at(format!(".{}", p.victim.host))),
    ("the victim below another domain", Served, |p| p.at(format!("{}.example.com", p.victim.host))),
    ("the victim as a user of the attacker's host", INVALID, |p| {
        p.at(format!("{}@{}", p.victim.host, p.attacker.host))
    }),
    ("the attacker as a user of the victim's host", INVALID, |p| {
        p.at(format!("{}@{}", p.attacker.host, p.victim.host))
    }),
    ("user and password in the host", INVALID, |p| p.at(format!("a:b@{}", p.victim.host))),
    ("the victim as a port", INVALID, |p| p.at(format!("{}:{}", p.attacker.host, p.victim.host))),
    ("two ports", INVALID, |p| p.at(format!("{}:80:80", p.victim.host))),
    ("NUL, encoded", INVALID, |p| p.at(format!("{}%00.{}", p.victim.host, p.attacker.host))),
    ("a dot, encoded", INVALID, |p| p.at(format!("{}%2elocalhost", p.victim.slug))),
    ("a slash in the host", INVALID, |p| p.at(format!("{}/{}", p.victim.host, p.attacker.host))),
    ("a fragment in the host", INVALID, |p| p.at(format!("{}#.{}", p.victim.host, p.attacker.host))),
    ("a query in the host", INVALID, |p| p.at(format!("{}?.{}", p.victim.host, p.attacker.host))),
    ("a tab in the host", INVALID, |p| p.at(format!("{}\t{}", p.victim.host, p.attacker.host))),
    ("a quote in the host", INVALID, |p| p.at(format!("{}'.localhost", p.victim.slug))),
    ("both hosts, joined by a comma", INVALID, |p| p.at(format!("{}, {}", p.attacker.host, p.victim.host))),
    ("a dot that only looks like one", INVALID, |p| p.at(format!("{}\u{3002}localhost", p.victim.slug))),
    ("letters that only look like them", INVALID, |p| {
        p.at(format!("\u{ff56}{}.localhost", &p.victim.slug[1..]))
    }),
    ("Host twice, the attacker first", CONFLICT, |p| p.at(&p.attacker.host).header("Host", &p.victim.host)),
    ("Host twice, the victim first", CONFLICT, |p| p.at(&p.victim.host).header("Host", &p.attacker.host)),
    ("an IPv6 host", Served, |p| p.at("[::1]")),
    ("an IPv6 host with a port", Served, |p| p.at(format!("[::1]:{}", p.port))),
    ("an IPv6 host without brackets", Served, |p| p.at("::1")),
    ("an IPv4 host within IPv6", Served, |p| p.at("[::ffff:127.0.0.1]")),
    ("the victim as the zone of an IPv6 host", Served, |p| p.at(format!("[fe80::1%25{}]", p.victim.host))),
    ("the victim within brackets", INVALID, |p| p.at(format!("[{}]", p.victim.host))),
    ("the victim behind an IPv6 host", INVALID, |p| p.at(format!("[::1]{}", p.victim.host))),
    ("an IPv6 host with the victim in a header", MISMATCH, |p| {
        p.at("[::1]").header("X-Tenant-ID", &p.victim.id)
    }),
    ("an address that is a number", Served, |p| p.at("2130706433")),
    ("an empty host", Served, |p| p.at("")),
    // What proxies say of hosts is not believed.
    ("X-Forwarded-Host", Served, |p| p.at(&p.attacker.host).header("X-Forwarded-Host", &p.victim.host)),
    ("X-Host", Served, |p| p.at(&p.attacker.host).header("X-Host", &p.victim.host)),
    ("Forwarded", Served, |p| {
        p.at(&p.attacker.host).header("Forwarded", format!("host={};proto=https", p.victim.host))
    }),
    ("X-Forwarded-Prefix", Served, |p| {
        p.at(&p.attacker.host).header("X-Forwarded-Prefix", format!("/t/{}", p.victim.slug))
    }),
    ("Origin and Referer", Served, |p| {
        p.at(&p.attacker.host)
            .header("Origin", format!("http://{}", p.victim.host))
            .header("Referer", format!("http://{}/api/contacts", p.victim.host))
    }),
];
