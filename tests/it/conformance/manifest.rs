//! An app whose manifest allows writes without a filter, and neither aggregates nor all functions.

use super::{Case, delete, get, options, patch, post};

const NOT_ALLOWED: &str = "\"Use of aggregate functions is not allowed\"";

pub(super) const CASES: &[Case] = &[
    get("/books?select=count()").fails(400, "PGRST123").message(NOT_ALLOWED).details("null").hint("null"),
    get("/books?select=pages.sum()").fails(400, "PGRST123").message(NOT_ALLOWED),
    get("/books?select=author_id,pages.max()::text").fails(400, "PGRST123"),
    get("/authors?select=name,books(pages.sum())").fails(400, "PGRST123"),
    get("/books?select=...publishers(id.count())").fails(400, "PGRST123"),
    get("/authors?select=...books(id.count())").fails(400, "PGRST123"),
    get("/rpc/add?a=1&b=2").is(200, "3"),
    get("/rpc/greet").fails(404, "PGRST202"),
    post("/rpc/greet", "{}").fails(404, "PGRST202"),
    options("/rpc/greet").status(404),
    get("/").status(200).part("/paths/~1rpc~1greet", "null"),
    // A computed column is no call.
    get("/books?select=full_title&id=eq.1").is(200, r#"[{"full_title":"Earthsea (1968)"}]"#),
    patch("/authors", r#"{"alive":true}"#).empty(204).has("content-range", "0-4/*"),
    get("/authors?select=id&alive=not.is.true").is(200, "[]"),
    patch("/publishers?select=name&order=id.desc", r#"{"name":"P"}"#)
        .returning()
        .is(200, r#"[{"name":"P"},{"name":"P"},{"name":"P"}]"#),
    patch("/publishers", r#"{"name":"Q"}"#).singular().fails(406, "PGRST116").details("\"The result contains 3 rows\""),
    patch("/publishers", r#"{"name":"Q"}"#).prefer("handling=strict, max-affected=2").fails(400, "PGRST124"),
    get("/publishers?name=eq.Q").is(200, "[]"),
    delete("/notes").prefer("return=representation, count=exact").status(200).has("content-range", "*/2"),
    get("/notes").is(200, "[]"),
    delete("/notes").empty(204),
];
