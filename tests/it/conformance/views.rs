//! Views as tables: read all, written where PostgreSQL can.

use super::{Case, delete, get, options, patch, post, put};

pub(super) const CASES: &[Case] = &[
    get("/book_list?select=*&id=eq.3").is(200, r#"[{"id":3,"title":"Invisible Cities","author_id":2,"pages":165}]"#),
    get("/book_list?select=id&pages=gt.400&order=id").is(200, r#"[{"id":4},{"id":5}]"#),
    get("/classics?select=name,id&order=id").is(200, r#"[{"name":"Earthsea","id":1},{"name":"The Dispossessed","id":2},{"name":"Invisible Cities","id":3}]"#),
    get("/book_authors?select=*&id=eq.3").is(200, r#"[{"id":3,"title":"Invisible Cities","author_id":2,"author":"Italo"}]"#),
    get("/author_stats?order=author_id&author_id=lt.3").is(200, r#"[{"author_id":1,"books":2,"pages":546},{"author_id":2,"books":1,"pages":165}]"#),
    get("/author_stats?select=author_id&books=gt.1").is(200, r#"[{"author_id":1}]"#),
    get("/genre_counts?select=name,books&order=books.desc,name").is(200, r#"[{"name":"novel","books":3},{"name":"fantasy","books":2},{"name":"scifi","books":1},{"name":"poetry","books":0}]"#),
    // What can be updated.
    post("/book_list", r#"{"id":30,"title":"By view"}"#).returning().is(201, r#"[{"id":30,"title":"By view","author_id":null,"pages":null}]"#),
    post("/book_list", r#"{"id":31,"title":"By view"}"#).empty(201).lacks("location"),
    post("/book_list", r#"{"id":32,"title":"By view"}"#).prefer("return=headers-only").empty(201).has("location", "/api/book_list?id=eq.32"),
    patch("/book_list?id=eq.30&select=pages", r#"{"pages":12}"#).returning().is(200, r#"[{"pages":12}]"#),
    get("/books?select=pages&id=eq.30").is(200, r#"[{"pages":12}]"#),
    patch("/classics?id=eq.3&select=name", r#"{"name":"Renamed"}"#).returning().is(200, r#"[{"name":"Renamed"}]"#),
    get("/books?select=title&id=eq.3").is(200, r#"[{"title":"Renamed"}]"#),
    patch("/classics?id=eq.4", r#"{"name":"Not one of them"}"#).empty(204).has("content-range", "*/*"),
    put("/book_list?id=eq.31", r#"{"id":31,"title":"Put","author_id":1,"pages":1}"#).returning().is(200, r#"[{"id":31,"title":"Put","author_id":1,"pages":1}]"#),
    post("/book_list?select=id,title", r#"[{"id":31,"title":"Merged"},{"id":33,"title":"Fresh"}]"#).prefer("return=representation, resolution=merge-duplicates")
        .is(201, r#"[{"id":31,"title":"Merged"},{"id":33,"title":"Fresh"}]"#),
    post("/book_list?select=id", r#"[{"id":31,"title":"x"},{"id":34,"title":"y"}]"#).prefer("return=representation, resolution=ignore-duplicates")
        .is(201, r#"[{"id":34}]"#),
    delete("/book_list?id=gte.30&select=id&order=id").returning().is(200, r#"[{"id":30},{"id":31},{"id":32},{"id":33},{"id":34}]"#),
    get("/books?select=id&id=gte.30").is(200, "[]"),
    // What can be done with each.
    options("/book_list").empty(200).has("allow", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"),
    options("/author_stats").empty(200).has("allow", "OPTIONS,GET,HEAD"),
    options("/genre_counts").empty(200).has("allow", "OPTIONS,GET,HEAD"),
    // A view that joins has no key of either table; an embedding to one of its rows shows one.
    get("/book_authors/1").status(400),
    get("/joined_again/1").status(400),
    get("/book_list/1?select=id").is(200, r#"{"id":1}"#),
];
