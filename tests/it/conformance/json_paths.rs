//! `->` and `->>` into JSON columns, in `select`, filters and `order`.

use super::{Case, get};

pub(super) const CASES: &[Case] = &[
    get("/books?select=meta->>lang&id=eq.1").is(200, r#"[{"lang":"en"}]"#),
    get("/books?select=meta->lang&id=eq.1").is(200, r#"[{"lang":"en"}]"#),
    get("/books?select=meta->rating&id=eq.1").is(200, r#"[{"rating":4.5}]"#),
    get("/books?select=meta->>rating&id=eq.1").is(200, r#"[{"rating":"4.5"}]"#),
    get("/books?select=meta->size->h&id=eq.1").is(200, r#"[{"h":20}]"#),
    get("/books?select=meta->size->>h&id=eq.1").is(200, r#"[{"h":"20"}]"#),
    get("/books?select=meta->size&id=eq.1").is(200, r#"[{"size":{"h":20,"w":12}}]"#),
    get("/books?select=meta->awards->0&id=eq.2").is(200, r#"[{"awards":"hugo"}]"#),
    get("/books?select=meta->awards->>1&id=eq.2").is(200, r#"[{"awards":"nebula"}]"#),
    get("/books?select=meta->awards->-1&id=eq.2").is(200, r#"[{"awards":"nebula"}]"#),
    get("/books?select=meta->awards->9&id=eq.2").is(200, r#"[{"awards":null}]"#),
    get("/books?select=meta->nothing&id=eq.1").is(200, r#"[{"nothing":null}]"#),
    get("/books?select=meta->>lang&id=eq.6").is(200, r#"[{"lang":null}]"#),
    get("/books?select=language:meta->>lang&id=eq.3").is(200, r#"[{"language":"it"}]"#),
    get("/books?select=height:meta->size->h,id&id=eq.3").is(200, r#"[{"height":18,"id":3}]"#),
    get("/books?select=height:meta->size->>h::int&id=eq.3").is(200, r#"[{"height":18}]"#),
    get("/books?select=meta->rating::text&id=eq.3").is(200, r#"[{"rating":"4.1"}]"#),
    get("/books?select=meta->>lang,meta->size&id=eq.3").is(200, r#"[{"lang":"it","size":{"h":18,"w":11}}]"#),
    get("/members?select=profile->>city&id=eq.1").is(200, r#"[{"city":"Rome"}]"#),
    get("/members?select=profile->age&id=eq.1").is(200, r#"[{"age":40}]"#),
    get("/members?select=profile->>city&id=eq.3").is(200, r#"[{"city":null}]"#),
    get("/samples?select=js->a->1&id=eq.1").is(200, r#"[{"a":2}]"#),
    get("/samples?select=jb->>b&id=eq.1").is(200, r#"[{"b":"1"}]"#),
    // Arrays and composite values are as JSON.
    get("/books?select=tags->0&id=eq.1").is(200, r#"[{"tags":"fantasy"}]"#),
    get("/books?select=tags->>1&id=eq.1").is(200, r#"[{"tags":"classic"}]"#),
    get("/samples?select=ints->2&id=eq.1").is(200, r#"[{"ints":3}]"#),
    // Filters.
    get("/books?select=id&meta->>lang=eq.en&order=id").is(200, r#"[{"id":1},{"id":2},{"id":5}]"#),
    get("/books?select=id&meta->>lang=neq.en&order=id").is(200, r#"[{"id":3},{"id":4}]"#),
    get("/books?select=id&meta->lang=eq.\"it\"").is(200, r#"[{"id":3}]"#),
    get("/books?select=id&meta->rating=gt.4.3&order=id").is(200, r#"[{"id":1},{"id":2}]"#),
    get("/books?select=id&meta->size->h=lt.20").is(200, r#"[{"id":3}]"#),
    get("/books?select=id&meta->size->>h=eq.24").is(200, r#"[{"id":2}]"#),
    get("/books?select=id&meta->awards->>0=eq.hugo&order=id").is(200, r#"[{"id":1},{"id":2}]"#),
    get("/books?select=id&meta->awards->>-1=eq.nebula").is(200, r#"[{"id":2}]"#),
    get("/books?select=id&meta->>lang=in.(it,ja)&order=id").is(200, r#"[{"id":3},{"id":4}]"#),
    get("/books?select=id&meta->>lang=like.e*&order=id").is(200, r#"[{"id":1},{"id":2},{"id":5}]"#),
    get("/books?select=id&meta->size=is.null&order=id").is(200, r#"[{"id":4},{"id":5},{"id":6}]"#),
    get("/books?select=id&meta->size=not.is.null&order=id").is(200, r#"[{"id":1},{"id":2},{"id":3}]"#),
    get("/books?select=id&meta->awards=cs.[\"hugo\"]&order=id").is(200, r#"[{"id":1},{"id":2}]"#),
    get("/members?select=id&profile->>city=eq.Rome&order=id").is(200, r#"[{"id":1},{"id":4}]"#),
    get("/members?select=id&profile->>age=eq.25").is(200, r#"[{"id":2}]"#),
    get("/books?select=id&tags->>0=eq.classic").is(200, r#"[{"id":3}]"#),
    // Order.
    get("/books?select=id&meta=not.is.null&order=meta->rating.desc").is(200, r#"[{"id":2},{"id":1},{"id":5},{"id":3},{"id":4}]"#),
    get("/books?select=id&meta=not.is.null&order=meta->>lang.desc,id").is(200, r#"[{"id":4},{"id":3},{"id":1},{"id":2},{"id":5}]"#),
    get("/books?select=id&order=meta->size->h.desc.nullslast,id&limit=4").is(200, r#"[{"id":2},{"id":1},{"id":3},{"id":4}]"#),
    get("/books?select=id&order=meta->size->h.asc.nullsfirst,id&limit=4").is(200, r#"[{"id":4},{"id":5},{"id":6},{"id":3}]"#),
    get("/books?select=id&meta=not.is.null&order=meta->awards->>0.nullslast,id").is(200, r#"[{"id":1},{"id":2},{"id":5},{"id":3},{"id":4}]"#),
    // In an embedded table.
    get("/authors?select=id,books(meta->>lang)&id=eq.2").is(200, r#"[{"id":2,"books":[{"lang":"it"}]}]"#),
    get("/authors?select=id,books(id)&books.meta->>lang=eq.en&id=in.(1,2)&order=id")
        .is(200, r#"[{"id":1,"books":[{"id":1},{"id":2}]},{"id":2,"books":[]}]"#),
    // What is none.
    get("/books?select=meta->>").fails(400, "PGRST100"),
    get("/books?select=meta->&id=eq.1").fails(400, "PGRST100"),
    get("/books?select=pages->>x&id=eq.1").is(200, r#"[{"x":null}]"#),
];
