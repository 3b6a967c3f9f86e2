//! SQL, and what looks like it, in every parameter of the query language. At the attacker's own host, with its own
//! key: what is served is the attacker's.

use super::{
    Attempt,
    Outcome::{self, Refused, Served},
    Pair, encoded,
};
use tenantry_tests::raw::RawRequest;

const NO_COLUMN: Outcome = Refused("unknown_column");
const BAD_SELECT: Outcome = Refused("bad_select");
const BAD_FILTER: Outcome = Refused("bad_filter");
const BAD_ORDER: Outcome = Refused("bad_order");
const BAD_RANGE: Outcome = Refused("bad_range");
const NO_RELATION: Outcome = Refused("unknown_relationship");
const NO_CAST: Outcome = Refused("unknown_cast");

/// The attacker's contacts, with one parameter; `VICTIM` in its value stands for the victim's schema.
fn with(p: &Pair<'_>, name: &str, value: &str) -> RawRequest {
    let value = value.replace("VICTIM", &p.victim.schema);
    p.own(format!("/api/contacts?{}={}", encoded(name), encoded(&value)))
}

pub(super) const ATTEMPTS: &[Attempt] = &[
    // select
    ("select: a table of the victim's", BAD_SELECT, |p| with(p, "select", "*,VICTIM.contacts(*)")),
    ("select: a quoted table of the victim's", NO_RELATION, |p| {
        with(p, "select", r#"*,"VICTIM.contacts"(*)"#)
    }),
    ("select: schema and table, quoted", BAD_SELECT, |p| with(p, "select", r#"*,"VICTIM"."contacts"(*)"#)),
    ("select: the victim's schema as a hint", NO_RELATION, |p| {
        with(p, "select", "*,conversations!VICTIM(*)")
    }),
    ("select: the victim's table within an embedding", BAD_SELECT, |p| {
        with(p, "select", "*,conversations(*,VICTIM.messages(*))")
    }),
    ("select: a system table", NO_RELATION, |p| with(p, "select", "*,pg_class(*)")),
    ("select: the history", NO_RELATION, |p| with(p, "select", "*,tenantry_migrations(*)")),
    ("select: a spread system table", NO_RELATION, |p| with(p, "select", "*,...pg_roles(rolname)")),
    ("select: a subquery", BAD_SELECT, |p| with(p, "select", "(SELECT company FROM VICTIM.contacts)")),
    ("select: a column of the victim's", BAD_SELECT, |p| with(p, "select", "VICTIM.contacts.company")),
    ("select: the list ended", BAD_SELECT, |p| with(p, "select", "*) FROM VICTIM.contacts --")),
    ("select: a quoted name ended", NO_COLUMN, |p| {
        with(p, "select", r#""email\" FROM VICTIM.contacts --""#.replace("VICTIM", &p.victim.schema).as_str())
    }),
    ("select: a statement behind", NO_COLUMN, |p| with(p, "select", "email;DROP TABLE contacts")),
    ("select: a comment behind", NO_COLUMN, |p| with(p, "select", "email/**/--")),
    ("select: a quote", NO_COLUMN, |p| with(p, "select", "email'")),
    ("select: a dollar quote", NO_COLUMN, |p| with(p, "select", "$$email$$")),
    ("select: a function", NO_RELATION, |p| with(p, "select", "pg_read_file(email)")),
    ("select: a function of the session", NO_RELATION, |p| with(p, "select", "current_setting(role)")),
    ("select: the row as one", NO_COLUMN, |p| with(p, "select", "contacts")),
    ("select: ctid", NO_COLUMN, |p| with(p, "select", "ctid")),
    ("select: xmin", NO_COLUMN, |p| with(p, "select", "xmin")),
    ("select: tableoid", NO_COLUMN, |p| with(p, "select", "tableoid::text")),
    ("select: cast to regclass", NO_CAST, |p| with(p, "select", "email::regclass")),
    ("select: cast to regrole", NO_CAST, |p| with(p, "select", "email::regrole")),
    ("select: cast to a type of the victim's", NO_CAST, |p| with(p, "select", "email::VICTIM.contacts")),
    ("select: cast with SQL behind", NO_CAST, |p| with(p, "select", "email::text;SELECT 1")),
    ("select: cast to xml", NO_CAST, |p| with(p, "select", "email::xml")),
    ("select: an alias with SQL", Served, |p| with(p, "select", r#""x\",(SELECT 1) AS \"y":email"#)),
    ("select: a JSON key with SQL", Served, |p| {
        with(p, "select", r#"metadata->>"x' || (SELECT company FROM VICTIM.contacts) || '""#)
    }),
    ("select: a JSON key that is a path", Served, |p| with(p, "select", r#"metadata->"$.**""#)),
    ("select: a JSON key without its quotes", BAD_SELECT, |p| with(p, "select", "metadata->>'x')--")),
    ("select: a path into a text", Served, |p| with(p, "select", "email->>company")),
    ("select: nothing but commas", BAD_SELECT, |p| with(p, "select", ",,,")),
    ("select: NUL", Refused("nul_byte"), |p| p.own("/api/contacts?select=email%00")),
    ("select: an aggregate", Served, |p| with(p, "select", "company.max()")),
    // order
    ("order: a subquery", BAD_ORDER, |p| with(p, "order", "(SELECT company FROM VICTIM.contacts)")),
    ("order: a statement behind", NO_COLUMN, |p| with(p, "order", "email;DELETE FROM contacts")),
    ("order: a statement behind the direction", BAD_ORDER, |p| {
        with(p, "order", "email.desc;DELETE FROM contacts")
    }),
    ("order: a comment", BAD_ORDER, |p| with(p, "order", "email.desc--")),
    ("order: a column of the victim's", BAD_ORDER, |p| with(p, "order", "VICTIM.contacts.company")),
    ("order: an embedding of the victim's", Refused("not_embedded"), |p| with(p, "order", "VICTIM(company)")),
    ("order: a position", NO_COLUMN, |p| with(p, "order", "1")),
    ("order: a system column", NO_COLUMN, |p| with(p, "order", "ctid.desc")),
    ("order: a quote", NO_COLUMN, |p| with(p, "order", "email' DESC")),
    ("order: USING", NO_COLUMN, |p| with(p, "order", "email USING >")),
    // limit and offset
    ("limit: a statement", BAD_RANGE, |p| with(p, "limit", "1;DELETE FROM contacts")),
    ("limit: a subquery", BAD_RANGE, |p| with(p, "limit", "(SELECT 1)")),
    ("limit: a comment", BAD_RANGE, |p| with(p, "limit", "1--")),
    ("limit: ALL", BAD_RANGE, |p| with(p, "limit", "ALL")),
    ("limit: less than none", BAD_RANGE, |p| with(p, "limit", "-1")),
    ("limit: a union", BAD_RANGE, |p| with(p, "limit", "1 UNION SELECT * FROM VICTIM.contacts")),
    ("offset: a subquery", BAD_RANGE, |p| with(p, "offset", "(SELECT count(*) FROM VICTIM.contacts)")),
    ("offset: a quote", BAD_RANGE, |p| with(p, "offset", "0'")),
    ("offset: more than there is a number for", BAD_RANGE, |p| with(p, "offset", "99999999999999999999")),
    ("limit of the victim's table", Refused("not_embedded"), |p| {
        p.own(format!("/api/contacts?{}.limit=1", p.victim.schema))
    }),
    ("Range: a statement", Served, |p| p.own("/api/contacts").header("Range", "0-1;DELETE FROM contacts")),
    // filters
    ("filter: always true", Served, |p| with(p, "email", "eq.' OR '1'='1")),
    ("filter: a union", Served, |p| with(p, "email", "eq.x' UNION SELECT company FROM VICTIM.contacts--")),
    ("filter: a statement behind", Served, |p| with(p, "email", "eq.x'; DELETE FROM VICTIM.contacts; --")),
    ("filter: a change of role", Served, |p| with(p, "email", "eq.x'; SET ROLE VICTIM; --")),
    ("filter: the end of the transaction", Served, |p| with(p, "email", "eq.x'; COMMIT; RESET ROLE; --")),
    ("filter: a dollar quote", Served, |p| with(p, "email", "eq.$$ OR true --")),
    ("filter: a backslash in front of the quote", Served, |p| with(p, "email", r"eq.\' OR true --")),
    ("filter: a parameter", Served, |p| with(p, "email", "eq.$1")),
    ("filter: an id that is SQL", Refused("invalid_text_representation"), |p| {
        with(p, "id", "eq.x'; SET ROLE VICTIM; --")
    }),
    ("filter: every text", Served, |p| with(p, "company", "like.%")),
    ("filter: every text by stars", Served, |p| with(p, "company", "like.*")),
    ("filter: every text in any case", Served, |p| with(p, "company", "ilike.*%_*")),
    ("filter: every text by expression", Served, |p| with(p, "company", "match..*")),
    ("filter: what is there", Served, |p| with(p, "company", "not.is.null")),
    ("filter: like of ctid", NO_COLUMN, |p| with(p, "ctid", "like.*")),
    ("filter: like of xmin", NO_COLUMN, |p| with(p, "xmin", "like.*")),
    ("filter: like of tableoid", NO_COLUMN, |p| with(p, "tableoid", "like.*")),
    ("filter: tableoid of the victim's", NO_COLUMN, |p| with(p, "tableoid", "eq.VICTIM.contacts")),
    ("filter: a list that ends early", BAD_FILTER, |p| with(p, "email", "in.(a);DELETE FROM contacts")),
    ("filter: a list with SQL", Served, |p| with(p, "email", r#"in.("a'","b\") OR true --")"#)),
    ("filter: is with SQL", BAD_FILTER, |p| with(p, "email", "is.null OR true")),
    ("filter: an operator that is SQL", BAD_FILTER, |p| with(p, "email", "= '' OR true")),
    ("filter: an operator that is none", Refused("unknown_operator"), |p| with(p, "email", "union.x")),
    ("filter: a quantifier with SQL", Refused("unknown_operator"), |p| with(p, "email", "eq(select).{a}")),
    ("filter: an array with SQL", Served, |p| with(p, "email", r#"eq(any).{"a') OR true --"}"#)),
    ("filter: a language with SQL", BAD_FILTER, |p| with(p, "email", "fts('english').x")),
    ("filter: a language of the victim's", BAD_FILTER, |p| with(p, "email", "fts(VICTIM.english).x")),
    ("filter: a language by its number", BAD_FILTER, |p| with(p, "email", "fts(1259).x")),
    ("filter: a language that is none", Refused("unknown_language"), |p| with(p, "email", "fts(klingon).x")),
    ("filter: words that are no query", Refused("invalid_text_search"), |p| {
        with(p, "email", "fts.x' OR true --")
    }),
    ("filter: words with SQL", Served, |p| with(p, "email", "plfts.x') OR true --")),
    ("filter: NUL", Refused("nul_byte"), |p| p.own("/api/contacts?email=eq.%00")),
    ("filter: half an escape", Refused("bad_encoding"), |p| p.own("/api/contacts?email=eq.%2")),
    ("filter: bytes that are no text", Refused("bad_encoding"), |p| p.own("/api/contacts?email=eq.%ff")),
    ("filter: a column that is SQL", Refused("bad_parameter"), |p| with(p, "email)=1 OR (1", "eq.1")),
    ("filter: a column that is a statement", NO_COLUMN, |p| with(p, "id;DROP TABLE contacts", "eq.1")),
    ("filter: a quoted column that is SQL", NO_COLUMN, |p| with(p, r#""email\" OR true --""#, "eq.1")),
    ("filter: a column that is a number", NO_COLUMN, |p| with(p, "1", "eq.1")),
    ("filter: a column that is a function", NO_COLUMN, |p| with(p, "current_user", "eq.postgres")),
    ("filter: a column of the victim's", Refused("not_embedded"), |p| {
        p.own(format!("/api/contacts?{}.contacts.company=like.*", p.victim.schema))
    }),
    ("filter: a JSON key with SQL", Served, |p| with(p, r#"metadata->>"x') IS NULL OR (''""#, "eq.")),
    ("filter: a JSON path of numbers", Served, |p| with(p, "metadata->0->-1->>secret", "like.*")),
    ("filter: JSON that holds all", Served, |p| with(p, "metadata", "cs.{}")),
    ("filter: JSON with SQL", Refused("invalid_text_representation"), |p| {
        with(p, "metadata", "cs.{}' OR true --")
    }),
    // logic trees
    ("or: every text", Served, |p| with(p, "or", "(email.like.%,company.like.%)")),
    ("or: a comparison of numbers", NO_COLUMN, |p| with(p, "or", "(1.eq.1)")),
    ("or: two trees", BAD_FILTER, |p| with(p, "or", "(email.eq.x)or(company.like.*)")),
    ("or: SQL behind", BAD_FILTER, |p| with(p, "or", "(email.eq.x) OR true --")),
    ("or: SQL within", Served, |p| with(p, "or", r#"(email.eq."x') OR true --")"#)),
    ("or: a comment", BAD_FILTER, |p| with(p, "or", "(email.eq.x)/**/")),
    ("or: a tree that does not end", BAD_FILTER, |p| with(p, "or", "(email.eq.x")),
    ("and: a column of the victim's", Refused("unknown_operator"), |p| {
        with(p, "and", "(VICTIM.contacts.company.like.*)")
    }),
    ("and: a subquery", BAD_FILTER, |p| with(p, "and", "((SELECT true FROM VICTIM.contacts))")),
    ("and: a quote and a semicolon", Served, |p| with(p, "and", "(email.eq.x';DELETE FROM contacts;--)")),
    ("not.and: all that is not nothing", Served, |p| with(p, "not.and", "(id.is.null)")),
    // the parameters of writes
    ("on_conflict: SQL", Refused("bad_columns"), |p| {
        upsert(p, "on_conflict", "id) DO UPDATE SET company = (SELECT 1) --")
    }),
    ("on_conflict: a quote", NO_COLUMN, |p| upsert(p, "on_conflict", r#""id\"""#)),
    ("on_conflict: a column of the victim's", Refused("bad_columns"), |p| {
        upsert(p, "on_conflict", "VICTIM.contacts.id")
    }),
    ("columns: SQL", Refused("bad_columns"), |p| {
        upsert(p, "columns", "email) SELECT company FROM VICTIM.contacts --")
    }),
    ("columns: a column that is none", NO_COLUMN, |p| upsert(p, "columns", "email,ctid")),
    ("columns: a semicolon", NO_COLUMN, |p| upsert(p, "columns", "email;DROP TABLE contacts")),
    ("returning: a table of the victim's", BAD_SELECT, |p| upsert(p, "select", "*,VICTIM.contacts(*)")),
    ("a change of every row without a filter", Refused("filter_required"), |p| {
        p.write("PATCH", "/api/contacts", r#"{"email":"x"}"#)
    }),
    ("a removal of every row without a filter", Refused("filter_required"), |p| {
        p.own("/api/contacts").method("DELETE")
    }),
    ("a removal with SQL for a filter", Refused("invalid_text_representation"), |p| {
        p.own(format!("/api/contacts?id={}", encoded("eq.x' OR true --"))).method("DELETE")
    }),
    ("a removal by the victim's table", Refused("not_embedded"), |p| {
        p.own(format!("/api/contacts?{}.id=not.is.null", p.victim.schema)).method("DELETE")
    }),
    ("a parameter that nobody knows", NO_COLUMN, |p| with(p, "schema", "VICTIM")),
    ("a role as a parameter", NO_COLUMN, |p| with(p, "role", "VICTIM")),
];

/// An upsert of the attacker's with one parameter.
fn upsert(p: &Pair<'_>, name: &str, value: &str) -> RawRequest {
    let value = encoded(&value.replace("VICTIM", &p.victim.schema));
    p.write("POST", format!("/api/contacts?{name}={value}"), r#"{"email":"x@example.com"}"#)
        .header("Prefer", "resolution=merge-duplicates")
}
