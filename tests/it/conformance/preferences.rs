//! `Prefer`: `handling`, `tx`, `timezone`, `max-affected`, and what `Preference-Applied` says.

use super::{Case, delete, get, patch, post, put};

pub(super) const CASES: &[Case] = &[
    // Handling.
    get("/codes").prefer("handling=strict, anything").fails(400, "PGRST122")
        .message("\"Invalid preferences given with handling=strict\"").details("\"Invalid preferences: anything\""),
    get("/codes").header("prefer", "handling=strict").header("prefer", "something, else").fails(400, "PGRST122")
        .details("\"Invalid preferences: something, else\""),
    post("/codes", r#"{"code":"strict"}"#).prefer("handling=strict, return=everything").fails(400, "PGRST122")
        .details("\"Invalid preferences: return=everything\""),
    post("/rpc/greet", "{}").prefer("handling=strict, anything").fails(400, "PGRST122"),
    get("/codes?code=eq.strict").is(200, "[]"),
    get("/codes?code=eq.a").prefer("handling=lenient, anything").is(200, r#"[{"code":"a"}]"#).has("preference-applied", "handling=lenient"),
    get("/codes?code=eq.a").prefer("anything").is(200, r#"[{"code":"a"}]"#).lacks("preference-applied"),
    get("/codes?code=eq.a").prefer("handling=strict").is(200, r#"[{"code":"a"}]"#).has("preference-applied", "handling=strict"),
    get("/codes?code=eq.a").prefer("handling=strict, count=exact").is(200, r#"[{"code":"a"}]"#).has("content-range", "0-0/1")
        .has("preference-applied", "count=exact, handling=strict"),
    post("/codes", r#"{"code":"lenient"}"#).prefer("return=representation, handling=lenient, anything").is(201, r#"[{"code":"lenient"}]"#)
        .has("preference-applied", "return=representation, handling=lenient"),
    // The first of those that contradict each other.
    post("/codes", r#"{"code":"first"}"#).prefer("return=representation, return=minimal").is(201, r#"[{"code":"first"}]"#)
        .has("preference-applied", "return=representation"),
    post("/codes", r#"{"code":"second"}"#).header("prefer", "return=minimal").header("prefer", "return=representation").empty(201),
    post("/codes", r#"{"code":"spaces"}"#).prefer("  return=representation  ,   count=exact  ").is(201, r#"[{"code":"spaces"}]"#).has("content-range", "*/1"),
    // Transactions.
    post("/codes", r#"{"code":"undone"}"#).prefer("tx=rollback, return=representation").is(201, r#"[{"code":"undone"}]"#)
        .has("preference-applied", "return=representation, tx=rollback"),
    get("/codes?code=eq.undone").is(200, "[]"),
    patch("/codes?code=eq.b", r#"{"code":"c"}"#).prefer("tx=rollback").empty(204).has("preference-applied", "tx=rollback").has("content-range", "0-0/*"),
    delete("/codes?code=eq.b").prefer("tx=rollback").empty(204),
    put("/codes?code=eq.put", r#"{"code":"put"}"#).prefer("tx=rollback, return=representation").is(201, r#"[{"code":"put"}]"#),
    get("/codes?code=in.(b,c,put)").is(200, r#"[{"code":"b"}]"#),
    post("/rpc/write_entry", r#"{"entry":"undone"}"#).prefer("tx=rollback").empty(204),
    get("/journal").is(200, "[]"),
    get("/codes?code=eq.b").prefer("tx=rollback").is(200, r#"[{"code":"b"}]"#).has("preference-applied", "tx=rollback"),
    post("/codes", r#"{"code":"kept"}"#).prefer("tx=commit").empty(201).has("preference-applied", "tx=commit"),
    get("/codes?code=eq.kept").is(200, r#"[{"code":"kept"}]"#),
    // Time zones.
    get("/samples?select=atz&id=eq.1").prefer("timezone=America/Los_Angeles").is(200, r#"[{"atz":"2024-02-29T05:00:00-08:00"}]"#)
        .has("preference-applied", "timezone=America/Los_Angeles"),
    get("/samples?select=atz,at,day&id=eq.1").prefer("handling=strict, timezone=Asia/Tokyo")
        .is(200, r#"[{"atz":"2024-02-29T22:00:00+09:00","at":"2024-02-29T13:00:00","day":"2024-02-29"}]"#)
        .has("preference-applied", "handling=strict, timezone=Asia/Tokyo"),
    get("/samples?select=atz&id=eq.1").prefer("timezone=-4").is(200, r#"[{"atz":"2024-02-29T09:00:00-04:00"}]"#).has("preference-applied", "timezone=-4"),
    get("/samples?select=atz&id=eq.1").is(200, r#"[{"atz":"2024-02-29T13:00:00+00:00"}]"#),
    post("/samples?select=atz", r#"{"id":70,"atz":"2024-03-01T00:00:00"}"#).prefer("timezone=Asia/Tokyo, return=representation")
        .is(201, r#"[{"atz":"2024-03-01T00:00:00+09:00"}]"#).has("preference-applied", "return=representation, timezone=Asia/Tokyo"),
    get("/samples?select=atz&id=eq.70").is(200, r#"[{"atz":"2024-02-29T15:00:00+00:00"}]"#),
    get("/samples?select=atz&id=eq.1").prefer("timezone=Nowhere/City").fails(400, "22023")
        .message("\"invalid value for parameter \\\"TimeZone\\\": \\\"Nowhere/City\\\"\""),
    get("/samples?select=atz&id=eq.1").prefer("handling=lenient, timezone=Nowhere/City").fails(400, "22023"),
    get("/samples?select=atz&id=eq.1").prefer("timezone=05:30:15").fails(400, "22023"),
    // How many rows a write may touch.
    patch("/books?id=lt.5", r#"{"price":1}"#).prefer("handling=strict, max-affected=3").fails(400, "PGRST124")
        .message("\"Query result exceeds max-affected preference constraint\"").details("\"The query affects 4 rows\""),
    get("/books?price=eq.1").is(200, "[]"),
    patch("/books?id=lt.5", r#"{"price":1}"#).prefer("handling=strict, max-affected=4").empty(204).has("preference-applied", "handling=strict, max-affected=4"),
    patch("/books?id=lt.5&select=id&order=id", r#"{"price":2}"#).prefer("handling=strict, max-affected=4, return=representation")
        .is(200, r#"[{"id":1},{"id":2},{"id":3},{"id":4}]"#).has("preference-applied", "return=representation, handling=strict, max-affected=4"),
    patch("/books?id=lt.5", r#"{"price":3}"#).prefer("handling=lenient, max-affected=1").empty(204).has("preference-applied", "handling=lenient"),
    patch("/books?id=lt.5", r#"{"price":4}"#).prefer("max-affected=1").empty(204).lacks("preference-applied"),
    patch("/books?id=eq.1", r#"{"price":5}"#).prefer("handling=strict, max-affected=0").fails(400, "PGRST124").details("\"The query affects 1 rows\""),
    patch("/books?id=eq.99", r#"{"price":5}"#).prefer("handling=strict, max-affected=0").empty(204),
    delete("/favourites?book_id=eq.1").prefer("handling=strict, max-affected=1").fails(400, "PGRST124").details("\"The query affects 2 rows\""),
    get("/favourites?book_id=eq.1&select=member_id&order=member_id").is(200, r#"[{"member_id":1},{"member_id":2}]"#),
    delete("/favourites?book_id=eq.1").prefer("handling=strict, max-affected=2").empty(204).has("preference-applied", "handling=strict, max-affected=2"),
    post("/rpc/write_entries?select=entry", r#"{"entries":["a","b"]}"#).prefer("handling=strict, max-affected=1").fails(400, "PGRST124").details("\"The query affects 2 rows\""),
    post("/rpc/write_entries?select=entry", r#"{"entries":["a","b"]}"#).prefer("handling=strict, max-affected=2").is(200, r#"[{"entry":"a"},{"entry":"b"}]"#),
    post("/rpc/write_entry", r#"{"entry":"x"}"#).prefer("handling=strict, max-affected=1").fails(400, "PGRST128")
        .message("\"Function must return SETOF or TABLE when max-affected preference is used with handling=strict\""),
    get("/journal?select=entry&order=id").is(200, r#"[{"entry":"a"},{"entry":"b"}]"#),
    // What is checked at the end is checked before it is undone.
    post("/promises", r#"{"id":1,"book_id":99}"#).prefer("tx=rollback").fails(409, "23503"),
    post("/promises", r#"{"id":1,"book_id":1}"#).prefer("tx=rollback").empty(201),
    get("/promises").is(200, "[]"),
];
