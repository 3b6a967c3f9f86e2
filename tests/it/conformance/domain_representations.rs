//! Domains that the app's casts write and read in a form of their own.

use super::{Case, get, patch, post};

pub(super) const CASES: &[Case] = &[
    get("/labels?select=paint&id=eq.1").is(200, "[{\"paint\":\"#FF0000\"}]"),
    get("/labels?id=eq.2").is(200, "[{\"id\":2,\"name\":\"black\",\"paint\":\"#000000\"}]"),
    get("/labels?select=colour:paint&id=eq.1").is(200, "[{\"colour\":\"#FF0000\"}]"),
    get("/labels?select=*&id=eq.3").status(200).part("/0/name", "\"none\""),
    get("/labels?select=name&paint=eq.%23FF0000").is(200, r#"[{"name":"red"}]"#),
    get("/labels?select=name&paint=in.(%23FF0000,%23000000)&order=id").is(200, r#"[{"name":"red"},{"name":"black"}]"#),
    get("/labels?select=name&paint=gt.%23000001").is(200, r#"[{"name":"red"}]"#),
    get("/labels?select=name&paint=is.null").is(200, r#"[{"name":"none"}]"#),
    get("/labels?select=name&order=paint.desc.nullslast&limit=1").is(200, r#"[{"name":"red"}]"#),
    post("/labels", "{\"id\":4,\"name\":\"blue\",\"paint\":\"#0000FF\"}").returning().is(201, "[{\"id\":4,\"name\":\"blue\",\"paint\":\"#0000FF\"}]"),
    post("/labels?select=paint", "[{\"id\":5,\"paint\":\"#00FF00\"},{\"id\":6,\"paint\":\"#010203\"}]").returning().is(201, "[{\"paint\":\"#00FF00\"},{\"paint\":\"#010203\"}]"),
    post("/labels", "{\"id\":7,\"paint\":\"#070707\"}").prefer("return=headers-only").empty(201).has("location", "/api/labels?id=eq.7"),
    patch("/labels?id=eq.4&select=paint", "{\"paint\":\"#00000A\"}").returning().is(200, "[{\"paint\":\"#00000A\"}]"),
    patch("/labels?paint=eq.%2300000A&select=id", "{\"paint\":\"#00000B\"}").returning().is(200, r#"[{"id":4}]"#),
    get("/labels?select=paint::text&id=eq.4").is(200, r#"[{"paint":"11"}]"#),
];
