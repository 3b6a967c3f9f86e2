//! Naming the victim, or both.

use super::{
    Attempt,
    Outcome::{Refused, Served},
    Pair, Party,
};
use tenantry_tests::raw::RawRequest;

const MISMATCH: super::Outcome = Refused("tenant_mismatch");
const CONFLICT: super::Outcome = Refused("tenant_conflict");
const INVALID: super::Outcome = Refused("invalid_tenant");

pub(super) const ATTEMPTS: &[Attempt] = &[
    // The victim by each method, with the attacker's key.
    ("the victim's id in a header", MISMATCH, |p| contacts(p).header("X-Tenant-ID", &p.victim.id)),
    ("the victim's id in upper case", MISMATCH, |p| {
        contacts(p).header("X-Tenant-ID", p.victim.id.to_uppercase())
    }),
    ("the victim's slug as an id", MISMATCH, |p| contacts(p).header("X-Tenant-ID", &p.victim.slug)),
    ("the victim's slug in a header", MISMATCH, |p| contacts(p).header("X-Tenant-Slug", &p.victim.slug)),
    ("the victim's slug with underscores", MISMATCH, |p| {
        contacts(p).header("X-Tenant-ID", p.victim.slug.replace('-', "_"))
    }),
    ("the victim's slug in upper case", MISMATCH, |p| {
        contacts(p).header("X-Tenant-Slug", p.victim.slug.to_uppercase())
    }),
    ("the victim in the path", MISMATCH, |p| p.get(format!("/t/{}/api/contacts", p.victim.slug))),
    ("the victim in the path in upper case", MISMATCH, |p| {
        p.get(format!("/t/{}/api/contacts", p.victim.slug.to_uppercase()))
    }),
    ("the victim in the path with a letter encoded", MISMATCH, |p| {
        p.get(format!("/t/%76{}/api/contacts", &p.victim.slug[1..]))
    }),
    ("one row of the victim's in the path", MISMATCH, |p| {
        p.get(format!("/t/{}/api/contacts/{}", p.victim.slug, p.victim.row))
    }),
    ("the victim in the query", MISMATCH, |p| p.get(format!("/api/contacts?tenant={}", p.victim.slug))),
    ("the victim's id in the query", MISMATCH, |p| p.get(format!("/api/contacts?tenant_id={}", p.victim.id))),
    ("the victim in the query under an encoded name", MISMATCH, |p| {
        p.get(format!("/api/contacts?%74enant={}", p.victim.slug))
    }),
    ("the victim in the last of several parameters", MISMATCH, |p| {
        p.get(format!("/api/contacts?select=*&limit=1&tenant={}", p.victim.slug))
    }),
    ("the victim as its users see it", MISMATCH, |p| p.get(format!("/t/{}/api/tenant", p.victim.slug))),
    ("a write to the victim", MISMATCH, |p| {
        contacts(p).method("POST").header("X-Tenant-ID", &p.victim.id).body(r#"{"email":"x@example.com"}"#)
    }),
    ("a change of all of the victim's rows", MISMATCH, |p| {
        p.get(format!("/t/{}/api/contacts?id=not.is.null", p.victim.slug))
            .method("PATCH")
            .body(r#"{"email":"x"}"#)
    }),
    ("a removal of all of the victim's rows", MISMATCH, |p| {
        p.get(format!("/t/{}/api/contacts?id=not.is.null", p.victim.slug)).method("DELETE")
    }),
    ("a count of the victim's rows", MISMATCH, |p| {
        p.get(format!("/t/{}/api/contacts", p.victim.slug)).method("HEAD").header("Prefer", "count=exact")
    }),
    // Headers twice.
    ("X-Tenant-ID twice, the attacker's first", CONFLICT, |p| {
        contacts(p).header("X-Tenant-ID", &p.attacker.id).header("X-Tenant-ID", &p.victim.id)
    }),
    ("X-Tenant-ID twice, the victim's first", CONFLICT, |p| {
        contacts(p).header("X-Tenant-ID", &p.victim.id).header("X-Tenant-ID", &p.attacker.id)
    }),
    ("X-Tenant-ID twice in two spellings", CONFLICT, |p| {
        contacts(p).header("x-tenant-id", &p.attacker.id).header("X-TENANT-ID", &p.victim.id)
    }),
    ("X-Tenant-ID twice with the victim's", MISMATCH, |p| {
        contacts(p).header("X-Tenant-ID", &p.victim.id).header("X-Tenant-ID", &p.victim.id)
    }),
    ("X-Tenant-ID with both, joined by a comma", INVALID, |p| {
        contacts(p).header("X-Tenant-ID", format!("{}, {}", p.attacker.id, p.victim.id))
    }),
    ("X-Tenant-Slug with both, joined by a comma", INVALID, |p| {
        contacts(p).header("X-Tenant-Slug", format!("{},{}", p.attacker.slug, p.victim.slug))
    }),
    ("X-Tenant-Slug twice", CONFLICT, |p| {
        contacts(p).header("X-Tenant-Slug", &p.attacker.slug).header("X-Tenant-Slug", &p.victim.slug)
    }),
    // Parameters twice, and what stands in them.
    ("tenant twice, the attacker first", CONFLICT, |p| {
        p.get(format!("/api/contacts?tenant={}&tenant={}", p.attacker.slug, p.victim.slug))
    }),
    ("tenant twice, the victim first", CONFLICT, |p| {
        p.get(format!("/api/contacts?tenant={}&tenant={}", p.victim.slug, p.attacker.slug))
    }),
    ("tenant with a quote", INVALID, |p| p.get(format!("/api/contacts?tenant={}%27--", p.victim.slug))),
    ("tenant with a semicolon", INVALID, |p| {
        p.get(format!("/api/contacts?tenant={};{}", p.attacker.slug, p.victim.slug))
    }),
    ("tenant with a comment", INVALID, |p| {
        p.get(format!("/api/contacts?tenant={}/**/{}", p.attacker.slug, p.victim.slug))
    }),
    ("tenant that is always true", INVALID, |p| {
        p.get(format!("/api/contacts?tenant={}%27%20OR%20%271%27=%271", p.attacker.slug))
    }),
    ("tenant with a wildcard", INVALID, |p| p.get("/api/contacts?tenant=victim%25")),
    ("tenant with NUL behind it", INVALID, |p| {
        p.get(format!("/api/contacts?tenant={}%00{}", p.attacker.slug, p.victim.slug))
    }),
    ("tenant_id with a comment", INVALID, |p| p.get(format!("/api/contacts?tenant_id={}--", p.victim.id))),
    ("tenant_id without hyphens", Refused("tenant_not_found"), |p| {
        p.get(format!("/api/contacts?tenant_id={}", p.victim.id.replace('-', "")))
    }),
    ("tenant as a list", Refused("unknown_column"), |p| {
        p.own(format!("/api/contacts?tenant[]={}", p.victim.slug))
    }),
    ("Tenant in another spelling", Refused("unknown_column"), |p| {
        p.own(format!("/api/contacts?Tenant={}", p.victim.slug))
    }),
    ("tenantId, which is no parameter of ours", Served, |p| {
        p.own(format!("/api/contacts?tenantId={}", p.victim.id))
    }),
    ("tenant behind a semicolon", Refused("bad_range"), |p| {
        p.own(format!("/api/contacts?limit=1;tenant={}", p.victim.slug))
    }),
    // Headers that mean something elsewhere.
    ("X_Tenant_ID with underscores", Served, |p| p.own("/api/contacts").header("X_Tenant_ID", &p.victim.id)),
    ("X-Tenant, which is the answer's", Served, |p| {
        p.own("/api/contacts").header("X-Tenant", &p.victim.slug)
    }),
    ("the victim's id named as a header of the connection", MISMATCH, |p| {
        contacts(p).header("X-Tenant-ID", &p.victim.id).header("Connection", "close, X-Tenant-ID")
    }),
    ("a schema to read from", Refused("unknown_schema"), |p| {
        p.own("/api/contacts").header("Accept-Profile", &p.victim.schema)
    }),
    ("a schema to write to", Refused("unknown_schema"), |p| {
        p.write("POST", "/api/contacts", r#"{"email":"x@example.com"}"#)
            .header("Content-Profile", &p.victim.schema)
    }),
    ("a preference for the victim's role", Served, |p| {
        p.own("/api/contacts").header("Prefer", format!("role={0}, schema={0}", p.victim.schema))
    }),
];

fn contacts(p: &Pair<'_>) -> RawRequest {
    p.get("/api/contacts")
}

type Build = Box<dyn Fn(&Pair<'_>) -> RawRequest>;

/// Each pair of methods, one naming the attacker and the other the victim, both ways round.
pub(super) fn disagreeing() -> Vec<(String, Build)> {
    let mut ways: Vec<(String, Build)> = Vec::new();
    for of_attacker in METHODS {
        for of_victim in METHODS.iter().filter(|other| *other != of_attacker) {
            let name = format!("the attacker by {of_attacker}, the victim by {of_victim}");
            let build = |p: &Pair<'_>| {
                let parts = Parts::default().named(of_attacker, p.attacker).named(of_victim, p.victim);
                parts.request(p)
            };
            ways.push((name, Box::new(build)));
        }
    }
    ways
}

const METHODS: &[&str] = &["host", "X-Tenant-ID", "X-Tenant-Slug", "path", "tenant", "tenant_id"];

#[derive(Default)]
struct Parts {
    host: Option<String>,
    headers: Vec<(&'static str, String)>,
    prefix: String,
    query: Vec<String>,
}

impl Parts {
    fn named(mut self, method: &'static str, party: &Party) -> Self {
        match method {
            "host" => self.host = Some(party.host.clone()),
            "X-Tenant-ID" => self.headers.push((method, party.id.clone())),
            "X-Tenant-Slug" => self.headers.push((method, party.slug.clone())),
            "path" => self.prefix = format!("/t/{}", party.slug),
            "tenant" => self.query.push(format!("tenant={}", party.slug)),
            other => self.query.push(format!("{other}={}", party.id)),
        }
        self
    }

    fn request(self, p: &Pair<'_>) -> RawRequest {
        let mut request = p.get(format!("{}/api/contacts?{}", self.prefix, self.query.join("&")));
        if let Some(host) = self.host {
            request = request.without("Host").header("Host", host);
        }
        self.headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))
    }
}
