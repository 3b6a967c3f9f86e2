//! `Accept` and `Content-Type`.

use super::{Case, delete, get, head, patch, post};

const JSON: &str = "application/json; charset=utf-8";
const CSV: &str = "text/csv; charset=utf-8";
const STRIPPED: &str = "application/vnd.pgrst.array+json;nulls=stripped";

pub(super) const CASES: &[Case] = &[
    get("/publishers?id=eq.1").accept("application/json").is(200, r#"[{"id":1,"name":"North"}]"#).has("content-type", JSON),
    get("/publishers?id=eq.1").accept("*/*").is(200, r#"[{"id":1,"name":"North"}]"#).has("content-type", JSON),
    get("/publishers?id=eq.1").accept("application/vnd.pgrst.array+json").is(200, r#"[{"id":1,"name":"North"}]"#).has("content-type", JSON),
    get("/publishers?id=eq.1").accept("application/vnd.pgrst.array").is(200, r#"[{"id":1,"name":"North"}]"#).has("content-type", JSON),
    get("/publishers?id=eq.1").accept("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8").is(200, r#"[{"id":1,"name":"North"}]"#).has("content-type", JSON),
    get("/publishers?id=eq.1").accept("text/plain, application/json").is(200, r#"[{"id":1,"name":"North"}]"#).has("content-type", JSON),
    get("/publishers?id=eq.1").accept("application/json;q=0.5, text/csv").text(200, "id,name\n1,North").has("content-type", CSV),
    get("/publishers?id=eq.1").accept("text/csv;q=0.5, application/json").is(200, r#"[{"id":1,"name":"North"}]"#),
    // CSV.
    get("/publishers?order=id").accept("text/csv").text(200, "id,name\n1,North\n2,South\n3,East").has("content-type", CSV).has("content-range", "0-2/*"),
    get("/publishers?select=name,id&id=eq.2").accept("text/csv").text(200, "name,id\nSouth,2"),
    get("/publishers?select=label:name&id=eq.2").accept("text/csv").text(200, "label\nSouth"),
    get("/publishers?select=id&limit=1&order=id").accept("text/csv").prefer("count=exact").text(206, "id\n1").has("content-range", "0-0/3"),
    get("/authors?select=id,country&id=eq.5").accept("text/csv").text(200, "id,country\n5,"),
    get("/books?select=id,tags,in_print&id=eq.1").accept("text/csv").text(200, "id,tags,in_print\n1,\"{fantasy,classic}\",t"),
    get("/loans?select=id,during&id=eq.1").accept("text/csv").text(200, "id,during\n1,\"[2024-05-01,2024-05-15)\""),
    get("/books?select=id,authors(name)&id=eq.1").accept("text/csv").text(200, "id,authors\n1,\"{\"\"name\"\":\"\"Ursula\"\"}\""),
    get("/books?select=id,...authors(name)&id=eq.1").accept("text/csv").text(200, "id,name\n1,Ursula"),
    head("/publishers").accept("text/csv").empty(200).has("content-type", CSV),
    post("/notes", r#"{"a":"x,y","b":"q\"q"}"#).accept("text/csv").returning().text(201, "a,b\n\"x,y\",\"q\"\"q\"").has("content-type", CSV),
    patch("/samples?id=eq.1&select=raw", r#"{"raw":"\\x6f6c64"}"#).accept("application/octet-stream").returning().text(200, "old"),
    patch("/samples?id=eq.1&select=raw", "{}").accept("application/octet-stream").returning().text(200, ""),
    patch("/notes?a=eq.1&select=b", r#"{"b":"two\nlines"}"#).accept("text/csv").returning().text(200, "b\n\"two\nlines\""),
    get("/rpc/books_by?author=1&select=id").accept("text/csv").text(200, "id\n1\n2"),
    get("/rpc/small_primes").accept("text/csv").status(200).has("content-type", CSV),
    // Without nulls.
    get("/authors?id=gte.4&order=id").accept(STRIPPED).is(200, r#"[{"id":4,"name":"Chimamanda","country":"NG","born":1977,"alive":true},{"id":5,"name":"Anon"}]"#)
        .has("content-type", "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8"),
    get("/authors?id=eq.5&select=id,country").accept("application/vnd.pgrst.array;nulls=stripped").is(200, r#"[{"id":5}]"#),
    post("/authors", r#"{"id":9,"name":"New","country":null}"#).accept(STRIPPED).returning().is(201, r#"[{"id":9,"name":"New"}]"#),
    patch("/authors?id=eq.9", r#"{"born":2000}"#).accept(STRIPPED).returning().is(200, r#"[{"id":9,"name":"New","born":2000}]"#),
    get("/books?id=eq.6&select=id,authors(name)").accept(STRIPPED).is(200, r#"[{"id":6}]"#),
    get("/publishers?id=eq.3&select=id,books(id)").accept(STRIPPED).is(200, r#"[{"id":3,"books":[]}]"#),
    get("/rpc/all_books?id=eq.6").accept(STRIPPED).is(200, r#"[{"id":6,"title":"Untitled"}]"#),
    get("/authors?id=eq.5&select=id,country").accept("application/vnd.pgrst.array+json").is(200, r#"[{"id":5,"country":null}]"#),
    // Media types that the app has made.
    get("/rpc/welcome").accept("text/html").text(200, "<p>1</p>").has("content-type", "text/html"),
    get("/rpc/welcome?id=7").accept("text/html,application/json;q=0.1").text(200, "<p>7</p>").has("content-type", "text/html"),
    get("/rpc/welcome").accept("text/html,application/xhtml+xml,application/xml;q=0.9,image/png,*/*;q=0.8").text(200, "<p>1</p>"),
    post("/rpc/welcome", r#"{"id":2}"#).accept("text/html").text(200, "<p>2</p>").has("content-type", "text/html"),
    get("/rpc/picture").accept("image/png").text(200, "PNG").has("content-type", "image/png"),
    get("/rpc/picture").accept("image/gif").fails(406, "PGRST107").message("\"None of these media types are available: image/gif\""),
    head("/rpc/welcome").accept("text/html").empty(200).has("content-type", "text/html"),
    get("/books?id=lt.3").accept("text/tab-separated-values").text(200, "1\tEarthsea\n2\tThe Dispossessed\n").has("content-type", "text/tab-separated-values"),
    get("/rpc/books_by?author=2").accept("text/tab-separated-values").text(200, "3\tInvisible Cities\n"),
    get("/books?select=id").accept("text/tab-separated-values").fails(406, "PGRST107"),
    get("/publishers").accept("text/tab-separated-values").fails(406, "PGRST107"),
    // None.
    get("/publishers").accept("text/unknown").fails(406, "PGRST107").message("\"None of these media types are available: text/unknown\"").details("null").hint("null"),
    get("/publishers").accept("image/png, audio/mpeg").fails(406, "PGRST107").message("\"None of these media types are available: image/png, audio/mpeg\""),
    get("/publishers").accept("undefined").fails(406, "PGRST107"),
    get("/publishers").accept("application/xml").fails(406, "PGRST107"),
    get("/rpc/add?a=1&b=2").accept("audio/mpeg").fails(406, "PGRST107"),
    post("/publishers", r#"{"id":60,"name":"x"}"#).accept("audio/mpeg").fails(406, "PGRST107"),
    get("/publishers?id=eq.60").is(200, "[]"),
    post("/publishers", r#"{"id":62,"name":"x"}"#).sent_as("application/json; charset=utf-8").empty(201),
    post("/publishers", r#"{"id":63,"name":"x"}"#).sent_as("application/json; $$ odd=parameters $$").empty(201),
    post("/publishers", r#"{"id":64,"name":"x"}"#).sent_as("Application/JSON").empty(201),
    // What a write returned, too.
    post("/books?select=*", r#"{"id":70,"title":"Seventy"}"#).accept("text/tab-separated-values").returning().text(201, "70\tSeventy\n"),
    delete("/books?id=eq.70").accept("text/tab-separated-values").returning().text(200, "70\tSeventy\n"),
];
