//! `limit`, `offset`, `Range` and counts.

use super::{Case, get, head};

const ALL: &str = r#"[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5},{"id":6}]"#;

pub(super) const CASES: &[Case] = &[
    get("/books?select=id&order=id").is(200, ALL).has("content-range", "0-5/*"),
    get("/books?select=id&order=id&limit=2").is(200, r#"[{"id":1},{"id":2}]"#).has("content-range", "0-1/*"),
    get("/books?select=id&order=id&limit=2&offset=1").is(200, r#"[{"id":2},{"id":3}]"#).has("content-range", "1-2/*"),
    get("/books?select=id&order=id&offset=4").is(200, r#"[{"id":5},{"id":6}]"#).has("content-range", "4-5/*"),
    get("/books?select=id&order=id&limit=100&offset=5").is(200, r#"[{"id":6}]"#).has("content-range", "5-5/*"),
    get("/books?select=id&limit=0").is(200, "[]").has("content-range", "*/*"),
    get("/books?select=id&order=id&offset=0").is(200, ALL),
    get("/books?select=id&order=id&offset=-3").is(200, ALL).has("content-range", "0-5/*"),
    get("/books?select=id&offset=50").is(200, "[]").has("content-range", "*/*"),
    get("/books?select=id&limit=-1").fails(416, "PGRST103")
        .message("\"Requested range not satisfiable\"")
        .details("\"Limit should be greater than or equal to zero.\""),
    get("/books?id=gt.100").is(200, "[]").has("content-range", "*/*"),
    // The header.
    get("/books?select=id&order=id").header("range", "0-1").is(200, r#"[{"id":1},{"id":2}]"#).has("content-range", "0-1/*"),
    get("/books?select=id&order=id").header("range", "4-").is(200, r#"[{"id":5},{"id":6}]"#).has("content-range", "4-5/*"),
    get("/books?select=id&order=id").header("range", "0-0").is(200, r#"[{"id":1}]"#).has("content-range", "0-0/*"),
    get("/books?select=id&order=id").header("range", "4-100").is(200, r#"[{"id":5},{"id":6}]"#).has("content-range", "4-5/*"),
    get("/books?select=id&order=id").header("range", "0-1").header("range-unit", "items").is(200, r#"[{"id":1},{"id":2}]"#),
    get("/books?select=id&order=id&limit=3").header("range", "0-1").is(200, r#"[{"id":1},{"id":2}]"#),
    get("/books?id=gt.100").header("range", "0-1").is(200, "[]").has("content-range", "*/*"),
    get("/books").header("range", "1-0").fails(416, "PGRST103")
        .details("\"The lower boundary must be lower than or equal to the upper boundary in the Range header.\""),
    // Counts.
    get("/books?select=id&order=id").prefer("count=exact").is(200, ALL).has("content-range", "0-5/6")
        .has("preference-applied", "count=exact"),
    get("/books?select=id&order=id&limit=2").prefer("count=exact").is(206, r#"[{"id":1},{"id":2}]"#).has("content-range", "0-1/6"),
    get("/books?select=id&order=id&limit=2&offset=4").prefer("count=exact").is(206, r#"[{"id":5},{"id":6}]"#)
        .has("content-range", "4-5/6"),
    get("/books?select=id&order=id").header("range", "2-3").prefer("count=exact").is(206, r#"[{"id":3},{"id":4}]"#)
        .has("content-range", "2-3/6"),
    get("/books?select=id&id=lt.3&order=id").prefer("count=exact").is(200, r#"[{"id":1},{"id":2}]"#).has("content-range", "0-1/2"),
    get("/books?id=gt.100").prefer("count=exact").is(200, "[]").has("content-range", "*/0"),
    get("/books?id=gt.100&offset=0").prefer("count=exact").is(200, "[]").has("content-range", "*/0"),
    get("/books?limit=0").prefer("count=exact").is(206, "[]").has("content-range", "*/6"),
    get("/books?id=gt.100&offset=1").prefer("count=exact").fails(416, "PGRST103").has("content-range", "*/0")
        .details("\"An offset of 1 was requested, but there are only 0 rows.\""),
    get("/books?offset=7").prefer("count=exact").fails(416, "PGRST103").has("content-range", "*/6")
        .details("\"An offset of 7 was requested, but there are only 6 rows.\""),
    get("/books").header("range", "100-199").prefer("count=exact").fails(416, "PGRST103").has("content-range", "*/6")
        .details("\"An offset of 100 was requested, but there are only 6 rows.\""),
    get("/books?select=id").prefer("count=none").status(200).has("content-range", "0-5/*"),
    get("/books?select=id,authors!inner(id)&order=id&limit=1").prefer("count=exact")
        .is(206, r#"[{"id":1,"authors":{"id":1}}]"#).has("content-range", "0-0/5"),
    get("/authors?select=id,books!inner(id)&books.pages=gt.400&order=id").prefer("count=exact")
        .is(200, r#"[{"id":3,"books":[{"id":4}]},{"id":4,"books":[{"id":5}]}]"#).has("content-range", "0-1/2"),
    get("/authors?select=id,books(id)&books.id=eq.1").prefer("count=exact").status(200).has("content-range", "0-4/5"),
    get("/book_list?select=id&limit=1&order=id").prefer("count=exact").is(206, r#"[{"id":1}]"#).has("content-range", "0-0/6"),
    // HEAD.
    head("/books").empty(200).has("content-range", "0-5/*").has("content-type", "application/json; charset=utf-8"),
    head("/books?limit=2&offset=2").empty(200).has("content-range", "2-3/*"),
    head("/books").prefer("count=exact").empty(200).has("content-range", "0-5/6"),
    head("/books?limit=2").prefer("count=exact").empty(206).has("content-range", "0-1/6"),
    head("/books?id=gt.100").prefer("count=exact").empty(200).has("content-range", "*/0"),
    head("/nowhere").empty(404),
    // The header counts for GET only.
    head("/books").header("range", "0-1").empty(200).has("content-range", "0-5/*"),
    // Embedded rows.
    get("/authors?select=id,books(id)&id=eq.1&books.order=id&books.limit=1").is(200, r#"[{"id":1,"books":[{"id":1}]}]"#),
    get("/authors?select=id,books(id)&id=eq.1&books.order=id&books.limit=1&books.offset=1").is(200, r#"[{"id":1,"books":[{"id":2}]}]"#),
    get("/authors?select=id,books(id)&id=eq.1&books.offset=9").is(200, r#"[{"id":1,"books":[]}]"#),
    get("/authors?select=id,books(id)&id=eq.1&books.limit=0").is(200, r#"[{"id":1,"books":[]}]"#),
    get("/publishers?select=id,books(id,editions(no))&order=id&limit=1&books.order=id&books.limit=2&books.editions.order=no&books.editions.limit=1")
        .is(200, r#"[{"id":1,"books":[{"id":1,"editions":[{"no":1}]},{"id":2,"editions":[{"no":1}]}]}]"#)
        .has("content-range", "0-0/*"),
    get("/books?select=id,genres(id)&id=eq.3&genres.order=id.desc&genres.limit=1").is(200, r#"[{"id":3,"genres":[{"id":3}]}]"#),
];
