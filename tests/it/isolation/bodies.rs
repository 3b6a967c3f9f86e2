//! Bodies that say more than a row.

use super::{
    Attempt,
    Outcome::{self, Refused, Served},
    Pair,
};
use tenantry_tests::raw::RawRequest;

const NO_COLUMN: Outcome = Refused("unknown_column");
const NO_TYPE: Outcome = Refused("unsupported_media_type");

/// A contact of the attacker's; `VICTIM`, `ID` and `ROW` stand for the victim's schema, id and row.
fn contact(p: &Pair<'_>, body: &str) -> RawRequest {
    let body =
        body.replace("VICTIM", &p.victim.schema).replace("ID", &p.victim.id).replace("ROW", &p.victim.row);
    p.write("POST", "/api/contacts", body)
}

pub(super) const ATTEMPTS: &[Attempt] = &[
    ("a column for the tenant", NO_COLUMN, |p| contact(p, r#"{"email":"x","tenant_id":"ID"}"#)),
    ("another column for the tenant", NO_COLUMN, |p| contact(p, r#"{"email":"x","tenant":"ID"}"#)),
    ("a column for the schema", NO_COLUMN, |p| contact(p, r#"{"email":"x","schema":"VICTIM"}"#)),
    ("a system column", NO_COLUMN, |p| contact(p, r#"{"email":"x","tableoid":1}"#)),
    ("a column of the victim's", NO_COLUMN, |p| contact(p, r#"{"VICTIM.contacts.email":"x"}"#)),
    ("a key that is SQL", NO_COLUMN, |p| {
        contact(p, r#"{"email) VALUES ('x'); DELETE FROM VICTIM.contacts; --":"x"}"#)
    }),
    ("a key that ends its quotes", NO_COLUMN, |p| {
        contact(p, r#"{"email\") SELECT * FROM VICTIM.contacts --":"x"}"#)
    }),
    ("an empty key", NO_COLUMN, |p| contact(p, r#"{"email":"x","":"x"}"#)),
    ("a key in another spelling", NO_COLUMN, |p| contact(p, r#"{"EMAIL":"x"}"#)),
    ("NUL in a key", Refused("nul_byte"), |p| contact(p, r#"{"email\u0000":"x"}"#)),
    ("NUL in a value", Refused("nul_byte"), |p| contact(p, r#"{"email":"x\u0000y"}"#)),
    ("half a character", Refused("invalid_text_representation"), |p| contact(p, r#"{"email":"\ud800"}"#)),
    ("a second row with one column more", Refused("keys_differ"), |p| {
        contact(p, r#"[{"email":"x"},{"email":"x","tenant_id":"ID"}]"#)
    }),
    ("a change of role as a value", Served, |p| contact(p, r#"{"email":"'; SET ROLE VICTIM; --"}"#)),
    ("a statement as a value", Served, |p| contact(p, r#"{"email":"x'); DELETE FROM VICTIM.contacts; --"}"#)),
    ("a dollar quote as a value", Served, |p| contact(p, r#"{"email":"$$; RESET ROLE; $$"}"#)),
    ("a subquery as a value", Served, |p| contact(p, r#"{"email":"(SELECT company FROM VICTIM.contacts)"}"#)),
    ("an object as a text", Served, |p| {
        contact(p, r#"{"email":{"select":"company","from":"VICTIM.contacts"}}"#)
    }),
    ("a list as a text", Served, |p| contact(p, r#"{"email":["VICTIM"]}"#)),
    ("a key twice", Served, |p| contact(p, r#"{"email":"a","email":"b"}"#)),
    ("the victim's row as the key of a new one", Served, |p| contact(p, r#"{"id":"ROW","email":"x"}"#)),
    ("SQL within JSON", Served, |p| {
        contact(p, r#"{"email":"x","metadata":{"a'); DROP TABLE contacts; --":1}}"#)
    }),
    ("SQL as the key of a new one", Refused("invalid_text_representation"), |p| {
        contact(p, r#"{"id":"x'; SET ROLE VICTIM; --","email":"x"}"#)
    }),
    ("JSON that is too deep", Refused("bad_json"), |p| {
        contact(p, &format!(r#"{{"metadata":{}1{}}}"#, r#"{"a":"#.repeat(200), "}".repeat(200)))
    }),
    ("no object", Refused("bad_body"), |p| contact(p, r#""VICTIM.contacts""#)),
    ("two objects", Refused("bad_json"), |p| contact(p, r#"{"email":"x"}{"email":"y"}"#)),
    ("rows as CSV", Served, |p| typed(p, "text/csv", "email\nx\n")),
    ("a form with the tenant", Refused("unknown_column"), |p| {
        typed(p, "application/x-www-form-urlencoded", "email=x&tenant_id=ID")
    }),
    ("SQL", NO_TYPE, |p| typed(p, "application/sql", "SELECT * FROM VICTIM.contacts")),
    ("a form in parts", NO_TYPE, |p| typed(p, "multipart/form-data; boundary=x", "--x--")),
    ("a body on a read", Served, |p| {
        p.own("/api/contacts").body(format!(r#"{{"tenant_id":"{}"}}"#, p.victim.id))
    }),
    ("a changed key of the attacker's own row", Refused("unique_violation"), |p| {
        p.write(
            "PATCH",
            format!("/api/contacts/{}", p.attacker.row),
            format!(r#"{{"id":"{}"}}"#, p.victim.row),
        )
    }),
    ("a removal by method of a header", Served, |p| {
        p.own("/api/contacts")
            .header("X-HTTP-Method-Override", "DELETE")
            .header("X-Method-Override", "DELETE")
    }),
    ("a removal at the victim by method of a header", Refused("tenant_mismatch"), |p| {
        p.at(&p.victim.host).header("X-HTTP-Method-Override", "DELETE")
    }),
    ("a removal by method of a parameter", NO_COLUMN, |p| p.own("/api/contacts?_method=DELETE")),
];

fn typed(p: &Pair<'_>, content_type: &str, body: &str) -> RawRequest {
    contact(p, body).without("content-type").header("content-type", content_type)
}
