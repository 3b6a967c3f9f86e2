//! Error documents: status, `code`, `message`, `details` and `hint`.

use super::{Case, delete, get, patch, post, put, request};

pub(super) const CASES: &[Case] = &[
    get("/nowhere").fails(404, "PGRST205").details("null"),
    get("/bookz").fails(404, "PGRST205"),
    get("/Books").fails(404, "PGRST205"),
    post("/nowhere", "{}").fails(404, "PGRST205"),
    patch("/nowhere?a=eq.1", "{}").fails(404, "PGRST205"),
    put("/nowhere?a=eq.1", "{}").fails(404, "PGRST205"),
    delete("/nowhere?a=eq.1").fails(404, "PGRST205"),
    get("/authors/1/books/2").fails(404, "PGRST125").message("\"Invalid path specified in request URL\""),
    get("/rpc/add/more").fails(404, "PGRST125"),
    request("TRACE", "/books", None).status(405),
    request("PROPFIND", "/books", None).fails(405, "PGRST117").message("\"Unsupported HTTP method: PROPFIND\""),
    // From PostgreSQL.
    get("/books?select=nowhere").fails(400, "42703").message("\"column books.nowhere does not exist\""),
    get("/books?nowhere=eq.1").fails(400, "42703").message("\"column books.nowhere does not exist\""),
    get("/books?order=nowhere").fails(400, "42703").message("\"column books.nowhere does not exist\""),
    get("/books?id=eq.x").fails(400, "22P02").message("\"invalid input syntax for type integer: \\\"x\\\"\"").details("null").hint("null"),
    get("/books?format=eq.x").fails(400, "22P02").message("\"invalid input value for enum book_format: \\\"x\\\"\""),
    get("/books?id=eq.99999999999").fails(400, "22003"),
    get("/books?published=eq.2024-13-01").fails(400, "22008"),
    get("/samples?jb=eq.{").fails(400, "22P02"),
    get("/samples?ints=cs.1").fails(400, "22P02"),
    get("/samples?uid=eq.x").fails(400, "22P02"),
    get("/samples?ip=eq.x").fails(400, "22P02"),
    post("/publishers", r#"{"id":1,"name":"x"}"#).fails(409, "23505").hint("null"),
    post("/publishers", r#"{"name":"x"}"#).fails(400, "23502")
        .message("\"null value in column \\\"id\\\" of relation \\\"publishers\\\" violates not-null constraint\""),
    post("/members", r#"{"id":9,"name":"x","email":"none","joined":"2024-01-01"}"#).fails(400, "23514"),
    post("/cards", r#"{"member_id":77,"number":"x"}"#).fails(409, "23503"),
    delete("/authors?id=eq.1").fails(409, "23503")
        .details("\"Key (id)=(1) is still referenced from table \\\"books\\\".\""),
    post("/order_lines", r#"{"region":"xx","no":1,"line":1,"book_id":1}"#).fails(409, "23503")
        .details("\"Key (region, no)=(xx, 1) is not present in table \\\"orders\\\".\""),
    // Of the request.
    get("/books?select=id,").fails(400, "PGRST100"),
    get("/books?select=id,(x)").fails(400, "PGRST100"),
    get("/books?id=eqq.1").fails(400, "PGRST100").hint("null"),
    get("/books?order=id.ascending").fails(400, "PGRST100"),
    get("/books?and=id.eq.1").fails(400, "PGRST100"),
    get("/books?select=authors(name").fails(400, "PGRST100"),
    get("/books?a..b=eq.1").status(400),
    get("/books?select=authors!(name)").fails(400, "PGRST100"),
    get("/books?limit=-5").fails(416, "PGRST103"),
    get("/authors?select=books(id)&books.limit=-1").fails(416, "PGRST103"),
    post("/books", "[1,2]").status(400),
    post("/books", "null").status(400),
    post("/books", "\"text\"").status(400),
    post("/books", "{\"id\":1").fails(400, "PGRST102"),
    get("/books").accept("x/y").fails(406, "PGRST107"),
    get("/rpc/nowhere").fails(404, "PGRST202"),
];
