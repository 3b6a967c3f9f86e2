//! `and`, `or` and `not`, at any depth.

use super::{Case, delete, get, patch};

pub(super) const CASES: &[Case] = &[
    get("/books?select=id&or=(id.eq.1,id.eq.4)&order=id").is(200, r#"[{"id":1},{"id":4}]"#),
    get("/books?select=id&and=(id.gt.1,id.lt.4)&order=id").is(200, r#"[{"id":2},{"id":3}]"#),
    get("/books?select=id&or=(id.eq.1,and(id.gt.3,id.lt.6))&order=id").is(200, r#"[{"id":1},{"id":4},{"id":5}]"#),
    get("/books?select=id&and=(or(id.eq.1,id.eq.2),author_id.eq.1,pages.gt.300)").is(200, r#"[{"id":2}]"#),
    get("/books?select=id&or=(id.eq.1,id.eq.2)&or=(pages.eq.205,pages.eq.1)").is(200, r#"[{"id":1}]"#),
    get("/books?select=id&or=(id.eq.1,id.eq.2)&pages=gt.300").is(200, r#"[{"id":2}]"#),
    get("/books?select=id&not.or=(id.lt.4,id.eq.6)&order=id").is(200, r#"[{"id":4},{"id":5}]"#),
    get("/books?select=id&not.and=(id.gt.1,id.lt.6)&order=id").is(200, r#"[{"id":1},{"id":6}]"#),
    get("/books?select=id&and=(id.lt.5,not.or(id.eq.1,id.eq.2))&order=id").is(200, r#"[{"id":3},{"id":4}]"#),
    get("/books?select=id&or=(not.and(id.gt.1,id.lt.6),id.eq.3)&order=id").is(200, r#"[{"id":1},{"id":3},{"id":6}]"#),
    get("/books?select=id&or=(id.not.in.(1,2,3,4,5),id.eq.1)&order=id").is(200, r#"[{"id":1},{"id":6}]"#),
    get("/books?select=id&or=(author_id.is.null,author_id.eq.4)&order=id").is(200, r#"[{"id":5},{"id":6}]"#),
    get("/books?select=id&or=(author_id.not.is.null,id.eq.6)&order=id&limit=2").is(200, r#"[{"id":1},{"id":2}]"#),
    get("/books?select=id&or=(in_print.is.false,in_print.is.unknown)&order=id").is(200, r#"[{"id":4},{"id":6}]"#),
    // One condition, two, three; blanks between them.
    get("/books?select=id&or=(id.eq.2)").is(200, r#"[{"id":2}]"#),
    get("/books?select=id&and=(id.eq.2)").is(200, r#"[{"id":2}]"#),
    get("/books?select=id&or=(%20id.eq.1,%20id.eq.2%20,%20id.eq.3)&order=id").is(200, r#"[{"id":1},{"id":2},{"id":3}]"#),
    get("/books?select=id&and=(%20id.gt.1,%20or(%20id.eq.2,%20id.eq.9%20)%20)").is(200, r#"[{"id":2}]"#),
    // Each kind of operator within.
    get("/books?select=id&or=(title.like.Ear*,title.ilike.KAF*)&order=id").is(200, r#"[{"id":1},{"id":4}]"#),
    get("/books?select=id&or=(title.match.^U,title.imatch.^i)&order=id").is(200, r#"[{"id":3},{"id":6}]"#),
    get("/books?select=id&or=(id.in.(1,2),id.in.(5))&order=id").is(200, r#"[{"id":1},{"id":2},{"id":5}]"#),
    get("/books?select=id&or=(title.in.(\"Invisible Cities\",Earthsea),id.eq.5)&order=id")
        .is(200, r#"[{"id":1},{"id":3},{"id":5}]"#),
    get("/books?select=id&or=(tags.cs.{scifi,classic},tags.eq.{})&order=id").is(200, r#"[{"id":2},{"id":4}]"#),
    get("/books?select=id&or=(tags.ov.{novel,scifi},id.eq.1)&order=id").is(200, r#"[{"id":1},{"id":2},{"id":5}]"#),
    get("/books?select=id&and=(tags.cd.{classic,fantasy},id.lt.3)").is(200, r#"[{"id":1}]"#),
    get("/loans?select=id&or=(during.ov.\"[2024-06-02,2024-06-03]\",id.eq.1)&order=id").is(200, r#"[{"id":1},{"id":3}]"#),
    get("/books?select=id&or=(id.eq(any).{1,2},title.like(any).{Kaf*,Ame*})&order=id")
        .is(200, r#"[{"id":1},{"id":2},{"id":4},{"id":5}]"#),
    get("/books?select=id&or=(meta->>lang.eq.ja,meta->size->>h.eq.18)&order=id").is(200, r#"[{"id":3},{"id":4}]"#),
    get("/books?select=id&or=(author_id.isdistinct.1,pages.eq.205)&order=id&limit=2").is(200, r#"[{"id":1},{"id":3}]"#),
    get("/reviews?select=id&or=(words.fts.sea,words.plfts.cat)&order=id").is(200, r#"[{"id":1},{"id":2},{"id":5}]"#),
    get("/reviews?select=id&or=(words.fts(english).seas,id.eq.4)&order=id").is(200, r#"[{"id":1},{"id":2},{"id":4}]"#),
    // Values with what would end them, in quotes.
    get("/Odd%20Names?select=camelCase&or=(\"with,comma\".eq.\"a,b\",camelCase.eq.two)&order=camelCase")
        .is(200, r#"[{"camelCase":"one"},{"camelCase":"two"}]"#),
    get("/Odd%20Names?select=camelCase&and=(\"dot.ted\".eq.c.d,\"Some id\".eq.1)").is(200, r#"[{"camelCase":"one"}]"#),
    get("/notes?select=a&or=(a.eq.\"1\",a.eq.\"2)\")").is(200, r#"[{"a":"1"}]"#),
    get("/notes?select=a&or=(a.eq.\"\\\"\",a.eq.2)").is(200, r#"[{"a":"2"}]"#),
    // On an embedded table.
    get("/authors?select=id,books(id)&books.or=(id.eq.1,id.eq.3)&id=lt.4&order=id")
        .is(200, r#"[{"id":1,"books":[{"id":1}]},{"id":2,"books":[{"id":3}]},{"id":3,"books":[]}]"#),
    get("/authors?select=id,books(id)&books.and=(id.gt.1,pages.lt.400)&id=eq.1").is(200, r#"[{"id":1,"books":[{"id":2}]}]"#),
    get("/authors?select=id,books(id)&books.not.or=(id.eq.1,id.eq.3)&id=eq.1").is(200, r#"[{"id":1,"books":[{"id":2}]}]"#),
    get("/authors?select=id,books!inner(id)&books.or=(id.eq.3,id.eq.4)&order=id")
        .is(200, r#"[{"id":2,"books":[{"id":3}]},{"id":3,"books":[{"id":4}]}]"#),
    // An embedded table as a condition of its parent's.
    get("/authors?select=id,books()&or=(books.not.is.null,id.eq.5)&order=id")
        .is(200, r#"[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5}]"#),
    get("/publishers?select=id,books()&or=(id.eq.1,books.is.null)&order=id").is(200, r#"[{"id":1},{"id":3}]"#),
    get("/publishers?select=id,books()&not.and=(id.gt.1,books.is.null)&order=id").is(200, r#"[{"id":1},{"id":2}]"#),
    // What is none.
    get("/books?or=()").fails(400, "PGRST100"),
    get("/books?or=(id.eq.1").fails(400, "PGRST100"),
    get("/books?or=id.eq.1,id.eq.2").fails(400, "PGRST100"),
    get("/books?or=(id.eq.1,)").fails(400, "PGRST100"),
    get("/books?or=(id.eq.1,xor(id.eq.2,id.eq.3))").fails(400, "PGRST100"),
    get("/books?or=(id.same.1)").fails(400, "PGRST100"),
    get("/books?or=(nowhere.eq.1)").fails(400, "42703"),
    // Writes.
    patch("/notes?or=(a.eq.1,a.eq.9)&select=a", r#"{"b":"changed"}"#).returning().is(200, r#"[{"a":"1"}]"#),
    get("/notes?select=a,b&order=a").is(200, r#"[{"a":"1","b":"changed"},{"a":"2","b":"x"}]"#),
    patch("/notes?not.or=(a.eq.1,a.eq.9)&select=a", r#"{"b":"y"}"#).returning().is(200, r#"[{"a":"2"}]"#),
    delete("/notes?and=(a.eq.2,b.eq.y)&select=b").returning().is(200, r#"[{"b":"y"}]"#),
    get("/notes?select=a").is(200, r#"[{"a":"1"}]"#),
];
