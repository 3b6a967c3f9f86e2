//! `resolution=`, `on_conflict` and PUT.

use super::{Case, get, post, put};

const MERGE: &str = "return=representation, resolution=merge-duplicates";
const IGNORE: &str = "return=representation, resolution=ignore-duplicates";

pub(super) const CASES: &[Case] = &[
    // Merged.
    post("/publishers", r#"[{"id":1,"name":"N"},{"id":9,"name":"Nine"}]"#).prefer(MERGE).is(201, r#"[{"id":1,"name":"N"},{"id":9,"name":"Nine"}]"#)
        .has("preference-applied", "resolution=merge-duplicates, return=representation"),
    post("/publishers", r#"[{"id":1,"name":"North"},{"id":2,"name":"S"}]"#).prefer(MERGE).is(200, r#"[{"id":1,"name":"North"},{"id":2,"name":"S"}]"#),
    post("/publishers", r#"{"id":2,"name":"South"}"#).prefer("resolution=merge-duplicates").empty(200)
        .has("preference-applied", "resolution=merge-duplicates"),
    get("/publishers?order=id").is(200, r#"[{"id":1,"name":"North"},{"id":2,"name":"South"},{"id":3,"name":"East"},{"id":9,"name":"Nine"}]"#),
    post("/publishers", "[]").prefer(MERGE).is(200, "[]"),
    post("/authors?select=id,name,country", r#"{"id":1,"name":"U. K."}"#).prefer(MERGE).is(200, r#"[{"id":1,"name":"U. K.","country":"US"}]"#),
    post("/authors?select=id,country&columns=id,name,country", r#"[{"id":1,"name":"Ursula","country":"X","born":1}]"#).prefer(MERGE).is(200, r#"[{"id":1,"country":"X"}]"#),
    get("/authors?select=born&id=eq.1").is(200, r#"[{"born":1929}]"#),
    post("/orders?select=region,no,total,customer", r#"[{"region":"eu","no":1,"total":1},{"region":"eu","no":9,"total":2}]"#).prefer(MERGE)
        .is(201, r#"[{"region":"eu","no":1,"total":1.00,"customer":1},{"region":"eu","no":9,"total":2.00,"customer":null}]"#),
    post("/codes", r#"[{"code":"a"},{"code":"z"}]"#).prefer(MERGE).is(201, r#"[{"code":"a"},{"code":"z"}]"#),
    post("/notes", r#"{"a":"1","b":"again"}"#).prefer(MERGE).is(201, r#"[{"a":"1","b":"again"}]"#).has("preference-applied", "return=representation"),
    post("/books?select=id,title,authors(name)", r#"[{"id":3,"title":"Cities"},{"id":1,"title":"Earthsea"}]"#).prefer(MERGE)
        .is(200, r#"[{"id":3,"title":"Cities","authors":{"name":"Italo"}},{"id":1,"title":"Earthsea","authors":{"name":"Ursula"}}]"#),
    post("/books?select=id&order=id", r#"[{"id":3,"title":"Cities"},{"id":1,"title":"Earthsea"}]"#).prefer(MERGE).is(200, r#"[{"id":1},{"id":3}]"#),
    // Ignored.
    post("/publishers", r#"[{"id":1,"name":"ignored"},{"id":10,"name":"Ten"}]"#).prefer(IGNORE).is(201, r#"[{"id":10,"name":"Ten"}]"#)
        .has("preference-applied", "resolution=ignore-duplicates, return=representation"),
    post("/publishers", r#"{"id":1,"name":"ignored"}"#).prefer(IGNORE).is(201, "[]"),
    post("/publishers", r#"{"id":1,"name":"ignored"}"#).prefer("resolution=ignore-duplicates").empty(201),
    get("/publishers?id=eq.1").is(200, r#"[{"id":1,"name":"North"}]"#),
    post("/orders?select=no", r#"[{"region":"eu","no":1,"total":5},{"region":"eu","no":10,"total":2}]"#).prefer(IGNORE).is(201, r#"[{"no":10}]"#),
    post("/codes", r#"[{"code":"a"},{"code":"y"}]"#).prefer(IGNORE).is(201, r#"[{"code":"y"}]"#),
    // By other keys.
    post("/books?on_conflict=isbn&select=id,title", r#"{"id":5,"title":"By number","isbn":"555"}"#).prefer(MERGE).is(200, r#"[{"id":5,"title":"By number"}]"#),
    post("/books?on_conflict=isbn&select=id", r#"{"id":100,"title":"Referenced","isbn":"444"}"#).prefer(MERGE).fails(409, "23503"),
    post("/members?on_conflict=email&select=id,name", r#"{"id":4,"name":"Pia P","email":"pia@x.org","joined":"2024-04-01T00:00:00Z"}"#).prefer(MERGE).is(200, r#"[{"id":4,"name":"Pia P"}]"#),
    post("/members?on_conflict=email&select=id", r#"[{"id":50,"name":"x","email":"pia@x.org","joined":"2024-04-01"},{"id":51,"name":"y","email":"y@x","joined":"2024-04-01"}]"#)
        .prefer(IGNORE).is(201, r#"[{"id":51}]"#),
    post("/settings?select=name,value,version", r#"{"name":"s","value":[1],"version":7}"#).prefer(MERGE).is(201, r#"[{"name":"s","value":[1],"version":7}]"#),
    post("/settings?on_conflict=version,value&select=name", r#"{"name":"t","value":[1],"version":7}"#).prefer(MERGE).is(200, r#"[{"name":"t"}]"#),
    post("/publishers?on_conflict=name", r#"{"id":70,"name":"x"}"#).prefer(MERGE).fails(400, "42P10"),
    post("/publishers?on_conflict=nowhere", r#"{"id":70,"name":"x"}"#).prefer(MERGE).status(400),
    post("/publishers?on_conflict=", r#"{"id":70,"name":"x"}"#).prefer(MERGE).fails(400, "PGRST100"),
    // Without a preference a conflict is one.
    post("/publishers", r#"{"id":1,"name":"x"}"#).fails(409, "23505"),
    post("/publishers?on_conflict=id", r#"{"id":1,"name":"x"}"#).fails(409, "23505"),
    // Defaults where a key is missing.
    post("/counters?columns=id,name&select=name,n", r#"[{"id":500,"name":"kept"}]"#).prefer("return=representation, resolution=merge-duplicates, missing=default")
        .is(201, r#"[{"name":"kept","n":0}]"#).has("preference-applied", "resolution=merge-duplicates, missing=default, return=representation"),
    post("/counters?columns=id,name&select=name", r#"[{"id":500,"name":"changed"},{"name":"fresh"}]"#).prefer("return=representation, resolution=merge-duplicates, missing=default")
        .is(201, r#"[{"name":"changed"},{"name":"fresh"}]"#),
    post("/counters?columns=id,name&select=name", r#"[{"id":500,"name":"kept out"},{"name":"fresh"}]"#).prefer("return=representation, resolution=ignore-duplicates, missing=default")
        .is(201, r#"[{"name":"fresh"}]"#),
    // PUT makes a row, or replaces it.
    put("/publishers?id=eq.20", r#"{"id":20,"name":"Twenty"}"#).returning().is(201, r#"[{"id":20,"name":"Twenty"}]"#),
    put("/publishers?id=eq.20", r#"{"id":20,"name":"Other"}"#).returning().is(200, r#"[{"id":20,"name":"Other"}]"#),
    put("/publishers?id=eq.20", r#"[{"id":20,"name":"In a list"}]"#).returning().is(200, r#"[{"id":20,"name":"In a list"}]"#),
    put("/publishers?id=eq.21", r#"{"id":21,"name":"x"}"#).empty(204).lacks("content-type"),
    put("/publishers?id=eq.21", r#"{"id":21,"name":"y"}"#).empty(204),
    put("/publishers?id=eq.21", r#"{"id":21,"name":"z"}"#).prefer("return=minimal").empty(204).has("preference-applied", "return=minimal"),
    get("/publishers?id=eq.21").is(200, r#"[{"id":21,"name":"z"}]"#),
    put("/publishers?id=eq.22&select=name", r#"{"id":22,"name":"n"}"#).returning().is(201, r#"[{"name":"n"}]"#),
    put("/orders?region=eq.us&no=eq.5", r#"{"region":"us","no":5,"total":3}"#).returning().is(201, r#"[{"region":"us","no":5,"customer":null,"total":3.00}]"#),
    put("/orders?region=eq.us&no=eq.5", r#"{"region":"us","no":5,"customer":1,"total":4}"#).returning().is(200, r#"[{"region":"us","no":5,"customer":1,"total":4.00}]"#),
    put("/codes?code=eq.new", r#"{"code":"new"}"#).returning().is(201, r#"[{"code":"new"}]"#),
    put("/codes?code=eq.new", r#"{"code":"new"}"#).returning().is(200, r#"[{"code":"new"}]"#),
    put("/publishers?id=eq.23", r#"{"id":23,"name":"one"}"#).returning().singular().is(201, r#"{"id":23,"name":"one"}"#),
    put("/publishers?id=eq.23", r#"{"id":23,"name":"two"}"#).returning().header("range", "5-6").is(200, r#"[{"id":23,"name":"two"}]"#),
    put("/books?id=eq.1&select=id,authors(name)", r#"{"id":1,"title":"Put","author_id":3}"#).returning().is(200, r#"[{"id":1,"authors":{"name":"Haruki"}}]"#),
    put("/publishers?id=eq.1&limit=1", r#"{"id":1,"name":"x"}"#).fails(400, "PGRST114").message("\"limit/offset querystring parameters are not allowed for PUT\""),
    put("/publishers?id=eq.1&offset=1", r#"{"id":1,"name":"x"}"#).fails(400, "PGRST114"),
    put("/publishers?name=eq.x", r#"{"id":1,"name":"x"}"#).fails(405, "PGRST105").message("\"Filters must include all and only primary key columns with 'eq' operators\""),
    put("/publishers?id=eq.1&name=eq.x", r#"{"id":1,"name":"x"}"#).fails(405, "PGRST105"),
    put("/publishers?id=gt.1", r#"{"id":1,"name":"x"}"#).fails(405, "PGRST105"),
    put("/publishers?id=not.eq.1", r#"{"id":1,"name":"x"}"#).fails(405, "PGRST105"),
    put("/publishers?id=in.(1)", r#"{"id":1,"name":"x"}"#).fails(405, "PGRST105"),
    put("/publishers?and=(id.eq.1)", r#"{"id":1,"name":"x"}"#).fails(405, "PGRST105"),
    put("/publishers", r#"{"id":1,"name":"x"}"#).fails(405, "PGRST105"),
    put("/orders?region=eq.us", r#"{"region":"us","no":5}"#).fails(405, "PGRST105"),
    put("/notes?a=eq.1&b=eq.x", r#"{"a":"1","b":"x"}"#).fails(405, "PGRST105"),
    put("/publishers?id=eq.1", r#"{"id":2,"name":"x"}"#).fails(400, "PGRST115").message("\"Payload values do not match URL in primary key column(s)\""),
    put("/orders?region=eq.us&no=eq.5", r#"{"region":"eu","no":5,"total":0}"#).fails(400, "PGRST115"),
    get("/publishers?id=lte.2&order=id").is(200, r#"[{"id":1,"name":"North"},{"id":2,"name":"South"}]"#),
    put("/nowhere?id=eq.1", r#"{"id":1}"#).fails(404, "PGRST205"),
];
