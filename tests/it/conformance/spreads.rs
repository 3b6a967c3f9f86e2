//! `...related(column)`: columns of related rows among those of their parent.

use super::{Case, get, patch, post};

pub(super) const CASES: &[Case] = &[
    // To one.
    get("/books?select=id,...authors(name)&id=eq.1").is(200, r#"[{"id":1,"name":"Ursula"}]"#),
    get("/books?select=id,...authors(author:name,born)&id=eq.1").is(200, r#"[{"id":1,"author":"Ursula","born":1929}]"#),
    get("/books?select=id,...authors(author:name)&id=eq.6").is(200, r#"[{"id":6,"author":null}]"#),
    get("/books?select=title,...authors(*)&id=eq.3").is(200, r#"[{"title":"Invisible Cities","id":2,"name":"Italo","country":"IT","born":1923,"alive":false}]"#),
    get("/books?select=id,...authors(author:name),...publishers(publisher:name)&id=eq.1").is(200, r#"[{"id":1,"author":"Ursula","publisher":"North"}]"#),
    get("/reviews?select=stars,...books(title,...authors(author:name))&id=eq.1").is(200, r#"[{"stars":5,"title":"Earthsea","author":"Ursula"}]"#),
    get("/reviews?select=stars,books(title,...authors(author:name))&id=eq.1").is(200, r#"[{"stars":5,"books":{"title":"Earthsea","author":"Ursula"}}]"#),
    get("/reviews?select=stars,...books(title,authors(name))&id=eq.1").is(200, r#"[{"stars":5,"title":"Earthsea","authors":{"name":"Ursula"}}]"#),
    get("/copies?select=id,...editions(year)&id=eq.3").is(200, r#"[{"id":3,"year":1990}]"#),
    get("/members?select=name,...cards(number)&order=id&limit=3").is(200, r#"[{"name":"Mia","number":"C-1"},{"name":"Noah","number":"C-2"},{"name":"Oli","number":null}]"#),
    get("/loans?select=id,...members!lent_by(lender:name)&id=eq.3").is(200, r#"[{"id":3,"lender":"Noah"}]"#),
    get("/loans?select=id,...lent_by(lender:name)&id=eq.3").is(200, r#"[{"id":3,"lender":"Noah"}]"#),
    get("/books?select=id,...authors!inner(name)&authors.name=eq.Italo").is(200, r#"[{"id":3,"name":"Italo"}]"#),
    get("/books?select=id,...authors(name)&authors.name=eq.Italo&id=in.(1,3)&order=id").is(200, r#"[{"id":1,"name":null},{"id":3,"name":"Italo"}]"#),
    get("/books?select=id,...authors(name)&order=authors(name),id&author_id=not.is.null&limit=1").is(200, r#"[{"id":5,"name":"Chimamanda"}]"#),
    get("/books?select=id,...authors(born::text)&id=eq.1").is(200, r#"[{"id":1,"born":"1929"}]"#),
    get("/books?select=id,...authors(initial)&id=eq.1").is(200, r#"[{"id":1,"initial":"U"}]"#),
    get("/book_list?select=id,...authors(name)&id=eq.1").is(200, r#"[{"id":1,"name":"Ursula"}]"#),
    // A junction's columns among those of the far table.
    get("/members?select=id,favourites(rank,...books(title))&id=eq.1&favourites.order=rank").is(200, r#"[{"id":1,"favourites":[{"rank":1,"title":"Earthsea"},{"rank":2,"title":"The Dispossessed"}]}]"#),
    get("/members?select=id,liked:favourites(...books(title))&id=eq.3").is(200, r#"[{"id":3,"liked":[{"title":"Americanah"}]}]"#),
    // To many: an array for each column.
    get("/authors?select=name,...books(title)&id=in.(1,2,5)&order=id&books.order=id")
        .is(200, r#"[{"name":"Ursula","title":["Earthsea","The Dispossessed"]},{"name":"Italo","title":["Invisible Cities"]},{"name":"Anon","title":[]}]"#),
    get("/authors?select=id,...books(books:id,pages)&id=eq.1&books.order=id").is(200, r#"[{"id":1,"books":[1,2],"pages":[205,341]}]"#),
    get("/authors?select=id,...books(works:id)&id=eq.1&books.order=id.desc").is(200, r#"[{"id":1,"works":[2,1]}]"#),
    get("/authors?select=id,...books(title)&id=eq.1&books.order=pages.desc").is(200, r#"[{"id":1,"title":["The Dispossessed","Earthsea"]}]"#),
    get("/authors?select=id,...books(title)&id=eq.1&books.order=id&books.limit=1").is(200, r#"[{"id":1,"title":["Earthsea"]}]"#),
    get("/authors?select=id,...books(works:id)&books.pages=gt.300&id=lt.3&order=id").is(200, r#"[{"id":1,"works":[2]},{"id":2,"works":[]}]"#),
    get("/authors?select=id,...books!inner(works:id)&books.pages=gt.400&order=id").is(200, r#"[{"id":3,"works":[4]},{"id":4,"works":[5]}]"#),
    get("/authors?select=id,...books(works:id)&books=is.null").is(200, r#"[{"id":5,"works":[]}]"#),
    get("/authors?select=id,...books(works:id)&books=not.is.null&id=lt.3&order=id&books.order=id").is(200, r#"[{"id":1,"works":[1,2]},{"id":2,"works":[3]}]"#),
    get("/books?select=id,...editions(note)&id=eq.1&editions.order=no").is(200, r#"[{"id":1,"note":["first",null]}]"#),
    get("/books?select=id,...editions(note)&id=eq.3").is(200, r#"[{"id":3,"note":[null]}]"#),
    get("/publishers?select=name,...books(books:title,...authors(authors:name))&id=eq.2&books.order=id")
        .is(200, r#"[{"name":"South","books":["Invisible Cities","Kafka on the Shore"],"authors":["Italo","Haruki"]}]"#),
    get("/publishers?select=name,...books(titles:title,authors(name))&id=eq.2&books.order=id")
        .is(200, r#"[{"name":"South","titles":["Invisible Cities","Kafka on the Shore"],"authors":[{"name":"Italo"},{"name":"Haruki"}]}]"#),
    get("/publishers?select=id,...books(books:id,...editions(nos:no))&id=eq.1&books.order=id&books.editions.order=no")
        .is(200, r#"[{"id":1,"books":[1,2,5],"nos":[[1,2],[1],[]]}]"#),
    get("/publishers?select=id,...books(books:id,editions(no))&id=eq.1&books.order=id&books.editions.order=no")
        .is(200, r#"[{"id":1,"books":[1,2,5],"editions":[[{"no":1},{"no":2}],[{"no":1}],[]]}]"#),
    get("/publishers?select=id,...books(books:id)&id=eq.3").is(200, r#"[{"id":3,"books":[]}]"#),
    get("/authors?select=books:id,...books(*)&id=eq.2").part("/0/title", r#"["Invisible Cities"]"#).part("/0/pages", "[165]").part("/0/books", "2").status(200),
    get("/publishers?select=id,...books(titles:title)&id=eq.1&books.order=authors(name)").fails(400, "PGRST108"),
    get("/publishers?select=id,...books(books:id,...authors(by:name))&id=eq.1&books.order=authors(name),id").is(200, r#"[{"id":1,"books":[5,1,2],"by":["Chimamanda","Ursula","Ursula"]}]"#),
    // Many to many.
    get("/books?select=id,...genres(genres:name)&id=in.(3,6)&order=id&genres.order=name").is(200, r#"[{"id":3,"genres":["fantasy","novel"]},{"id":6,"genres":[]}]"#),
    get("/genres?select=name,...books(ids:id)&order=id&books.order=id").is(200, r#"[{"name":"fantasy","ids":[1,3]},{"name":"scifi","ids":[2]},{"name":"novel","ids":[3,4,5]},{"name":"poetry","ids":[]}]"#),
    get("/genres?select=name,...books(ids:id,...authors(by:name))&id=eq.3&books.order=id").is(200, r#"[{"name":"novel","ids":[3,4,5],"by":["Italo","Haruki","Chimamanda"]}]"#),
    get("/authors?select=id,books(id,...genres(genres:name))&id=eq.2&books.genres.order=id").is(200, r#"[{"id":2,"books":[{"id":3,"genres":["fantasy","novel"]}]}]"#),
    // In what a write returns.
    post("/books?select=id,...authors(name)", r#"{"id":50,"title":"S","author_id":3}"#).returning().is(201, r#"[{"id":50,"name":"Haruki"}]"#),
    patch("/authors?id=eq.3&select=id,...books(ids:id)&books.order=id", r#"{"born":1949}"#).returning().is(200, r#"[{"id":3,"ids":[4,50]}]"#),
    get("/books?select=id,...nowhere(name)").fails(400, "PGRST200"),
    get("/loans?select=id,...members(name)").fails(300, "PGRST201"),
    get("/books?select=id,...authors").fails(400, "PGRST100"),
];
