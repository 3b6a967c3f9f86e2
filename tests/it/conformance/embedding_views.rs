//! Related rows from views, to views and between them: a view has the relationships of the columns that it shows.

use super::{Case, get};

pub(super) const CASES: &[Case] = &[
    // From a view.
    get("/book_list?select=id,authors(name)&id=eq.1").is(200, r#"[{"id":1,"authors":{"name":"Ursula"}}]"#),
    get("/book_list?select=id,editions(no)&id=eq.1&editions.order=no").is(200, r#"[{"id":1,"editions":[{"no":1},{"no":2}]}]"#),
    get("/book_list?select=id,reviews(stars)&id=eq.2").is(200, r#"[{"id":2,"reviews":[{"stars":5}]}]"#),
    get("/book_list?select=id,genres(name)&id=eq.2").is(200, r#"[{"id":2,"genres":[{"name":"scifi"}]}]"#),
    get("/book_list?select=id,author_id,authors(name)&id=eq.6").is(200, r#"[{"id":6,"author_id":null,"authors":null}]"#),
    get("/book_list?select=id,authors!inner(name)&authors.name=eq.Italo").is(200, r#"[{"id":3,"authors":{"name":"Italo"}}]"#),
    get("/book_list?select=id,by:authors!author_id(name)&id=eq.1").is(200, r#"[{"id":1,"by":{"name":"Ursula"}}]"#),
    get("/book_list?select=id,by:author_id(name)&id=eq.1").is(200, r#"[{"id":1,"by":{"name":"Ursula"}}]"#),
    get("/book_list?select=id,by:authors!books_author_id_fkey(name)&id=eq.1").is(200, r#"[{"id":1,"by":{"name":"Ursula"}}]"#),
    get("/book_list?select=id,authors()&authors=is.null").is(200, r#"[{"id":6}]"#),
    get("/book_list?select=id,authors(name)&order=authors(name).desc.nullslast,id.desc&limit=1").is(200, r#"[{"id":2,"authors":{"name":"Ursula"}}]"#),
    // Columns that the view calls otherwise.
    get("/classics?select=name,authors(name)&id=eq.1").is(200, r#"[{"name":"Earthsea","authors":{"name":"Ursula"}}]"#),
    get("/classics?select=name,authors!writer(name)&id=eq.3").is(200, r#"[{"name":"Invisible Cities","authors":{"name":"Italo"}}]"#),
    get("/classics?select=name,writer(name)&id=eq.3").is(200, r#"[{"name":"Invisible Cities","writer":{"name":"Italo"}}]"#),
    get("/classics?select=id,editions(year)&id=eq.2").is(200, r#"[{"id":2,"editions":[{"year":1974}]}]"#),
    // To a view.
    get("/authors?select=id,book_list(title)&id=eq.2").is(200, r#"[{"id":2,"book_list":[{"title":"Invisible Cities"}]}]"#),
    get("/authors?select=id,classics(name)&id=eq.1&classics.order=id").is(200, r#"[{"id":1,"classics":[{"name":"Earthsea"},{"name":"The Dispossessed"}]}]"#),
    get("/editions?select=no,book_list(title)&book_id=eq.3").is(200, r#"[{"no":1,"book_list":{"title":"Invisible Cities"}}]"#),
    get("/reviews?select=id,book_list(title,authors(name))&id=eq.4").is(200, r#"[{"id":4,"book_list":{"title":"Invisible Cities","authors":{"name":"Italo"}}}]"#),
    get("/reviews?select=id,classics(name)&order=id&id=gt.3").is(200, r#"[{"id":4,"classics":{"name":"Invisible Cities"}},{"id":5,"classics":null}]"#),
    get("/genres?select=id,book_list(id)&id=eq.2").is(200, r#"[{"id":2,"book_list":[{"id":2}]}]"#),
    get("/authors?select=id,book_list!inner(id)&book_list.pages=gt.500").is(200, r#"[{"id":3,"book_list":[{"id":4}]}]"#),
    get("/authors?select=id,book_list!author_id(id)&id=eq.2").is(200, r#"[{"id":2,"book_list":[{"id":3}]}]"#),
    // Between views.
    get("/book_list?select=id,edition_list(no)&id=eq.1&edition_list.order=no").is(200, r#"[{"id":1,"edition_list":[{"no":1},{"no":2}]}]"#),
    get("/edition_list?select=no,book_list(title)&book_id=eq.2").is(200, r#"[{"no":1,"book_list":{"title":"The Dispossessed"}}]"#),
    get("/classics?select=id,edition_list(year)&id=eq.3").is(200, r#"[{"id":3,"edition_list":[{"year":1972}]}]"#),
    // Composite keys.
    get("/copies?select=id,edition_list(year)&id=eq.3").is(200, r#"[{"id":3,"edition_list":{"year":1990}}]"#),
    get("/edition_list?select=no,copies(id)&book_id=eq.1&no=eq.1&copies.order=id").is(200, r#"[{"no":1,"copies":[{"id":1},{"id":2}]}]"#),
    // Of joins and groups.
    get("/book_authors?select=title,editions(no)&id=eq.3").is(200, r#"[{"title":"Invisible Cities","editions":[{"no":1}]}]"#),
    get("/author_stats?select=books,authors(name)&author_id=eq.1").is(200, r#"[{"books":2,"authors":{"name":"Ursula"}}]"#),
    get("/authors?select=name,author_stats(books,pages)&id=eq.1").status(200).part("/0/author_stats/0/pages", "546"),
    get("/genre_counts?select=name,books&genre_id=eq.3").is(200, r#"[{"name":"novel","books":3}]"#),
    get("/genre_counts?select=name,book_genres(book_id)&genre_id=eq.2").is(200, r#"[{"name":"scifi","book_genres":[{"book_id":2}]}]"#),
    get("/book_genres?select=book_id,genre_counts(name)&book_id=eq.2").is(200, r#"[{"book_id":2,"genre_counts":{"name":"scifi"}}]"#),
    // None.
    get("/book_list?select=id,publishers(name)").fails(400, "PGRST200"),
    get("/publishers?select=id,book_list(id)").fails(400, "PGRST200"),
    get("/edition_list?select=no,shelves(id)").fails(400, "PGRST200"),
];
