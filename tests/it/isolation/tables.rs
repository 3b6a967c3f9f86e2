//! Tables that are not the attacker's, and rows that are not.

use super::{
    Attempt,
    Outcome::{self, Refused, Served},
    encoded,
};

const NO_TABLE: Outcome = Refused("unknown_table");
const NO_ROW: Outcome = Refused("row_not_found");

pub(super) const ATTEMPTS: &[Attempt] = &[
    ("the victim's schema in front", NO_TABLE, |p| p.own(format!("/api/{}.contacts", p.victim.schema))),
    ("the victim's schema in front, quoted", NO_TABLE, |p| {
        p.own(format!("/api/{}", encoded(&format!(r#""{}"."contacts""#, p.victim.schema))))
    }),
    ("the victim's schema in front, with the dot encoded", NO_TABLE, |p| {
        p.own(format!("/api/{}%2Econtacts", p.victim.schema))
    }),
    ("the victim's schema in front, with a slash encoded", NO_TABLE, |p| {
        p.own(format!("/api/{}%2Fcontacts", p.victim.schema))
    }),
    ("the victim's schema as the table", NO_TABLE, |p| p.own(format!("/api/{}/contacts", p.victim.schema))),
    ("the victim's database and schema in front", NO_TABLE, |p| {
        p.own(format!("/api/{0}.{0}.contacts", p.victim.schema))
    }),
    ("the schema that ends the name", NO_TABLE, |p| {
        p.own(format!(
            "/api/{}",
            encoded(&format!(r#"contacts" UNION SELECT * FROM {}.contacts --"#, p.victim.schema))
        ))
    }),
    ("a statement behind the name", NO_TABLE, |p| {
        p.own(format!("/api/{}", encoded(&format!("contacts;DELETE FROM {}.contacts", p.victim.schema))))
    }),
    ("a comment behind the name", NO_TABLE, |p| p.own(format!("/api/{}", encoded("contacts/**/--")))),
    ("a subquery for a name", NO_TABLE, |p| {
        p.own(format!("/api/{}", encoded(&format!("(SELECT * FROM {}.contacts)", p.victim.schema))))
    }),
    ("the name in upper case", NO_TABLE, |p| p.own("/api/CONTACTS")),
    ("a quoted name", NO_TABLE, |p| p.own("/api/%22contacts%22")),
    ("NUL behind the name", NO_TABLE, |p| p.own("/api/contacts%00")),
    ("bytes that are no text", Refused("invalid_field"), |p| p.own("/api/%ff%fe")),
    ("public", NO_TABLE, |p| p.own("/api/public.contacts")),
    ("pg_catalog", NO_TABLE, |p| p.own("/api/pg_catalog.pg_class")),
    ("the roles", NO_TABLE, |p| p.own("/api/pg_roles")),
    ("the passwords", NO_TABLE, |p| p.own("/api/pg_authid")),
    ("what others run", NO_TABLE, |p| p.own("/api/pg_stat_activity?select=query")),
    ("the databases", NO_TABLE, |p| p.own("/api/pg_database")),
    ("the schemas", NO_TABLE, |p| p.own("/api/pg_namespace")),
    ("information_schema", NO_TABLE, |p| p.own("/api/information_schema.tables")),
    ("a table of information_schema", NO_TABLE, |p| p.own("/api/tables?table_schema=eq.public")),
    ("the tenant's own history", NO_TABLE, |p| p.own("/api/tenantry_migrations")),
    ("the tenant's own history, written", NO_TABLE, |p| {
        p.write("POST", "/api/tenantry_migrations", r#"{"version":1}"#)
    }),
    ("the tenant's own history, removed", NO_TABLE, |p| {
        p.own("/api/tenantry_migrations?version=not.is.null").method("DELETE")
    }),
    ("the victim's history", NO_TABLE, |p| p.own(format!("/api/{}.tenantry_migrations", p.victim.schema))),
    ("the registry's tenants", NO_TABLE, |p| p.own("/api/tenants")),
    ("the registry's keys", NO_TABLE, |p| p.own("/api/api_keys")),
    ("the queue", NO_TABLE, |p| p.own("/api/apalis.jobs")),
    ("a function", Refused("unknown_function"), |p| p.own("/api/rpc/pg_read_file?filename=/etc/passwd")),
    ("a function called by POST", Refused("unknown_function"), |p| {
        p.write("POST", "/api/rpc/set_config", r#"{"role":"postgres"}"#)
    }),
    ("a sequence", NO_TABLE, |p| p.own("/api/contacts_id_seq")),
    ("an index", NO_TABLE, |p| p.own("/api/contacts_pkey")),
    ("the users", Refused("users_not_enabled"), |p| p.own("/api/auth/users")),
    // Rows of the victim's, by an id that is known.
    ("the victim's row", NO_ROW, |p| p.own(format!("/api/contacts/{}", p.victim.row))),
    ("the victim's row changed", NO_ROW, |p| {
        p.write("PATCH", format!("/api/contacts/{}", p.victim.row), r#"{"email":"x@example.com"}"#)
    }),
    ("the victim's row removed", NO_ROW, |p| {
        p.own(format!("/api/contacts/{}", p.victim.row)).method("DELETE")
    }),
    ("the victim's row by a filter", Served, |p| p.own(format!("/api/contacts?id=eq.{}", p.victim.row))),
    ("the victim's row in a list", Served, |p| p.own(format!("/api/contacts?id=in.({})", p.victim.row))),
    ("the victim's row replaced, which makes one of the attacker's own", Served, |p| {
        p.write("PUT", format!("/api/contacts/{}", p.victim.row), r#"{"email":"x@example.com"}"#)
    }),
    ("the victim's row merged into, which is the attacker's own now", Served, |p| {
        p.write("POST", "/api/contacts", format!(r#"{{"id":"{}","email":"y@example.com"}}"#, p.victim.row))
            .without("Prefer")
            .header("Prefer", "resolution=merge-duplicates, return=representation")
    }),
    // On the same connection: the row of that id, which the attacker has by now, goes first.
    ("a conversation with the victim's contact", Refused("foreign_key_violation"), |p| {
        p.write("POST", "/api/conversations", format!(r#"{{"contact_id":"{}"}}"#, p.victim.row))
            .after(p.own(format!("/api/contacts/{}", p.victim.row)).method("DELETE"))
    }),
];
