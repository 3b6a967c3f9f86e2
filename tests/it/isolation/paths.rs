//! Paths that are read in more than one way.

use super::{
    Attempt,
    Outcome::{self, NoHttp, Refused, Served},
};

const INVALID: Outcome = Refused("invalid_tenant");
const NOWHERE: Outcome = Refused("endpoint_not_found");
const NO_TABLE: Outcome = Refused("unknown_table");

pub(super) const ATTEMPTS: &[Attempt] = &[
    ("a tenant within a tenant", NOWHERE, |p| {
        p.get(format!("/t/{}/t/{}/api/contacts", p.attacker.slug, p.victim.slug))
    }),
    ("dots from one tenant to the other", NOWHERE, |p| {
        p.get(format!("/t/{}/../{}/api/contacts", p.attacker.slug, p.victim.slug))
    }),
    ("dots, encoded", NOWHERE, |p| {
        p.get(format!("/t/{}/%2e%2e/{}/api/contacts", p.attacker.slug, p.victim.slug))
    }),
    ("dots as the tenant", INVALID, |p| p.get("/t/../api/contacts")),
    ("dots as the tenant, encoded", INVALID, |p| p.get("/t/%2e%2e/api/contacts")),
    ("dots and slashes, encoded", INVALID, |p| {
        p.get(format!("/t/{}%2F..%2F{}/api/contacts", p.attacker.slug, p.victim.slug))
    }),
    ("dots and slashes, encoded twice", INVALID, |p| {
        p.get(format!("/t/{}%252F..%252F{}/api/contacts", p.attacker.slug, p.victim.slug))
    }),
    ("a slash in too many bytes", INVALID, |p| {
        p.get(format!("/t/{}%c0%af{}/api/contacts", p.attacker.slug, p.victim.slug))
    }),
    ("a parameter of the segment", INVALID, |p| {
        p.get(format!("/t/{};{}/api/contacts", p.attacker.slug, p.victim.slug))
    }),
    ("dots with a parameter of the segment", NOWHERE, |p| {
        p.get(format!("/t/{}/..;/{}/api/contacts", p.attacker.slug, p.victim.slug))
    }),
    ("NUL behind the tenant", INVALID, |p| p.get(format!("/t/{}%00/api/contacts", p.victim.slug))),
    ("NUL between the tenants", INVALID, |p| {
        p.get(format!("/t/{}%00{}/api/contacts", p.attacker.slug, p.victim.slug))
    }),
    ("a line break behind the tenant", INVALID, |p| {
        p.get(format!("/t/{}%0d%0a/api/contacts", p.victim.slug))
    }),
    ("a space behind the tenant", INVALID, |p| p.get(format!("/t/{}%20/api/contacts", p.victim.slug))),
    ("a dot behind the tenant", INVALID, |p| p.get(format!("/t/{}./api/contacts", p.victim.slug))),
    ("a quote behind the tenant", INVALID, |p| p.get(format!("/t/{}%27/api/contacts", p.victim.slug))),
    ("letters that only look like them", INVALID, |p| {
        p.get(format!("/t/%EF%BD%96{}/api/contacts", &p.victim.slug[1..]))
    }),
    ("an empty tenant", INVALID, |p| p.get("/t//api/contacts")),
    ("an empty segment in front", NOWHERE, |p| p.get(format!("//t/{}/api/contacts", p.victim.slug))),
    ("an empty segment behind", NOWHERE, |p| p.get(format!("/t/{}//api/contacts", p.victim.slug))),
    ("T for t", NOWHERE, |p| p.get(format!("/T/{}/api/contacts", p.victim.slug))),
    ("t, encoded", NOWHERE, |p| p.get(format!("/%74/{}/api/contacts", p.victim.slug))),
    ("slashes the other way", NOWHERE, |p| p.get(format!("/t/{}\\api\\contacts", p.victim.slug))),
    ("dots behind the table", NOWHERE, |p| {
        p.get(format!("/t/{}/api/contacts/../../../{}/api/contacts", p.attacker.slug, p.victim.slug))
    }),
    ("dots as the table", NO_TABLE, |p| {
        p.get(format!("/t/{}/api/..%2f..%2f{}%2fapi%2fcontacts", p.attacker.slug, p.victim.slug))
    }),
    ("dots as the table, without a tenant in front", NO_TABLE, |p| {
        p.own(format!("/api/%2e%2e%2ft%2f{}%2fapi%2fcontacts", p.victim.slug))
    }),
    ("dots as the row", Refused("invalid_text_representation"), |p| {
        p.own(format!("/api/contacts/..%2F..%2F..%2Ft%2F{}%2Fapi%2Fcontacts", p.victim.slug))
    }),
    ("the victim behind a fragment", Served, |p| {
        p.own(format!("/api/contacts#/t/{}/api/contacts", p.victim.slug))
    }),
    ("the path of another header", Served, |p| {
        let path = format!("/t/{}/api/contacts", p.victim.slug);
        p.own("/api/contacts").header("X-Original-URL", path.clone()).header("X-Rewrite-URL", path)
    }),
    ("the whole URL of the victim", Refused("tenant_mismatch"), |p| {
        p.get(format!("http://{}/api/contacts", p.victim.host)).without("Host")
    }),
    ("the whole URL of the victim at the attacker's host", Refused("tenant_conflict"), |p| {
        p.own(format!("http://{}/api/contacts", p.victim.host))
    }),
    ("the whole URL of the attacker at the victim's host", Refused("tenant_conflict"), |p| {
        p.get(format!("http://{}/api/contacts", p.attacker.host))
            .without("Host")
            .header("Host", &p.victim.host)
    }),
    ("the victim in the path of the attacker's whole URL", Refused("tenant_conflict"), |p| {
        p.own(format!("http://{}/t/{}/api/contacts", p.attacker.host, p.victim.slug))
    }),
    ("a user in the whole URL", INVALID, |p| {
        p.get(format!("http://{}@{}/api/contacts", p.attacker.host, p.victim.host)).without("Host")
    }),
    ("the victim as another scheme's", Refused("tenant_mismatch"), |p| {
        p.get(format!("https://{}/api/contacts", p.victim.host)).without("Host")
    }),
    ("a tunnel to the victim", NOWHERE, |p| p.get(format!("{}:80", p.victim.host)).method("CONNECT")),
    ("a space in the path", NoHttp, |p| p.get(format!("/api/contacts /t/{}", p.victim.slug))),
];
