//! One row as an object, or 406.

use super::{Case, delete, get, head, patch, post};

const OBJECT: &str = "application/vnd.pgrst.object+json; charset=utf-8";
const NONE: &str = "\"The result contains 0 rows\"";
const COERCE: &str = "\"Cannot coerce the result to a single JSON object\"";

pub(super) const CASES: &[Case] = &[
    // One row by its id, also where a table that inherits has it too.
    get("/notices/1").is(200, r#"{"id":1,"word":"new"}"#),
    get("/notices/1").accept("text/csv").text(200, "id,word\n1,new"),
    get("/notices?id=eq.1&select=word&order=word").is(200, r#"[{"word":"new"},{"word":"old"}]"#),
    get("/publishers?id=eq.1").singular().is(200, r#"{"id":1,"name":"North"}"#).has("content-type", OBJECT),
    get("/publishers?id=eq.1").accept("application/vnd.pgrst.object").is(200, r#"{"id":1,"name":"North"}"#).has("content-type", OBJECT),
    get("/publishers?id=eq.1").accept("application/vnd.pgrst.object+json, application/json;q=0.5").is(200, r#"{"id":1,"name":"North"}"#),
    get("/publishers?limit=1&order=id.desc").singular().is(200, r#"{"id":3,"name":"East"}"#),
    get("/publishers?id=eq.1&select=name,books(id)&books.order=id").singular().is(200, r#"{"name":"North","books":[{"id":1},{"id":2},{"id":5}]}"#),
    get("/publishers?id=eq.9").singular().fails(406, "PGRST116").message(COERCE).details(NONE).hint("null"),
    get("/publishers").singular().fails(406, "PGRST116").message(COERCE).details("\"The result contains 3 rows\""),
    get("/publishers?limit=2").singular().fails(406, "PGRST116").details("\"The result contains 2 rows\""),
    get("/publishers?id=eq.1").singular().prefer("count=exact").is(200, r#"{"id":1,"name":"North"}"#).has("content-range", "0-0/1"),
    head("/publishers?id=eq.1").singular().empty(200).has("content-type", OBJECT),
    get("/book_list?id=eq.1&select=id,authors(name)").singular().is(200, r#"{"id":1,"authors":{"name":"Ursula"}}"#),
    // Writes of other than one row are undone.
    patch("/publishers?id=eq.1", r#"{"name":"N"}"#).singular().prefer("return=representation").is(200, r#"{"id":1,"name":"N"}"#).has("content-type", OBJECT),
    patch("/publishers?id=eq.1", r#"{"name":"North"}"#).singular().prefer("return=minimal").empty(204).has("preference-applied", "return=minimal"),
    patch("/publishers?id=lt.9", r#"{"name":"all"}"#).singular().fails(406, "PGRST116").details("\"The result contains 3 rows\""),
    patch("/publishers?id=lt.9", r#"{"name":"all"}"#).singular().prefer("return=representation").fails(406, "PGRST116").details("\"The result contains 3 rows\""),
    patch("/publishers?id=eq.9", r#"{"name":"all"}"#).singular().fails(406, "PGRST116").details(NONE),
    patch("/publishers?id=eq.9", r#"{"name":"all"}"#).singular().prefer("return=representation").fails(406, "PGRST116").details(NONE),
    get("/publishers?name=eq.all").is(200, "[]"),
    post("/publishers", r#"[{"id":10,"name":"Ten"}]"#).singular().prefer("return=representation").is(201, r#"{"id":10,"name":"Ten"}"#).has("content-type", OBJECT),
    post("/publishers", r#"{"id":11,"name":"Eleven"}"#).singular().prefer("return=minimal").empty(201).has("content-range", "*/*"),
    post("/publishers", r#"[{"id":12,"name":"a"},{"id":13,"name":"b"}]"#).singular().fails(406, "PGRST116").details("\"The result contains 2 rows\""),
    post("/publishers", r#"[{"id":12,"name":"a"},{"id":13,"name":"b"}]"#).singular().prefer("return=representation").fails(406, "PGRST116"),
    post("/publishers", r#"[{"id":12,"name":"a"},{"id":13,"name":"b"}]"#).singular().prefer("return=minimal").fails(406, "PGRST116"),
    get("/publishers?id=in.(12,13)").is(200, "[]"),
    post("/publishers", "[]").singular().fails(406, "PGRST116").details(NONE),
    post("/publishers", "[]").singular().prefer("return=representation").fails(406, "PGRST116").details(NONE),
    delete("/publishers?id=eq.10").singular().prefer("return=representation").is(200, r#"{"id":10,"name":"Ten"}"#),
    delete("/publishers?id=eq.11").singular().prefer("return=minimal").empty(204),
    delete("/notes?a=in.(1,2)").singular().fails(406, "PGRST116").details("\"The result contains 2 rows\""),
    delete("/notes?a=in.(1,2)").singular().prefer("return=representation").fails(406, "PGRST116"),
    delete("/notes?a=eq.9").singular().fails(406, "PGRST116").details(NONE),
    get("/notes?select=a&order=a").is(200, r#"[{"a":"1"},{"a":"2"}]"#),
    // Functions.
    post("/rpc/add", r#"{"a":1,"b":2}"#).singular().is(200, "3"),
    post("/rpc/books_by?select=id", r#"{"author":2}"#).singular().is(200, r#"{"id":3}"#),
    post("/rpc/books_by", r#"{"author":1}"#).singular().fails(406, "PGRST116").details("\"The result contains 2 rows\""),
    // Without nulls.
    get("/books?id=eq.6&select=id,title,pages").accept("application/vnd.pgrst.object+json;nulls=stripped").is(200, r#"{"id":6,"title":"Untitled"}"#)
        .has("content-type", "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8"),
    get("/books?select=id").accept("application/vnd.pgrst.object+json;nulls=stripped").fails(406, "PGRST116").details("\"The result contains 6 rows\""),
];
