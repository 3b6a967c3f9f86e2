//! Functions of a row as its columns, and as its relationships.

use super::{Case, delete, get, patch, post};

pub(super) const CASES: &[Case] = &[
    // Columns.
    get("/books?select=full_title&id=eq.1").is(200, r#"[{"full_title":"Earthsea (1968)"}]"#),
    get("/books?select=id,full_title,is_long&id=eq.4").is(200, r#"[{"id":4,"full_title":"Kafka on the Shore (2002)","is_long":true}]"#),
    get("/books?select=heading:full_title&id=eq.6").is(200, r#"[{"heading":"Untitled"}]"#),
    get("/books?select=is_long::text&id=eq.1").is(200, r#"[{"is_long":"false"}]"#),
    get("/books?select=id&is_long=is.true&order=id").is(200, r#"[{"id":4},{"id":5}]"#),
    get("/books?select=id&is_long=eq.false&order=id").is(200, r#"[{"id":1},{"id":2},{"id":3}]"#),
    get("/books?select=id&full_title=like.*(1974)").is(200, r#"[{"id":2}]"#),
    get("/books?select=id&or=(is_long.is.true,full_title.eq.Untitled)&order=id").is(200, r#"[{"id":4},{"id":5},{"id":6}]"#),
    get("/books?select=id&order=is_long.desc.nullslast,id&limit=3").is(200, r#"[{"id":4},{"id":5},{"id":1}]"#),
    get("/books?select=id&order=full_title.desc&limit=1").is(200, r#"[{"id":6}]"#),
    get("/books?select=*&id=eq.1").part("/0/full_title", "null").part("/0/title", "\"Earthsea\"").status(200),
    get("/books?select=*,full_title&id=eq.1").part("/0/full_title", "\"Earthsea (1968)\"").status(200),
    // The same name for two tables.
    get("/authors?select=initial&id=eq.1").is(200, r#"[{"initial":"U"}]"#),
    get("/members?select=initial&id=eq.1").is(200, r#"[{"initial":"m"}]"#),
    get("/publishers?select=initial").fails(400, "42703"),
    get("/book_list?select=shout&id=eq.1").is(200, r#"[{"shout":"EARTHSEA"}]"#),
    get("/books?select=shout&id=eq.1").fails(400, "42703"),
    // In embedded rows.
    get("/authors?select=name,books(full_title)&id=eq.2").is(200, r#"[{"name":"Italo","books":[{"full_title":"Invisible Cities (1972)"}]}]"#),
    get("/books?select=id,authors(initial)&id=eq.1").is(200, r#"[{"id":1,"authors":{"initial":"U"}}]"#),
    get("/authors?select=id,books(id)&books.is_long=is.true&id=in.(1,3)&order=id").is(200, r#"[{"id":1,"books":[]},{"id":3,"books":[{"id":4}]}]"#),
    get("/books?select=id,authors()&order=authors(initial),id&author_id=not.is.null&limit=2").is(200, r#"[{"id":5},{"id":4}]"#),
    // In what a write returns, and as its condition.
    patch("/books?id=eq.6&select=id,full_title", r#"{"title":"Named"}"#).returning().is(200, r#"[{"id":6,"full_title":"Named"}]"#),
    patch("/books?is_long=is.true&select=id&order=id", r#"{"in_print":true}"#).returning().is(200, r#"[{"id":4},{"id":5}]"#),
    post("/books?select=full_title", r#"{"id":40,"title":"T","published":"2020-01-01"}"#).returning().is(201, r#"[{"full_title":"T (2020)"}]"#),
    delete("/books?full_title=eq.T%20(2020)&select=full_title").returning().is(200, r#"[{"full_title":"T (2020)"}]"#),
    post("/books", r#"{"id":41,"title":"T","is_long":true}"#).fails(400, "PGRST204"),
    // Relationships.
    get("/books?select=id,writer(name)&id=eq.1").is(200, r#"[{"id":1,"writer":{"name":"Ursula"}}]"#),
    get("/books?select=id,by:writer(name)&id=eq.1").is(200, r#"[{"id":1,"by":{"name":"Ursula"}}]"#),
    get("/books?select=id,writer(name)&id=eq.6").is(200, r#"[{"id":6,"writer":null}]"#),
    get("/authors?select=id,long_books(id)&order=id&id=lt.4").is(200, r#"[{"id":1,"long_books":[{"id":2}]},{"id":2,"long_books":[]},{"id":3,"long_books":[{"id":4}]}]"#),
    get("/authors?select=id,long_books!inner(id)&order=id").is(200, r#"[{"id":1,"long_books":[{"id":2}]},{"id":3,"long_books":[{"id":4}]},{"id":4,"long_books":[{"id":5}]}]"#),
    get("/authors?select=id,long_books(id)&long_books.pages=gt.400&id=in.(1,3)&order=id").is(200, r#"[{"id":1,"long_books":[]},{"id":3,"long_books":[{"id":4}]}]"#),
    get("/authors?select=id,long_books()&long_books=is.null&order=id").is(200, r#"[{"id":2},{"id":5}]"#),
    get("/books?select=id,writer!inner(name)&writer.name=eq.Italo").is(200, r#"[{"id":3,"writer":{"name":"Italo"}}]"#),
    get("/shelves?select=id,neighbours(code)&order=id").is(200, r#"[{"id":1,"neighbours":[]},{"id":2,"neighbours":[{"code":"C1"}]},{"id":3,"neighbours":[{"code":"B1"}]}]"#),
    get("/shelves?select=id,neighbours(id,neighbours(id))&id=eq.2").is(200, r#"[{"id":2,"neighbours":[{"id":3,"neighbours":[{"id":2}]}]}]"#),
    get("/books?select=id,writer(id,long_books(id))&id=eq.1").is(200, r#"[{"id":1,"writer":{"id":1,"long_books":[{"id":2}]}}]"#),
    get("/books?select=id,authors(id,long_books(id))&id=eq.1").is(200, r#"[{"id":1,"authors":{"id":1,"long_books":[{"id":2}]}}]"#),
    get("/authors?select=id,compatriots(id,cards(number))&id=eq.1").is(200, r#"[{"id":1,"compatriots":[{"id":1,"cards":{"number":"C-1"}}]}]"#),
    get("/books?select=id,...writer(author:name)&id=eq.1").is(200, r#"[{"id":1,"author":"Ursula"}]"#),
    get("/authors?select=id,long_books(id)&order=long_books(id)").fails(400, "PGRST118"),
    get("/books?select=id,writer(name)&order=writer(name).desc.nullslast,id&limit=1").is(200, r#"[{"id":1,"writer":{"name":"Ursula"}}]"#),
    get("/authors?select=id,long_books!inner(id)&order=id&limit=1").prefer("count=exact").is(206, r#"[{"id":1,"long_books":[{"id":2}]}]"#).has("content-range", "0-0/3"),
    get("/rpc/all_books?select=id,writer(name)&id=eq.3").is(200, r#"[{"id":3,"writer":{"name":"Italo"}}]"#),
    get("/rpc/all_books?select=full_title&id=eq.3").is(200, r#"[{"full_title":"Invisible Cities (1972)"}]"#),
    patch("/books?id=eq.1&select=id,writer(name)", r#"{"author_id":2}"#).returning().is(200, r#"[{"id":1,"writer":{"name":"Italo"}}]"#),
];
