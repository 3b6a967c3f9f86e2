//! Several requests on one connection, requests within requests, and methods that are not the API's.

use super::{
    Attempt,
    Outcome::{self, Refused, Served},
};

const REQUIRED: Outcome = Refused("key_required");
const MISMATCH: Outcome = Refused("tenant_mismatch");

pub(super) const ATTEMPTS: &[Attempt] = &[
    ("after the victim on its connection, without a key", REQUIRED, |p| {
        p.at(&p.victim.host).without("Authorization").after(p.victims_own())
    }),
    ("after the victim on its connection, with the attacker's key", MISMATCH, |p| {
        p.at(&p.victim.host).after(p.victims_own())
    }),
    ("after the victim on its connection, without a host", Served, |p| {
        p.get("/api/contacts").without("Host").after(p.victims_own())
    }),
    ("after the victim on its connection, as oneself", Served, |p| {
        p.own("/api/contacts").after(p.victims_own()).after(p.victims_own())
    }),
    ("after oneself, at the victim's host", MISMATCH, |p| {
        p.at(&p.victim.host).after(p.own("/api/contacts")).after(p.own("/api/contacts"))
    }),
    ("after oneself, without a key", REQUIRED, |p| {
        p.at(&p.victim.host).without("Authorization").after(p.own("/api/contacts"))
    }),
    ("after a refusal", Served, |p| p.own("/api/contacts").after(p.at(&p.victim.host))),
    ("after a failed write", Served, |p| {
        p.own("/api/contacts").after(p.write("POST", "/api/contacts", r#"{"id":"no uuid","email":"x"}"#))
    }),
    ("a request within a body, its length left out", MISMATCH, |p| {
        // The first has no length and so no body: what follows is a request of its own.
        p.at(&p.victim.host).after(p.own("/api/contacts").header("Content-Length", "0"))
    }),
    ("a request within a body in pieces that ends early", MISMATCH, |p| {
        p.at(&p.victim.host).after(
            p.write("POST", "/api/contacts", "14\r\n{\"email\":\"in.piece\"}\r\n0\r\n\r\n")
                .header("Transfer-Encoding", "chunked"),
        )
    }),
    ("two lengths that differ", Outcome::NoHttp, |p| {
        p.write("POST", "/api/contacts", r#"{"email":"x"}"#)
            .header("Content-Length", "13")
            .header("Content-Length", "2")
    }),
    ("a transfer encoding that is none", Outcome::NoHttp, |p| {
        p.write("POST", "/api/contacts", r#"{"email":"x"}"#).header("Transfer-Encoding", "xchunked")
    }),
    ("a header that goes on in the next line", Outcome::NoHttp, |p| {
        p.own("/api/contacts").header("X-Tenant-ID", format!("{}\r\n {}", p.attacker.id, p.victim.id))
    }),
    ("a header's name with a space", Outcome::NoHttp, |p| {
        p.own("/api/contacts").header("X-Tenant-ID ", &p.victim.id)
    }),
    ("NUL in a header", Outcome::NoHttp, |p| {
        p.own("/api/contacts").header("X-Tenant-ID", format!("{}\0", p.victim.id))
    }),
    ("HTTP/1.0 without a host", MISMATCH, |p| {
        p.get("/api/contacts").without("Host").version("HTTP/1.0").header("X-Tenant-ID", &p.victim.id)
    }),
    ("HTTP/1.0 at the victim's host", MISMATCH, |p| p.at(&p.victim.host).version("HTTP/1.0")),
    ("HTTP/2 by prior knowledge", Outcome::NoHttp, |p| p.at(&p.victim.host).version("HTTP/3.0")),
    ("an upgrade to HTTP/2", Served, |p| {
        p.own("/api/contacts").header("Upgrade", "h2c").header("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
    }),
    ("a question of a browser's", Served, |p| {
        p.at(&p.victim.host)
            .without("Authorization")
            .method("OPTIONS")
            .header("Origin", "http://evil.example")
            .header("Access-Control-Request-Method", "DELETE")
    }),
    ("a request read back", Refused("method_not_allowed"), |p| p.at(&p.victim.host).method("TRACE")),
    ("a method that is none", Refused("method_not_allowed"), |p| p.at(&p.victim.host).method("SEARCH")),
    ("a write by HEAD", MISMATCH, |p| p.at(&p.victim.host).method("HEAD").body(r#"{"email":"x"}"#)),
    ("the documentation at the victim's host", Served, |p| {
        p.get("/openapi.json").without("Host").header("Host", &p.victim.host)
    }),
    ("a request id that is the victim's word for itself", MISMATCH, |p| {
        p.at(&p.victim.host).header("X-Request-Id", "'; SELECT 1; --")
    }),
    // At the end: the attacker's own rows are its own to remove.
    ("a removal of all that there is", Served, |p| {
        p.own("/api/contacts?id=not.is.null").method("DELETE").header("Prefer", "return=representation")
    }),
    ("the attacker's word put back", Served, |p| {
        let (row, word) = (&p.attacker.row, &p.attacker.marker);
        p.write("POST", "/api/contacts", format!(r#"{{"id":"{row}","email":"{word}","company":"{word}"}}"#))
    }),
];
