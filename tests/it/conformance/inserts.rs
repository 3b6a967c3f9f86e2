//! POST to a table.

use super::{Case, get, post};

pub(super) const CASES: &[Case] = &[
    post("/publishers", r#"{"id":10,"name":"Ten"}"#).empty(201).lacks("content-type").lacks("location").lacks("preference-applied"),
    get("/publishers?id=eq.10").is(200, r#"[{"id":10,"name":"Ten"}]"#),
    post("/publishers", r#"{"id":11,"name":"Eleven"}"#).returning().is(201, r#"[{"id":11,"name":"Eleven"}]"#)
        .has("preference-applied", "return=representation").has("content-range", "*/*").lacks("location"),
    post("/publishers", r#"{"id":12,"name":"Twelve"}"#).prefer("return=minimal").empty(201).has("preference-applied", "return=minimal")
        .lacks("content-type"),
    post("/publishers", r#"{"id":13,"name":"Thirteen"}"#).prefer("return=headers-only").empty(201).has("location", "/api/publishers?id=eq.13")
        .has("preference-applied", "return=headers-only").has("content-range", "*/*"),
    post("/publishers?select=name", r#"{"id":14,"name":"Fourteen"}"#).returning().is(201, r#"[{"name":"Fourteen"}]"#),
    post("/publishers?select=n:id::text", r#"{"id":15,"name":"Fifteen"}"#).returning().is(201, r#"[{"n":"15"}]"#),
    post("/publishers?select=name", r#"{"id":16,"name":"Sixteen"}"#).empty(201),
    post("/publishers", r#"{"id":17,"name":"Seventeen"}"#).prefer("return=representation, count=exact").is(201, r#"[{"id":17,"name":"Seventeen"}]"#)
        .has("content-range", "*/1").has("preference-applied", "return=representation, count=exact"),
    post("/publishers?select=name", r#"{"id":18,"name":"Eighteen"}"#).prefer("return=headers-only").empty(201).has("location", "/api/publishers?id=eq.18"),
    // Several.
    post("/publishers", r#"[{"id":20,"name":"a"},{"id":21,"name":"b"}]"#).empty(201).lacks("location"),
    post("/publishers?order=id.desc", r#"[{"id":22,"name":"c"},{"id":23,"name":"d"}]"#).returning()
        .is(201, r#"[{"id":23,"name":"d"},{"id":22,"name":"c"}]"#),
    post("/publishers?select=id", r#"[{"id":24,"name":"e"},{"name":"f","id":25}]"#).returning().is(201, r#"[{"id":24},{"id":25}]"#),
    post("/publishers", r#"[{"id":26,"name":"g"}]"#).returning().is(201, r#"[{"id":26,"name":"g"}]"#),
    post("/publishers", "[]").empty(201),
    post("/publishers", "[]").returning().is(201, "[]"),
    post("/publishers", r#"[{"id":27,"name":"h"},{"id":28}]"#).fails(400, "PGRST102").message("\"All object keys must match\""),
    post("/publishers", r#"[{"id":27,"name":"h"},5]"#).fails(400, "PGRST102").message("\"All object keys must match\""),
    post("/publishers", r#"[{"id":27,"name":"h"},{"id":20,"name":"a"}]"#).fails(409, "23505"),
    get("/publishers?id=in.(27,28)").is(200, "[]"),
    // Defaults.
    post("/counters?select=name,n", "{}").returning().is(201, r#"[{"name":"new","n":0}]"#),
    post("/counters?select=name,n", "[{}]").returning().is(201, r#"[{"name":"new","n":0}]"#),
    post("/counters?select=name,n", "[{},{}]").returning().is(201, r#"[{"name":"new","n":0},{"name":"new","n":0}]"#),
    post("/counters?select=name,n", r#"{"name":"x"}"#).returning().is(201, r#"[{"name":"x","n":0}]"#),
    post("/counters?select=name,n", r#"{"name":null}"#).returning().is(201, r#"[{"name":null,"n":0}]"#),
    post("/counters?select=name,n&columns=name,n", r#"[{"name":"p"},{"n":4}]"#).returning().is(201, r#"[{"name":"p","n":null},{"name":null,"n":4}]"#),
    post("/counters?select=name,n&columns=name,n", r#"[{"name":"p"},{"n":4},{"name":null,"n":null}]"#)
        .prefer("return=representation, missing=default").is(201, r#"[{"name":"p","n":0},{"name":"new","n":4},{"name":null,"n":null}]"#)
        .has("preference-applied", "missing=default, return=representation"),
    post("/counters?select=name,n&columns=name,n", r#"[{"name":"p"},{"n":4}]"#).prefer("return=representation, missing=null")
        .is(201, r#"[{"name":"p","n":null},{"name":null,"n":4}]"#).has("preference-applied", "missing=null, return=representation"),
    post("/journal?select=entry,kind,weight,length", r#"{"entry":"hello"}"#).returning().is(201, r#"[{"entry":"hello","kind":"note","weight":10,"length":5}]"#),
    post("/journal?columns=entry,kind&select=entry,kind", r#"[{"entry":"a"},{"entry":"b","kind":"k"}]"#).prefer("return=representation, missing=default")
        .is(201, r#"[{"entry":"a","kind":"note"},{"entry":"b","kind":"k"}]"#),
    post("/journal", r#"{"id":5,"entry":"x"}"#).fails(400, "428C9"),
    post("/journal", r#"{"entry":"x","length":1}"#).fails(400, "428C9"),
    post("/journal", r#"{"kind":"x"}"#).fails(400, "23502"),
    // Columns.
    post("/publishers?columns=id,name", r#"{"id":30,"name":"x","more":1}"#).returning().is(201, r#"[{"id":30,"name":"x"}]"#),
    post("/publishers?columns=id,name&select=id", r#"[{"id":31,"name":"x","a":1},{"id":32,"name":"y","b":[2]}]"#).returning().is(201, r#"[{"id":31},{"id":32}]"#),
    post("/publishers?columns=id,nowhere", r#"{"id":33}"#).fails(400, "PGRST204")
        .message("\"Could not find the 'nowhere' column of 'publishers' in the schema cache\""),
    post("/publishers?columns=", r#"{"id":33,"name":"x"}"#).fails(400, "PGRST100"),
    post("/publishers", r#"{"id":33,"nowhere":1}"#).fails(400, "PGRST204"),
    post("/nowhere?columns=a", r#"{"a":1}"#).fails(404, "PGRST205"),
    post("/nowhere", r#"{"a":1}"#).fails(404, "PGRST205"),
    post("/publishers?columns=id,name", "[{\"id\":33,\"name\":\"x\"},4]").status(400),
    // Keys.
    post("/orders", r#"{"region":"as ia&","no":1}"#).prefer("return=headers-only").empty(201).has("location", "/api/orders?region=eq.as%20ia%26&no=eq.1"),
    post("/visits", r#"{"day":"2024-06-01","member_id":3,"minutes":5}"#).prefer("return=headers-only").empty(201).has("location", "/api/visits?day=eq.2024-06-01&member_id=eq.3"),
    post("/notes", r#"{"a":"n","b":null}"#).returning().is(201, r#"[{"a":"n","b":null}]"#).lacks("location"),
    post("/notes", r#"{"a":"n"}"#).prefer("return=headers-only").empty(201).lacks("location"),
    post("/Odd%20Names", r#"{"Some id":5,"camelCase":"c","with,comma":"w","dot.ted":"d","ümlaut":"u"}"#).returning()
        .is(201, r#"[{"Some id":5,"camelCase":"c","with,comma":"w","dot.ted":"d","ümlaut":"u"}]"#),
    // Constraints.
    post("/publishers", r#"{"id":1,"name":"again"}"#).fails(409, "23505")
        .message("\"duplicate key value violates unique constraint \\\"publishers_pkey\\\"\"").details("\"Key (id)=(1) already exists.\""),
    post("/books", r#"{"id":60,"title":"x","author_id":99}"#).fails(409, "23503")
        .details("\"Key (author_id)=(99) is not present in table \\\"authors\\\".\""),
    post("/publishers", r#"{"id":61}"#).fails(400, "23502").details("\"Failing row contains (61, null).\""),
    post("/reviews", r#"{"id":60,"book_id":1,"member_id":1,"stars":6,"body":"x"}"#).fails(400, "23514"),
    post("/visits", r#"{"day":"2030-01-01","member_id":1}"#).fails(400, "23514"),
    post("/books", r#"{"id":60,"title":"x","isbn":"111"}"#).fails(409, "23505"),
    // Bodies that are none.
    post("/publishers", "").fails(400, "PGRST102").message("\"Empty or invalid json\""),
    post("/publishers", "{").fails(400, "PGRST102").message("\"Empty or invalid json\""),
    post("/publishers", "}{ id = 2").fails(400, "PGRST102"),
    post("/publishers", " \t\n\r {\"id\":70,\"name\":\"blank\"}\t \n ").returning().is(201, r#"[{"id":70,"name":"blank"}]"#),
    // Forms.
    post("/publishers", "id=80&name=by+form%21").sent_as("application/x-www-form-urlencoded").empty(201),
    get("/publishers?select=name&id=eq.80").is(200, r#"[{"name":"by form!"}]"#),
    post("/books?select=id,price,published,in_print,format", "id=81&title=F&price=2.50&published=2020-01-01&in_print=false&format=ebook")
        .sent_as("application/x-www-form-urlencoded").returning()
        .is(201, r#"[{"id":81,"price":2.50,"published":"2020-01-01","in_print":false,"format":"ebook"}]"#),
    post("/publishers", "id=82&nowhere=1").sent_as("application/x-www-form-urlencoded").fails(400, "PGRST204"),
    // CSV.
    post("/publishers", "id,name\n90,First\n91,Second").sent_as("text/csv").returning().is(201, r#"[{"id":90,"name":"First"},{"id":91,"name":"Second"}]"#),
    post("/notes", "a,b\nNULL,foo\n\"x, \"\"y\"\"\",\"two\nlines\"").sent_as("text/csv").returning()
        .is(201, r#"[{"a":null,"b":"foo"},{"a":"x, \"y\"","b":"two\nlines"}]"#),
    post("/notes", "a,b\nbar,baz").sent_as("text/csv").accept("text/csv").returning().text(201, "a,b\nbar,baz")
        .has("content-type", "text/csv; charset=utf-8"),
    post("/notes", "a,b\nNULL,foo").sent_as("text/csv").accept("text/csv").returning().text(201, "a,b\n,foo"),
    post("/publishers?select=id", "id,name\n92,x\n93,y").sent_as("text/csv").accept("text/csv").returning().text(201, "id\n92\n93"),
    post("/notes", "a,b\nfoo,bar\nbaz").sent_as("text/csv").fails(400, "PGRST102").message("\"All lines must have same number of fields\""),
    post("/publishers?columns=id,name", "id,name,more\n94,x,1").sent_as("text/csv").returning().is(201, r#"[{"id":94,"name":"x"}]"#),
    post("/publishers", "id,nowhere\n95,x").sent_as("text/csv").fails(400, "PGRST204"),
    // Keys twice.
    post("/settings?select=value", r#"{"name":"twice","value":{"a":1,"a":2}}"#).returning().is(201, r#"[{"value":{"a":2}}]"#),
];
