//! `order`, of rows, of embedded rows, and by a column of a parent.

use super::{Case, get};

pub(super) const CASES: &[Case] = &[
    get("/books?select=id&order=id").is(200, r#"[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5},{"id":6}]"#),
    get("/books?select=id&order=id.asc&limit=2").is(200, r#"[{"id":1},{"id":2}]"#),
    get("/books?select=id&order=id.desc&limit=2").is(200, r#"[{"id":6},{"id":5}]"#),
    get("/books?select=id&order=pages").is(200, r#"[{"id":3},{"id":1},{"id":2},{"id":5},{"id":4},{"id":6}]"#),
    get("/books?select=id&order=pages.desc&limit=2").is(200, r#"[{"id":6},{"id":4}]"#),
    get("/books?select=id&order=pages.nullsfirst&limit=2").is(200, r#"[{"id":6},{"id":3}]"#),
    get("/books?select=id&order=pages.nullslast&limit=1").is(200, r#"[{"id":3}]"#),
    get("/books?select=id&order=pages.asc.nullsfirst&limit=2").is(200, r#"[{"id":6},{"id":3}]"#),
    get("/books?select=id&order=pages.desc.nullslast&limit=2").is(200, r#"[{"id":4},{"id":5}]"#),
    get("/books?select=id&order=pages.desc.nullsfirst&limit=2").is(200, r#"[{"id":6},{"id":4}]"#),
    get("/books?select=id&order=author_id.desc.nullslast,id.asc").is(200, r#"[{"id":5},{"id":4},{"id":3},{"id":1},{"id":2},{"id":6}]"#),
    get("/books?select=id&order=author_id,id.desc").is(200, r#"[{"id":2},{"id":1},{"id":3},{"id":4},{"id":5},{"id":6}]"#),
    get("/books?select=id&order=format,id").is(200, r#"[{"id":2},{"id":5},{"id":1},{"id":3},{"id":4},{"id":6}]"#),
    get("/books?select=id&order=published.desc.nullslast&limit=1").is(200, r#"[{"id":5}]"#),
    get("/books?select=title&order=id.desc&limit=1").is(200, r#"[{"title":"Untitled"}]"#),
    get("/books?select=n:id&order=id.desc&limit=1").is(200, r#"[{"n":6}]"#),
    get("/Odd%20Names?select=camelCase&order=\"Some id\".desc").is(200, r#"[{"camelCase":"two"},{"camelCase":"one"}]"#),
    get("/Odd%20Names?select=camelCase&order=camelCase.desc").is(200, r#"[{"camelCase":"two"},{"camelCase":"one"}]"#),
    // Embedded rows.
    get("/authors?select=id,books(id)&id=eq.1&books.order=id.desc").is(200, r#"[{"id":1,"books":[{"id":2},{"id":1}]}]"#),
    get("/authors?select=id,books(id)&id=eq.1&books.order=pages").is(200, r#"[{"id":1,"books":[{"id":1},{"id":2}]}]"#),
    get("/authors?select=id,works:books(id)&id=eq.1&works.order=id.desc").is(200, r#"[{"id":1,"works":[{"id":2},{"id":1}]}]"#),
    get("/publishers?select=id,books(id,editions(no))&id=eq.1&books.order=id&books.editions.order=no.desc&books.limit=1")
        .is(200, r#"[{"id":1,"books":[{"id":1,"editions":[{"no":2},{"no":1}]}]}]"#),
    get("/books?select=id,genres(name)&id=eq.3&genres.order=name.desc")
        .is(200, r#"[{"id":3,"genres":[{"name":"novel"},{"name":"fantasy"}]}]"#),
    // By a column of a parent.
    get("/books?select=id,authors(name)&order=authors(name)&author_id=not.is.null&limit=2")
        .is(200, r#"[{"id":5,"authors":{"name":"Chimamanda"}},{"id":4,"authors":{"name":"Haruki"}}]"#),
    get("/books?select=id,authors()&order=authors(name).desc.nullslast,id").is(200, r#"[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5},{"id":6}]"#),
    get("/books?select=id,authors()&order=authors(born),id.desc&author_id=not.is.null").is(200, r#"[{"id":3},{"id":2},{"id":1},{"id":4},{"id":5}]"#),
    get("/books?select=id,authors()&order=authors(name).nullsfirst&limit=1").is(200, r#"[{"id":6}]"#),
    get("/books?select=id,by:authors(name)&order=by(name).desc,id&by=not.is.null&limit=1")
        .is(200, r#"[{"id":1,"by":{"name":"Ursula"}}]"#),
    get("/cards?select=number,members(name)&order=members(name).desc")
        .is(200, r#"[{"number":"C-2","members":{"name":"Noah"}},{"number":"C-1","members":{"name":"Mia"}}]"#),
    get("/members?select=id,cards()&order=cards(number).desc.nullslast,id&limit=2").is(200, r#"[{"id":2},{"id":1}]"#),
    get("/publishers?select=id,books(id,authors())&id=eq.2&books.order=authors(name)")
        .is(200, r#"[{"id":2,"books":[{"id":4},{"id":3}]}]"#),
    get("/copies?select=id,editions()&order=editions(year).desc,id&limit=2").is(200, r#"[{"id":3},{"id":4}]"#),
    get("/loans?select=id,member:members!loans_member_id_fkey()&order=member(name).desc,id").is(200, r#"[{"id":3},{"id":2},{"id":1},{"id":4}]"#),
    get("/members?select=id,profile&order=profile->>city.nullslast,id&limit=1").status(200).part("/0/id", "2"),
    get("/books?select=id,writer()&order=writer(name)&author_id=not.is.null&limit=1").is(200, r#"[{"id":5}]"#),
    // What is none.
    get("/authors?select=id,books(id)&order=books(id)").fails(400, "PGRST118")
        .message("\"A related order on 'books' is not possible\"")
        .details("\"'authors' and 'books' do not form a many-to-one or one-to-one relationship\""),
    get("/authors?select=id,works:books(id)&order=works(id)").fails(400, "PGRST118")
        .details("\"'authors' and 'works' do not form a many-to-one or one-to-one relationship\""),
    get("/books?select=id,genres(id)&order=genres(id)").fails(400, "PGRST118"),
    get("/books?select=id&order=authors(name)").fails(400, "PGRST108")
        .message("\"'authors' is not an embedded resource in this request\"")
        .hint("\"Verify that 'authors' is included in the 'select' query parameter.\""),
    get("/books?order=id.up").fails(400, "PGRST100"),
    get("/books?order=id.asc.nulls").fails(400, "PGRST100"),
    get("/books?order=id.desc.asc").fails(400, "PGRST100"),
    get("/books?order=id,").fails(400, "PGRST100"),
    get("/books?order=nowhere").fails(400, "42703"),
    get("/books?order=meta.id").fails(400, "PGRST100"),
];
