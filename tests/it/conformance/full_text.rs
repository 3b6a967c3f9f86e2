//! Full text search, on `tsvector`, text and JSON.

use super::{Case, get};

pub(super) const CASES: &[Case] = &[
    get("/reviews?select=id&words=fts.sea&order=id").is(200, r#"[{"id":1},{"id":2}]"#),
    get("/reviews?select=id&words=fts.wizard%26sea").is(200, r#"[{"id":1}]"#),
    get("/reviews?select=id&words=fts.wizard|calm&order=id").is(200, r#"[{"id":1},{"id":2}]"#),
    get("/reviews?select=id&words=fts.!sea&order=id").is(200, r#"[{"id":3},{"id":4},{"id":5}]"#),
    get("/reviews?select=id&words=not.fts.sea&order=id").is(200, r#"[{"id":3},{"id":4},{"id":5}]"#),
    get("/reviews?select=id&words=fts.wond:*").is(200, r#"[{"id":1}]"#),
    get("/reviews?select=id&words=fts(english).wonders").is(200, r#"[{"id":1}]"#),
    get("/reviews?select=id&words=fts(simple).wonderful").is(200, "[]"),
    get("/reviews?select=id&words=plfts.calm%20sea").is(200, r#"[{"id":2}]"#),
    get("/reviews?select=id&words=plfts(english).The%20calming%20seas").is(200, r#"[{"id":2}]"#),
    get("/reviews?select=id&words=phfts.wonderful%20wizard").is(200, r#"[{"id":1}]"#),
    get("/reviews?select=id&words=phfts.wizard%20wonderful").is(200, "[]"),
    get("/reviews?select=id&words=phfts(english).two%20worlds").is(200, r#"[{"id":3}]"#),
    get("/reviews?select=id&words=wfts.sea%20-wizard").is(200, r#"[{"id":2}]"#),
    get("/reviews?select=id&words=wfts.cats%20or%20cities&order=id").is(200, r#"[{"id":4},{"id":5}]"#),
    get("/reviews?select=id&words=wfts.\"one%20wall\"").is(200, r#"[{"id":3}]"#),
    get("/reviews?select=id&words=not.wfts(english).sea%20or%20cats&order=id").is(200, r#"[{"id":3},{"id":4}]"#),
    // A column of text is made a vector, with the same configuration.
    get("/reviews?select=id&body=fts(english).city").is(200, r#"[{"id":4}]"#),
    get("/reviews?select=id&body=plfts(english).talking%20cats").is(200, r#"[{"id":5}]"#),
    get("/reviews?select=id&body=fts(simple).cats").is(200, r#"[{"id":5}]"#),
    get("/reviews?select=id&body=fts(simple).cat").is(200, "[]"),
    get("/reviews?select=id&body=wfts(english).sea&order=id").is(200, r#"[{"id":1},{"id":2}]"#),
    get("/reviews?select=id&body=not.fts(english).sea&order=id").is(200, r#"[{"id":3},{"id":4},{"id":5}]"#),
    get("/members?select=id&profile=fts(simple).rome&order=id").is(200, r#"[{"id":1},{"id":4}]"#),
    get("/books?select=id&meta=fts(simple).nebula").is(200, r#"[{"id":2}]"#),
    get("/books?select=id&meta->>lang=fts(simple).ja").is(200, r#"[{"id":4}]"#),
    get("/books?select=id,reviews(id)&reviews.words=fts.sea&id=lt.3&order=id&reviews.order=id")
        .is(200, r#"[{"id":1,"reviews":[{"id":1},{"id":2}]},{"id":2,"reviews":[]}]"#),
    get("/reviews?select=id&words=fts.two%20words").fails(400, "42601"),
    get("/reviews?select=id&words=fts(klingon).sea").fails(400, "42704"),
    get("/reviews?select=id&words=fts(english.sea").fails(400, "PGRST100"),
];
