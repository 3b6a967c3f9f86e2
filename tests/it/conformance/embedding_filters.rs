//! Conditions on related rows, joins that filter, and related rows as a condition.

use super::{Case, get, head};

pub(super) const CASES: &[Case] = &[
    // Of the related rows only.
    get("/authors?select=id,books(id)&books.id=eq.1&id=lt.3&order=id").is(200, r#"[{"id":1,"books":[{"id":1}]},{"id":2,"books":[]}]"#),
    get("/authors?select=id,works:books(id)&works.id=eq.2&id=eq.1").is(200, r#"[{"id":1,"works":[{"id":2}]}]"#),
    get("/books?select=id,authors(name)&authors.name=eq.Italo&id=in.(1,3)&order=id").is(200, r#"[{"id":1,"authors":null},{"id":3,"authors":{"name":"Italo"}}]"#),
    get("/publishers?select=id,books(id,editions(no))&books.editions.no=eq.2&books.id=lt.3&id=eq.1&books.order=id")
        .is(200, r#"[{"id":1,"books":[{"id":1,"editions":[{"no":2}]},{"id":2,"editions":[]}]}]"#),
    get("/books?select=id,genres(name)&genres.name=eq.novel&id=in.(1,3)&order=id").is(200, r#"[{"id":1,"genres":[]},{"id":3,"genres":[{"name":"novel"}]}]"#),
    get("/authors?select=id,books(id)&books.tags=cs.{classic}&books.pages=gt.300&id=eq.1").is(200, r#"[{"id":1,"books":[{"id":2}]}]"#),
    get("/members?select=id,sponsor:sponsor_id(name)&sponsor.name=eq.Noah&id=gt.2&order=id").is(200, r#"[{"id":3,"sponsor":null},{"id":4,"sponsor":{"name":"Noah"}}]"#),
    get("/loans?select=id,to:members!member_id(name),by:members!lent_by(name)&to.name=eq.Noah&by.name=eq.Mia&order=id&id=lt.4")
        .is(200, r#"[{"id":1,"to":{"name":"Noah"},"by":{"name":"Mia"}},{"id":2,"to":null,"by":{"name":"Mia"}},{"id":3,"to":null,"by":null}]"#),
    // Inner joins.
    get("/books?select=id,authors!inner(id)&order=id").is(200, r#"[{"id":1,"authors":{"id":1}},{"id":2,"authors":{"id":1}},{"id":3,"authors":{"id":2}},{"id":4,"authors":{"id":3}},{"id":5,"authors":{"id":4}}]"#),
    get("/books?select=id,authors!left(id)&id=gte.5&order=id").is(200, r#"[{"id":5,"authors":{"id":4}},{"id":6,"authors":null}]"#),
    get("/books?select=id,authors!inner(name)&authors.name=eq.Ursula&order=id").is(200, r#"[{"id":1,"authors":{"name":"Ursula"}},{"id":2,"authors":{"name":"Ursula"}}]"#),
    get("/books?select=id,authors!inner(name)&authors.name=eq.Nobody").is(200, "[]"),
    get("/books?select=id,authors!inner()&authors.country=eq.JP").is(200, r#"[{"id":4}]"#),
    get("/authors?select=id,books!inner(id)&order=id&books.order=id").is(200, r#"[{"id":1,"books":[{"id":1},{"id":2}]},{"id":2,"books":[{"id":3}]},{"id":3,"books":[{"id":4}]},{"id":4,"books":[{"id":5}]}]"#),
    get("/authors?select=id,books!inner(id)&books.pages=lt.200").is(200, r#"[{"id":2,"books":[{"id":3}]}]"#),
    get("/authors?select=id,books!inner()&books.pages=lt.300&order=id").is(200, r#"[{"id":1},{"id":2}]"#),
    get("/genres?select=name,books!inner(id)&books.id=eq.3&order=name").is(200, r#"[{"name":"fantasy","books":[{"id":3}]},{"name":"novel","books":[{"id":3}]}]"#),
    get("/publishers?select=id,books!inner(id,authors!inner(id))&books.authors.country=eq.IT").is(200, r#"[{"id":2,"books":[{"id":3,"authors":{"id":2}}]}]"#),
    get("/publishers?select=id,books(id,authors!inner(id))&books.authors.country=eq.IT&order=id")
        .is(200, r#"[{"id":1,"books":[]},{"id":2,"books":[{"id":3,"authors":{"id":2}}]},{"id":3,"books":[]}]"#),
    get("/reviews?select=id,books!inner(authors!inner(name))&books.authors.name=eq.Ursula&order=id")
        .is(200, r#"[{"id":1,"books":{"authors":{"name":"Ursula"}}},{"id":2,"books":{"authors":{"name":"Ursula"}}},{"id":3,"books":{"authors":{"name":"Ursula"}}}]"#),
    get("/members?select=id,cards!inner(number)&order=id").is(200, r#"[{"id":1,"cards":{"number":"C-1"}},{"id":2,"cards":{"number":"C-2"}}]"#),
    get("/loans?select=id,members!lent_by!inner(name)&members.name=eq.Noah").is(200, r#"[{"id":3,"members":{"name":"Noah"}}]"#),
    get("/loans?select=id,members!inner!lent_by(name)&members.name=eq.Noah").is(200, r#"[{"id":3,"members":{"name":"Noah"}}]"#),
    get("/loans?select=id,lender:lent_by!inner(name)&lender.name=eq.Noah").is(200, r#"[{"id":3,"lender":{"name":"Noah"}}]"#),
    head("/books?select=id,authors!inner(id)&authors.id=eq.1").prefer("count=exact").empty(200).has("content-range", "0-1/2"),
    // Whether there are any.
    get("/books?select=id,authors()&authors=is.null").is(200, r#"[{"id":6}]"#),
    get("/books?select=id,authors()&authors=not.is.null&order=id&limit=2").is(200, r#"[{"id":1},{"id":2}]"#),
    get("/books?select=id,authors(name)&authors=is.null").is(200, r#"[{"id":6,"authors":null}]"#),
    get("/authors?select=id,books()&books=is.null").is(200, r#"[{"id":5}]"#),
    get("/authors?select=id,books()&books=not.is.null&order=id").is(200, r#"[{"id":1},{"id":2},{"id":3},{"id":4}]"#),
    get("/authors?select=id,works:books()&works=is.null").is(200, r#"[{"id":5}]"#),
    get("/authors?select=id,books()&books.pages=gt.400&books=not.is.null&order=id").is(200, r#"[{"id":3},{"id":4}]"#),
    get("/authors?select=id,books()&books.pages=gt.400&books=is.null&order=id").is(200, r#"[{"id":1},{"id":2},{"id":5}]"#),
    get("/books?select=id,genres()&genres=is.null").is(200, r#"[{"id":6}]"#),
    get("/genres?select=name,books()&books=is.null").is(200, r#"[{"name":"poetry"}]"#),
    get("/members?select=id,cards()&cards=is.null&order=id").is(200, r#"[{"id":3},{"id":4}]"#),
    get("/publishers?select=id,books(id,reviews())&books.reviews=not.is.null&books=not.is.null&order=id&books.order=id")
        .is(200, r#"[{"id":1,"books":[{"id":1},{"id":2}]},{"id":2,"books":[{"id":3},{"id":4}]}]"#),
    get("/books?select=id,editions(),reviews()&or=(editions.not.is.null,reviews.not.is.null)&order=id").is(200, r#"[{"id":1},{"id":2},{"id":3},{"id":4}]"#),
    get("/books?select=id,editions(),reviews()&and=(editions.is.null,reviews.not.is.null)").is(200, r#"[{"id":4}]"#),
    get("/authors?select=id,books()&books=not.is.null&order=id").prefer("count=exact")
        .is(200, r#"[{"id":1},{"id":2},{"id":3},{"id":4}]"#).has("content-range", "0-3/4"),
    get("/authors?select=id,books()&books=not.is.null&order=id&limit=1").prefer("count=exact").is(206, r#"[{"id":1}]"#).has("content-range", "0-0/4"),
    // What is none.
    get("/authors?select=id,books(id)&books=eq.1").fails(400, "PGRST120")
        .message("\"Bad operator on the 'books' embedded resource\"")
        .details("\"Only is null or not is null filters are allowed on embedded resources\""),
    get("/authors?select=id,books(id)&books=is.true").fails(400, "PGRST120"),
    get("/authors?select=id,books(id)&or=(books.eq.1,id.eq.1)").fails(400, "PGRST120"),
    get("/authors?select=id&books.id=eq.1").fails(400, "PGRST108")
        .message("\"'books' is not an embedded resource in this request\"")
        .hint("\"Verify that 'books' is included in the 'select' query parameter.\""),
    get("/authors?select=id,books(id)&books.editions.no=eq.1").fails(400, "PGRST108")
        .hint("\"Verify that 'editions' is included in the 'select' query parameter.\""),
    get("/authors?select=id,books(id)&bookz.id=eq.1").fails(400, "PGRST108"),
    get("/authors?select=id,books(id)&bookz.order=id").fails(400, "PGRST108"),
    get("/authors?select=id,books(id)&bookz.limit=1").fails(400, "PGRST108"),
    get("/authors?select=id,books(id)&bookz.or=(id.eq.1)").fails(400, "PGRST108"),
    get("/authors?select=id,books(id)&books.nowhere=eq.1").fails(400, "42703"),
    get("/authors?select=id,books(nowhere)").fails(400, "42703"),
];
