//! Where Tenantry answers otherwise than `PostgREST` on purpose, and why.

use super::{Case, delete, get, head, patch, post, put};

pub(super) const CASES: &[Case] = &[
    // Every error is a problem document, so that one client can read the errors of both planes.
    get("/nowhere").fails(404, "PGRST205").has("content-type", "application/problem+json").part("/status", "404"),
    get("/books?id=eq.x").fails(400, "22P02").part("/status", "400"),
    get("/books").singular().fails(406, "PGRST116").part("/status", "406"),
    // A write without a filter changes all rows, mostly by mistake: an app must allow it.
    patch("/codes", r#"{"code":"x"}"#).fails(400, "filter_required"),
    delete("/codes").fails(400, "filter_required"),
    delete("/codes?select=code").returning().fails(400, "filter_required"),
    delete("/codes?limit=1").fails(400, "filter_required"),
    delete("/codes?order=code").fails(400, "filter_required"),
    get("/codes?order=code").is(200, r#"[{"code":"a"},{"code":"b"}]"#),
    // A cast names a built-in type: another schema's types, or `regclass`, would say what the tenant may not know.
    get("/books?select=id::regclass").status(400),
    get("/books?select=id::book_format").status(400),
    get("/books?select=id::nothing").status(400),
    // There is only the app's own schema, which clients know as `public`.
    get("/codes?code=eq.a").header("accept-profile", "public").is(200, r#"[{"code":"a"}]"#),
    get("/codes?code=eq.a").header("accept-profile", "private").fails(406, "PGRST106"),
    get("/codes?code=eq.a").header("accept-profile", "pg_catalog").fails(406, "PGRST106"),
    post("/codes", r#"{"code":"p"}"#).header("content-profile", "private").fails(406, "PGRST106"),
    patch("/codes?code=eq.a", r#"{"code":"p"}"#).header("content-profile", "pg_catalog").fails(406, "PGRST106"),
    delete("/codes?code=eq.a").header("content-profile", "pg_catalog").fails(406, "PGRST106"),
    post("/rpc/add", r#"{"a":1,"b":2}"#).header("content-profile", "pg_catalog").fails(406, "PGRST106"),
    get("/codes?code=eq.a").header("content-profile", "pg_catalog").is(200, r#"[{"code":"a"}]"#),
    head("/codes").header("accept-profile", "other").empty(406),
    get("/").header("accept-profile", "other").fails(406, "PGRST106"),
    // One row has an address of its own.
    get("/publishers/1").is(200, r#"{"id":1,"name":"North"}"#),
    get("/publishers/1?select=name").is(200, r#"{"name":"North"}"#),
    get("/publishers/9").status(404),
    patch("/publishers/1", r#"{"name":"N"}"#).returning().is(200, r#"{"id":1,"name":"N"}"#),
    put("/publishers/8", r#"{"id":8,"name":"Eight"}"#).status(204),
    get("/publishers/8").is(200, r#"{"id":8,"name":"Eight"}"#),
    delete("/publishers/8").empty(204),
    get("/publishers/8").status(404),
    // What is Tenantry's or an extension's is nobody's.
    get("/tenantry_anything").fails(404, "PGRST205"),
    get("/rpc/tenantry_anything").fails(404, "PGRST202"),
    get("/pg_class").fails(404, "PGRST205"),
    get("/pg_catalog.pg_class").fails(404, "PGRST205"),
    get("/rpc/pg_backend_pid").fails(404, "PGRST202"),
    get("/rpc/current_setting?setting_name=role").fails(404, "PGRST202"),
    // A transaction may always be undone: it is nobody's but the tenant's.
    post("/codes", r#"{"code":"r"}"#).prefer("tx=rollback").empty(201).has("preference-applied", "tx=rollback"),
    get("/codes?code=eq.r").is(200, "[]"),
    // Counts are exact: one statement cannot explain another, and a second would cost a round trip.
    get("/codes?select=code&order=code").prefer("count=planned").is(200, r#"[{"code":"a"},{"code":"b"}]"#).has("content-range", "0-1/2")
        .has("preference-applied", "count=planned"),
    get("/codes?select=code&order=code&limit=1").prefer("count=estimated").is(206, r#"[{"code":"a"}]"#).has("content-range", "0-0/2")
        .has("preference-applied", "count=estimated"),
    head("/books?id=gt.2").prefer("count=planned").empty(200).has("content-range", "0-3/4"),
    // A plan names what a tenant has no business with; PostgREST refuses it too, unless it is told otherwise.
    get("/books").accept("application/vnd.pgrst.plan").fails(406, "PGRST107"),
    get("/books").accept("application/vnd.pgrst.plan+json").fails(406, "PGRST107"),
    get("/books").accept("application/vnd.pgrst.plan; options=analyze").fails(406, "PGRST107"),
    // A view that cannot be written has no such method, as OPTIONS says; PostgREST answers 500 with PostgreSQL's 55000.
    post("/author_stats", r#"{"author_id":9}"#).fails(405, "method_not_allowed"),
    patch("/author_stats?author_id=eq.1", r#"{"books":3}"#).fails(405, "method_not_allowed"),
    delete("/book_authors?id=eq.1").fails(405, "method_not_allowed"),
    patch("/genre_counts?genre_id=eq.1", r#"{"name":"x"}"#).fails(405, "method_not_allowed"),
    // A body of a media type that nobody reads is 415, as HTTP has it, and not 400.
    post("/codes", "code: x").sent_as("application/yaml").fails(415, "PGRST102"),
    post("/codes", "x").sent_as("text/plain").fails(415, "PGRST102"),
    // What others hold is there again in a moment: 503, which clients try again, and not 500.
    get("/rpc/raise_state?state=55006").fails(503, "55006"),
    // PostgreSQL does not tell of a partitioned table which rows it inserted and which it updated.
    post("/visits?select=minutes", r#"{"day":"2024-05-01","member_id":2,"minutes":31}"#).prefer("resolution=merge-duplicates, return=representation").is(201, r#"[{"minutes":31}]"#),
    put("/visits?day=eq.2025-02-01&member_id=eq.1", r#"{"day":"2025-02-01","member_id":1,"minutes":9}"#).returning().is(200, r#"[{"day":"2025-02-01","member_id":1,"minutes":9}]"#),
];
