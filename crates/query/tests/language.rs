//! The language as a client sees it: requests in, statements and heads out. The catalog is that of `fixtures/schema.sql`.

use tenantry_query::{
    Catalog, HttpRequest, JsonCase, Limits, Method, Options, Planned, QueryError, Target, plan,
    rows_instead_of_one,
};

const CATALOG: &str = include_str!("fixtures/catalog.json");

/// A request with nothing special about it, for `..plain()`.
fn plain() -> HttpRequest<'static> {
    HttpRequest {
        method: Method::Get,
        target: Target::Table { name: "contacts", id: None },
        profile: None,
        query: None,
        prefer: &[],
        range: None,
        accept: None,
        content_type: None,
        body: b"",
    }
}

fn table_of(name: &str) -> Target<'_> {
    Target::Table { name, id: None }
}

fn row<'a>(name: &'a str, id: &'a str) -> Target<'a> {
    Target::Table { name, id: Some(id) }
}

fn run(case: JsonCase, request: &HttpRequest<'_>) -> Result<Planned, QueryError> {
    let catalog = Catalog::from_json(CATALOG).expect("the fixture is a catalog");
    plan(&catalog, &Options { case, ..Options::default() }, "tenant_acme", request, &Limits::default())
}

fn get(query: &str) -> Result<Planned, QueryError> {
    run(JsonCase::Snake, &HttpRequest { query: Some(query), ..plain() })
}

fn sql(query: &str) -> String {
    get(query).expect(query).statement.sql
}

fn code(query: &str) -> &'static str {
    get(query).expect_err(query).code
}

fn write(method: Method, query: &str, prefer: &[&str], body: &str) -> Result<Planned, QueryError> {
    run(
        JsonCase::Snake,
        &HttpRequest { method, query: Some(query), prefer, body: body.as_bytes(), ..plain() },
    )
}

fn params(planned: &Planned) -> Vec<&str> {
    planned.statement.params.iter().map(|param| param.as_deref().unwrap_or("NULL")).collect()
}

const OBJECT: Option<&str> = Some("application/vnd.pgrst.object+json");

#[test]
fn a_row_by_its_id_costs_what_hand_written_sql_costs() {
    let planned = run(JsonCase::Snake, &HttpRequest { target: row("companies", "7"), ..plain() }).unwrap();
    assert_eq!(
        planned.statement.sql,
        "SELECT CAST(1 AS bigint) AS page_count, CAST(NULL AS bigint) AS total_count, \
         CAST(pg_catalog.row_to_json(p0.*) AS text) AS body FROM \
         (SELECT t0.\"id\", t0.\"name\" FROM \"tenant_acme\".\"companies\" AS t0 WHERE t0.\"id\" = CAST($1 AS integer)) AS p0"
    );
    assert_eq!(params(&planned), ["7"]);
    assert_eq!(planned.response.head(1, None).unwrap().status, 200);
    assert_eq!(planned.response.head(0, None).unwrap_err().code, "row_not_found");
}

#[test]
fn other_values_give_the_same_statement() {
    for (a, b) in [
        ("full_name=eq.a&limit=1", "full_name=eq.b&limit=99"),
        ("id=in.(1,2,3)&order=id&offset=5", "id=in.(4)&order=id&offset=7"),
        ("select=x:full_name,meta->a", "select=y:full_name,meta->b"),
        ("or=(score.gt.1,full_name.like.a*)", "or=(score.gt.2,full_name.like.b*)"),
    ] {
        assert_eq!(sql(a), sql(b));
    }
}

#[test]
fn only_the_catalog_gives_names() {
    for table in [
        "pg_catalog.pg_class",
        "other.contacts",
        "tenantry_users",
        "contacts\"",
        "contacts;--",
        "",
        "CONTACTS",
    ] {
        let error = run(JsonCase::Snake, &HttpRequest { target: table_of(table), ..plain() }).unwrap_err();
        assert_eq!((error.status, error.code), (404, "unknown_table"), "{table}");
    }
    for query in [
        "nope=eq.1",
        "nope=1",
        "select=nope",
        "order=nope",
        "or=(nope.eq.1)",
        "select=%22id%22%22",
        "foo=bar",
    ] {
        let code = code(query);
        assert!(code == "unknown_column" || code == "bad_select", "{query}: {code}");
    }
    assert_eq!(get("nope=1").unwrap_err().field.as_deref(), Some("nope"));
}

#[test]
fn values_are_parameters_and_cast_to_the_columns_base_type() {
    let planned = get("email=eq.x&mood=neq.sad&code=eq.ab&created_at=gte.2026-01-01").unwrap();
    let sql = &planned.statement.sql;
    assert!(sql.contains("t0.\"email\" = CAST($1 AS text)"), "a domain is filtered as its base: {sql}");
    assert!(sql.contains("t0.\"mood\" <> CAST($2 AS \"tenant_acme\".\"mood\")"));
    assert!(sql.contains("t0.\"code\" = CAST($3 AS bpchar)"), "character would cut to one: {sql}");
    assert!(sql.contains("t0.\"created_at\" >= CAST($4 AS timestamp with time zone)"));
    assert_eq!(params(&planned)[..4], ["x", "sad", "ab", "2026-01-01"]);
}

#[test]
fn quoting_follows_postgrest() {
    let planned =
        get(r#"full_name=in.("a,b","c\"d",e f,"g"h)&or=(full_name.eq."x,(y)",tags.cs.{a,b},full_name.eq.z)"#)
            .unwrap();
    assert_eq!(params(&planned)[..4], [r#"{"a,b","c\"d","e f","\"g\"h"}"#, "x,(y)", "{a,b}", "z"]);
    let planned = get("full_name=eq.%22a%22+b&full_name=like.*x*").unwrap();
    assert_eq!(params(&planned)[..2], ["\"a\" b", "%x%"], "outside lists and trees a quote is a quote");
}

#[test]
fn embeddings_follow_foreign_keys() {
    let to_one = sql("select=id,companies(name)");
    assert!(to_one.contains("t1.\"id\" = t0.\"company_id\""), "{to_one}");
    assert_eq!(code("select=conversations(id)"), "ambiguous_relationship");
    for hint in ["contact_id", "conversations_contact_id_fkey"] {
        assert!(sql(&format!("select=conversations!{hint}(id)")).contains("t1.\"contact_id\" = t0.\"id\""));
    }
    assert!(sql("select=tags(label)").contains("JOIN \"tenant_acme\".\"contact_tags\" AS j1"));
    // A table that holds a key to each, but not as its own key, is no junction.
    let through_messages = HttpRequest {
        target: table_of("conversations"),
        query: Some("select=contacts!messages(id)"),
        ..plain()
    };
    assert_eq!(run(JsonCase::Snake, &through_messages).unwrap_err().code, "unknown_relationship");
    assert!(sql("select=manager_id(id)").contains("t1.\"id\" = t0.\"manager_id\""));
    assert!(sql("select=contacts(id)").contains("t1.\"manager_id\" = t0.\"id\""));
    assert!(sql("select=profiles(bio)").contains("row_to_json(p1.*)"), "a unique foreign key is one to one");
    assert_eq!(code("select=events(id)"), "unknown_relationship");
    assert_eq!(code("conversations.status=eq.open"), "not_embedded");
}

#[test]
fn camel_case_is_for_names_only() {
    let request = HttpRequest {
        target: table_of("contactTags"),
        query: Some("select=contactId,tag_id&contactId=eq.1"),
        ..plain()
    };
    let sql = run(JsonCase::Camel, &request).unwrap().statement.sql;
    assert!(sql.contains("SELECT t0.\"contact_id\" AS \"contactId\", t0.\"tag_id\" AS \"tagId\""), "{sql}");
    let listed = HttpRequest {
        method: Method::Post,
        query: Some("columns=full_name"),
        body: b"{\"fullName\":\"x\"}",
        ..plain()
    };
    let sql = run(JsonCase::Camel, &listed).unwrap().statement.sql;
    assert!(
        sql.contains("(\"full_name\") SELECT r.\"fullName\""),
        "the body's spelling, not the list's: {sql}"
    );
    let body = br#"{"fullName":"x","meta":{"snake_key":1}}"#;
    let planned = run(JsonCase::Camel, &HttpRequest { method: Method::Post, body, ..plain() }).unwrap();
    assert!(planned.statement.sql.contains("(\"full_name\", \"meta\") SELECT r.\"fullName\", r.\"meta\""));
    assert_eq!(params(&planned), [std::str::from_utf8(body).unwrap()]);
    assert_eq!(run(JsonCase::Snake, &request).unwrap_err().code, "unknown_table");
}

#[test]
fn an_insert_names_only_the_keys_it_was_given() {
    let planned = write(Method::Post, "", &[], r#"[{"full_name":"a"},{"full_name":"b"}]"#).unwrap();
    assert!(planned.statement.sql.starts_with(
        "WITH written AS (INSERT INTO \"tenant_acme\".\"contacts\" AS t0 (\"full_name\") SELECT"
    ));
    assert!(!planned.response.returns_body);
    assert_eq!(planned.response.head(2, None).unwrap().status, 201);
    let error = write(Method::Post, "", &[], r#"{"full_name":"a","nope":1}"#).unwrap_err();
    assert_eq!((error.code, error.field.as_deref()), ("unknown_column", Some("nope")));
    let mixed = r#"[{"full_name":"a"},{"full_name":"b","score":1}]"#;
    assert_eq!(write(Method::Post, "", &[], mixed).unwrap_err().code, "keys_differ");
    assert!(write(Method::Post, "columns=full_name,score", &[], mixed).is_ok());
    let defaults = write(Method::Post, "", &["missing=default"], mixed).unwrap();
    assert_eq!(params(&defaults), [r#"[{"full_name":"a"}]"#, r#"[{"full_name":"b","score":1}]"#]);
    let empty = write(Method::Post, "", &["return=representation"], "[]").unwrap();
    assert!(empty.statement.sql.ends_with("CAST('[]' AS text) AS body"));
    assert_eq!(empty.response.head(0, None).unwrap().status, 201);
}

#[test]
fn bodies_that_are_not_objects_are_refused() {
    for (body, code) in [
        ("", "bad_json"),
        ("1", "bad_body"),
        ("[1]", "bad_body"),
        ("{", "bad_json"),
        ("{\"a\":1}x", "bad_json"),
        ("{\"full_name\":\"\\u0000\"}", "nul_byte"),
        ("[{}", "bad_json"),
    ] {
        assert_eq!(write(Method::Post, "", &[], body).unwrap_err().code, code, "{body}");
    }
    assert!(
        write(Method::Post, "", &[], r#"{"full_name":"\\u0000"}"#).is_ok(),
        "a backslash is not an escape of one"
    );
    let deep = format!("{{\"meta\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(write(Method::Post, "", &[], &deep).unwrap_err().code, "bad_json");
    let request =
        HttpRequest { method: Method::Post, content_type: Some("text/plain"), body: b"a", ..plain() };
    assert_eq!(run(JsonCase::Snake, &request).unwrap_err().status, 415);
}

#[test]
fn writes_of_every_row_need_a_filter() {
    assert_eq!(write(Method::Patch, "", &[], "{\"score\":1}").unwrap_err().code, "filter_required");
    assert_eq!(write(Method::Delete, "select=id", &[], "").unwrap_err().code, "filter_required");
    assert_eq!(write(Method::Delete, "tenant=acme", &[], "").unwrap_err().code, "filter_required");
    let deleted = write(Method::Delete, "score=eq.1", &[], "").unwrap();
    assert_eq!(deleted.response.head(3, None).unwrap().status, 204);
    let request = HttpRequest {
        method: Method::Patch,
        target: row("contacts", "1"),
        body: b"{\"score\":1}",
        ..plain()
    };
    assert_eq!(run(JsonCase::Snake, &request).unwrap().response.head(0, None).unwrap_err().status, 404);
}

#[test]
fn a_singular_write_of_several_rows_fails_in_the_database() {
    let request =
        HttpRequest { method: Method::Delete, query: Some("score=eq.1"), accept: OBJECT, ..plain() };
    let planned = run(JsonCase::Snake, &request).unwrap();
    let message = "invalid input syntax for type bigint: \"tenantry_must_affect_one:12\"";
    assert_eq!(planned.response.refusal("22P02", message).unwrap().code, "not_singular");
    assert_eq!(rows_instead_of_one("22P02", message), Some(12));
    assert_eq!(rows_instead_of_one("22012", message), None);
    assert_eq!(rows_instead_of_one("22P02", "invalid input syntax for type bigint: \"x\""), None);
}

#[test]
fn put_writes_the_row_of_the_url() {
    let put = |id, query, body: &'static str| {
        let request = HttpRequest {
            method: Method::Put,
            target: Target::Table { name: "companies", id },
            query,
            prefer: &["return=representation"],
            body: body.as_bytes(),
            ..plain()
        };
        run(JsonCase::Snake, &request)
    };
    let planned = put(Some("1"), None, r#"{"name":"x"}"#).unwrap();
    assert_eq!(planned.response.head(1, Some(1)).unwrap().status, 201);
    assert_eq!(planned.response.head(1, Some(0)).unwrap().status, 200);
    assert_eq!(planned.response.head(0, Some(0)).unwrap_err().code, "key_mismatch");
    assert!(put(None, Some("id=eq.1"), r#"{"id":1,"name":"x"}"#).is_ok());
    for query in ["", "name=eq.1", "id=gt.1", "id=eq.1&id=eq.2", "id=eq.1&name=eq.x"] {
        assert_eq!(put(None, Some(query), "{}").unwrap_err().code, "bad_put", "{query}");
    }
}

#[test]
fn content_range_and_status_are_postgrests() {
    let request = HttpRequest { range: Some("0-24"), prefer: &["count=exact"], ..plain() };
    let shape = run(JsonCase::Snake, &request).unwrap().response;
    let head = shape.head(25, Some(3573)).unwrap();
    assert_eq!((head.status, head.content_range.as_deref()), (206, Some("0-24/3573")));
    assert_eq!(head.preference_applied.as_deref(), Some("count=exact"));
    assert_eq!(shape.head(0, Some(0)).unwrap().content_range.as_deref(), Some("*/0"));
    assert_eq!(get("").unwrap().response.head(25, None).unwrap().content_range.as_deref(), Some("0-24/*"));
    let beyond = HttpRequest { query: Some("offset=50"), prefer: &["count=exact"], ..plain() };
    assert_eq!(run(JsonCase::Snake, &beyond).unwrap().response.head(0, Some(3)).unwrap_err().status, 416);
    let object = run(JsonCase::Snake, &HttpRequest { accept: OBJECT, ..plain() }).unwrap().response;
    assert_eq!(object.head(2, None).unwrap_err().status, 406);
    assert_eq!(object.head(1, None).unwrap().status, 200);
}

#[test]
fn rows_are_capped() {
    let planned = get("limit=5000").unwrap();
    assert_eq!((params(&planned), planned.response.limit), (vec!["1000"], Some(1000)));
}

#[test]
fn preferences_are_strict_only_on_demand() {
    let with = |prefer: &'static [&'static str]| run(JsonCase::Snake, &HttpRequest { prefer, ..plain() });
    assert!(with(&["foo=bar, count=exact"]).unwrap().response.count_exact);
    assert_eq!(with(&["handling=strict", "foo=bar"]).unwrap_err().code, "bad_preference");
}

#[test]
fn a_headers_only_insert_knows_its_location() {
    let shape = write(Method::Post, "", &["return=headers-only"], r#"{"full_name":"a"}"#).unwrap().response;
    assert_eq!(shape.location("[\"a b\"]").as_deref(), Some("contacts?id=eq.a%20b"));
}

#[test]
fn tenant_parameters_are_not_filters() {
    assert_eq!(sql("tenant=acme&tenant_id=x&tenantId=eq.y"), sql(""));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for (query, expected) in [
        ("select=id&select=id", "duplicate_parameter"),
        ("order=id&order=id", "duplicate_parameter"),
        ("limit=1&limit=2", "duplicate_parameter"),
        ("limit=-1", "bad_range"),
        ("limit=9223372036854775808", "bad_range"),
        ("full_name=eq.%00", "nul_byte"),
        ("full_name=eq.%ff", "bad_encoding"),
        ("full_name=eq.%4", "bad_encoding"),
        ("full_name=eq", "bad_filter"),
        ("full_name=foo.x", "unknown_operator"),
        ("full_name=is.x", "bad_filter"),
        ("full_name=in.a", "bad_filter"),
        ("full_name=fts(other.english).x", "bad_filter"),
        ("full_name=fts(1259).x", "bad_filter"),
        ("full_name=fts().x", "bad_filter"),
        ("or=(", "bad_filter"),
        ("or=()", "bad_filter"),
        ("select=id::regclass", "unknown_cast"),
        ("select=id::text;drop", "unknown_cast"),
        ("select=count(id)", "unknown_relationship"),
        ("select=score.median()", "bad_select"),
        ("select=(((", "bad_select"),
        ("select=id,,id", "bad_select"),
        ("order=id.up", "bad_order"),
        ("order=tags(id)&select=tags(id)", "bad_related_order"),
    ] {
        assert_eq!(code(query), expected, "{query}");
    }
}

#[test]
fn hostile_sizes_are_refused_before_they_cost() {
    let nested = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
    assert_eq!(code(&format!("or=({})", nested("and(", ")", 2000))), "too_complex");
    assert_eq!(code(&format!("select={}", nested("contacts(", ")", 1000))), "too_complex");
    assert_eq!(code(&format!("select=meta{}", "->a".repeat(100))), "too_complex");
    assert_eq!(code(&vec!["score=eq.1"; 200].join("&")), "too_complex");
    assert_eq!(get(&"a".repeat(100_000)).unwrap_err().status, 414);
    // Each level repeats the one below: short to ask, exponential to write.
    let mut levels = String::new();
    let mut path = String::new();
    for depth in 0..5 {
        for _ in 0..18 {
            levels.extend(["&", &path, "contacts=is.null"]);
        }
        path = if depth == 0 { "contacts.".to_owned() } else { format!("{path}contacts.") };
    }
    assert_eq!(code(&format!("select={}{levels}", nested("contacts(", ")", 5))), "too_complex");
}
