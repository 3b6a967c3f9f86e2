//! How arguments are given, and which of several functions they choose.

use super::{Case, delete, get, patch, post, put};

pub(super) const CASES: &[Case] = &[
    // Defaults.
    get("/rpc/describe?a=1").is(200, "\"1xfalse\""),
    get("/rpc/describe?a=1&b=y").is(200, "\"1yfalse\""),
    get("/rpc/describe?a=1&c=true").is(200, "\"1xtrue\""),
    post("/rpc/describe", r#"{"c":true,"a":2}"#).is(200, "\"2xtrue\""),
    post("/rpc/describe", r#"{"a":2,"b":"z","c":false}"#).is(200, "\"2zfalse\""),
    get("/rpc/titles?select=pages&limit=1").is(200, r#"[{"pages":165}]"#),
    // Types.
    post("/rpc/mixed", r#"{"num":1,"flag":true,"day":"2024-02-29","list":["a","b c"],"doc":{"k":[1]}}"#)
        .is(200, r#"[{"num2":1,"flag2":true,"day2":"2024-02-29","list2":["a","b c"],"doc2":{"k":[1]}}]"#),
    get("/rpc/mixed?num=1&flag=false&day=20240229&list={a,b}").is(200, r#"[{"num2":1,"flag2":false,"day2":"2024-02-29","list2":["a","b"],"doc2":{}}]"#),
    post("/rpc/mixed", "num=1&flag=true&day=2024-02-29&list=%7Ba%7D").sent_as("application/x-www-form-urlencoded")
        .is(200, r#"[{"num2":1,"flag2":true,"day2":"2024-02-29","list2":["a"],"doc2":{}}]"#),
    post("/rpc/add", r#"{"a":"1","b":"2"}"#).is(200, "3"),
    post("/rpc/greet", r#"{"name":null}"#).is(200, "null"),
    post("/rpc/same_format", r#"{"format":"hardback"}"#).is(200, "\"hardback\""),
    post("/rpc/element_count", r#"{"list":[1,2,3]}"#).is(200, "3"),
    post("/rpc/element_count", r#"{"list":[]}"#).is(200, "0"),
    get("/rpc/element_count?list={1,2}").is(200, "2"),
    post("/rpc/json_kind", r#"{"arg":{"k":3}}"#).is(200, "\"object\""),
    post("/rpc/json_kind", r#"{"arg":"{\"k\":3}"}"#).is(200, "\"string\""),
    post("/rpc/json_kind", r#"{"arg":[1]}"#).is(200, "\"array\""),
    get("/rpc/json_kind?arg={\"k\":3}").is(200, "\"object\""),
    get("/rpc/greet?name=").is(200, "\"Hello, \""),
    get("/rpc/greet?name=a+b%26c").is(200, "\"Hello, a b&c\""),
    get("/rpc/greet?name=first&name=last").is(200, "\"Hello, last\""),
    // Variadic.
    get("/rpc/total?nums=1").is(200, "1"),
    get("/rpc/total?nums=1&nums=2&nums=3").is(200, "6"),
    post("/rpc/total", r#"{"nums":[4,5]}"#).is(200, "9"),
    post("/rpc/total", "{}").is(200, "0"),
    post("/rpc/total", "nums=1&nums=2").sent_as("application/x-www-form-urlencoded").is(200, "3"),
    post("/rpc/total", "").sent_as("application/x-www-form-urlencoded").is(200, "0"),
    // Names with capitals.
    get("/rpc/camelCall?fullName=ann").is(200, "\"ANN\""),
    post("/rpc/camelCall", r#"{"fullName":"ann"}"#).is(200, "\"ANN\""),
    get("/rpc/camelcall?fullName=ann").fails(404, "PGRST202"),
    // Bodies.
    post("/rpc/add", r#"[{"a":1,"b":2},{"a":10,"b":20}]"#).is(200, "3"),
    post("/rpc/add?columns=a,b", r#"{"a":1,"b":2,"c":3}"#).is(200, "3"),
    post("/rpc/add", " \t\n{\"a\":1,\"b\":2} \n").is(200, "3"),
    post("/rpc/add", "{").fails(400, "PGRST102"),
    post("/rpc/add", r#"{"a":1,"b":2}"#).sent_as("application/json; charset=utf-8").is(200, "3"),
    post("/rpc/add", "a,b\n1,2").sent_as("text/csv").is(200, "3"),
    // One parameter without a name takes the whole body.
    post("/rpc/echo_json", r#"{"b":1,"a":[1,2]}"#).is(200, r#"{"b":1,"a":[1,2]}"#),
    post("/rpc/echo_json", "[1,2]").is(200, "[1,2]"),
    post("/rpc/echo_jsonb", r#"{"b":1,"a":2}"#).is(200, r#"{"a":2,"b":1}"#),
    post("/rpc/echo_text", "plain text").sent_as("text/plain").is(200, "\"plain text\""),
    post("/rpc/length_of", "12345").sent_as("text/plain").is(200, "5"),
    post("/rpc/length_of", "größe").sent_as("text/plain; charset=utf-8").is(200, "5"),
    post("/rpc/echo_bytes", "raw bytes").sent_as("application/octet-stream").accept("application/octet-stream").text(200, "raw bytes")
        .has("content-type", "application/octet-stream"),
    post("/rpc/echo_xml", "<a/>").sent_as("text/xml").is(200, "\"<a/>\""),
    post("/rpc/either", r#"{"x":1,"y":2}"#).is(200, "\"numbers\""),
    post("/rpc/either", r#"{"x":1,"z":2}"#).is(200, "\"document\""),
    post("/rpc/either", r#"{"a":1}"#).is(200, "\"document\""),
    get("/rpc/either?x=1&y=2").is(200, "\"numbers\""),
    post("/rpc/echo_text", r#"{"x":1}"#).fails(404, "PGRST202"),
    post("/rpc/echo_json", "text").sent_as("text/plain").fails(404, "PGRST202"),
    post("/rpc/add", "text").sent_as("text/plain").fails(404, "PGRST202"),
    post("/rpc/add", "bytes").sent_as("application/octet-stream").fails(404, "PGRST202"),
    // Overloads.
    get("/rpc/area").is(200, "\"none\""),
    get("/rpc/area?side=3").is(200, "9"),
    get("/rpc/area?width=3&height=4").is(200, "12"),
    post("/rpc/area", r#"{"width":3,"height":4}"#).is(200, "12"),
    post("/rpc/area", "{}").is(200, "\"none\""),
    post("/rpc/area", "side=5").sent_as("application/x-www-form-urlencoded").is(200, "25"),
    get("/rpc/area?width=3").fails(404, "PGRST202"),
    get("/rpc/pick?x=1").fails(300, "PGRST203")
        .hint("\"Try renaming the parameters or the function itself in the database so function overloading can be resolved\""),
    post("/rpc/pick", r#"{"x":"a"}"#).fails(300, "PGRST203"),
    // What there is not.
    get("/rpc/nowhere").fails(404, "PGRST202"),
    post("/rpc/nowhere", "{}").fails(404, "PGRST202"),
    get("/rpc/add").fails(404, "PGRST202"),
    get("/rpc/add?a=1").fails(404, "PGRST202"),
    get("/rpc/add?a=1&b=2&c=3").fails(404, "PGRST202"),
    post("/rpc/add", r#"{"a":1,"b":2,"c":3}"#).fails(404, "PGRST202"),
    post("/rpc/add?a=1", r#"{"a":1,"b":2}"#).fails(400, "PGRST100"),
    get("/rpc/add?a=one&b=2").fails(400, "22P02"),
    post("/rpc/same_stars", r#"{"stars":9}"#).fails(400, "23514"),
    get("/rpc/full_title").fails(404, "PGRST202"),
    get("/rpc/refuse_untouchable").fails(404, "PGRST202"),
    get("/rpc/pg_sleep?seconds=1").fails(404, "PGRST202"),
    get("/rpc/version").fails(404, "PGRST202"),
    // Methods.
    delete("/rpc/add").fails(405, "PGRST101").message("\"Cannot use the DELETE method on RPC\""),
    patch("/rpc/add", "{}").fails(405, "PGRST101").message("\"Cannot use the PATCH method on RPC\""),
    put("/rpc/add", "{}").fails(405, "PGRST101").message("\"Cannot use the PUT method on RPC\""),
    // Given twice.
    post("/rpc/add?columns=a,a,b", r#"{"a":1,"b":2}"#).status(400),
    // One value, however different its parts are.
    post("/rpc/echo_json", r#"[{"a":1},{"b":1},{"c":1},{"d":1},{"e":1},{"f":1},{"g":1},{"h":1},{"i":1},{"j":1},{"k":1},{"l":1},{"m":1},{"n":1},{"o":1},{"p":1},{"q":1}]"#).status(200),
];
