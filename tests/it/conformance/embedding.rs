//! Related rows within rows: to one, to many, many to many, one to one, by hint and recursively.

use super::{Case, delete, get, patch, post};

pub(super) const CASES: &[Case] = &[
    // To one.
    get("/books?select=id,authors(name)&id=eq.1").is(200, r#"[{"id":1,"authors":{"name":"Ursula"}}]"#),
    get("/books?select=id,authors(*)&id=eq.3").is(200, r#"[{"id":3,"authors":{"id":2,"name":"Italo","country":"IT","born":1923,"alive":false}}]"#),
    get("/books?select=id,authors(name)&id=eq.6").is(200, r#"[{"id":6,"authors":null}]"#),
    get("/books?select=id,by:authors(name)&id=eq.1").is(200, r#"[{"id":1,"by":{"name":"Ursula"}}]"#),
    get("/books?select=id,authors(who:name)&id=eq.1").is(200, r#"[{"id":1,"authors":{"who":"Ursula"}}]"#),
    get("/books?select=id,authors(born::text)&id=eq.1").is(200, r#"[{"id":1,"authors":{"born":"1929"}}]"#),
    get("/books?select=id,authors(name),publishers(name)&id=eq.1").is(200, r#"[{"id":1,"authors":{"name":"Ursula"},"publishers":{"name":"North"}}]"#),
    get("/books?select=authors(name)&id=eq.1").is(200, r#"[{"authors":{"name":"Ursula"}}]"#),
    // To many.
    get("/authors?select=name,books(id)&id=eq.1&books.order=id").is(200, r#"[{"name":"Ursula","books":[{"id":1},{"id":2}]}]"#),
    get("/authors?select=name,books(id)&id=eq.5").is(200, r#"[{"name":"Anon","books":[]}]"#),
    get("/authors?select=name,works:books(id)&id=eq.2").is(200, r#"[{"name":"Italo","works":[{"id":3}]}]"#),
    get("/authors?select=id,a:books(id),b:books(title)&id=eq.2").is(200, r#"[{"id":2,"a":[{"id":3}],"b":[{"title":"Invisible Cities"}]}]"#),
    // Several levels.
    get("/publishers?select=name,books(id,authors(name))&id=eq.2&books.order=id")
        .is(200, r#"[{"name":"South","books":[{"id":3,"authors":{"name":"Italo"}},{"id":4,"authors":{"name":"Haruki"}}]}]"#),
    get("/authors?select=id,books(id,publishers(id,books(id)))&id=eq.3&books.publishers.books.order=id")
        .is(200, r#"[{"id":3,"books":[{"id":4,"publishers":{"id":2,"books":[{"id":3},{"id":4}]}}]}]"#),
    get("/reviews?select=stars,books(title,authors(name)),members(name)&id=eq.1")
        .is(200, r#"[{"stars":5,"books":{"title":"Earthsea","authors":{"name":"Ursula"}},"members":{"name":"Mia"}}]"#),
    // Composite keys.
    get("/copies?select=id,editions(year)&id=eq.3").is(200, r#"[{"id":3,"editions":{"year":1990}}]"#),
    get("/editions?select=no,copies(id)&book_id=eq.1&order=no&copies.order=id")
        .is(200, r#"[{"no":1,"copies":[{"id":1},{"id":2}]},{"no":2,"copies":[{"id":3}]}]"#),
    get("/order_lines?select=line,orders(total)&region=eq.eu&no=eq.1&order=line")
        .is(200, r#"[{"line":1,"orders":{"total":21.50}},{"line":2,"orders":{"total":21.50}}]"#),
    get("/orders?select=region,no,order_lines(line,books(title))&region=eq.us")
        .is(200, r#"[{"region":"us","no":1,"order_lines":[{"line":1,"books":{"title":"Kafka on the Shore"}}]}]"#),
    get("/copies?select=id,shelves(code)&order=id&id=gt.3").is(200, r#"[{"id":4,"shelves":{"code":"C1"}},{"id":5,"shelves":null}]"#),
    // Many to many.
    get("/books?select=id,genres(name)&id=eq.3&genres.order=id").is(200, r#"[{"id":3,"genres":[{"name":"fantasy"},{"name":"novel"}]}]"#),
    get("/genres?select=name,books(id)&order=id&books.order=id")
        .is(200, r#"[{"name":"fantasy","books":[{"id":1},{"id":3}]},{"name":"scifi","books":[{"id":2}]},{"name":"novel","books":[{"id":3},{"id":4},{"id":5}]},{"name":"poetry","books":[]}]"#),
    get("/books?select=id,book_genres(genres(name))&id=eq.1").is(200, r#"[{"id":1,"book_genres":[{"genres":{"name":"fantasy"}}]}]"#),
    get("/members?select=name,books(id)&id=eq.1&books.order=id").is(200, r#"[{"name":"Mia","books":[{"id":1},{"id":2}]}]"#),
    get("/books?select=id,members(name)&id=eq.1&members.order=id").is(200, r#"[{"id":1,"members":[{"name":"Mia"},{"name":"Noah"}]}]"#),
    get("/books?select=id,members!favourites(name)&id=eq.5").is(200, r#"[{"id":5,"members":[{"name":"Oli"}]}]"#),
    get("/books?select=id,genres!book_genres(id)&id=eq.1").is(200, r#"[{"id":1,"genres":[{"id":1}]}]"#),
    get("/genres?select=name,books(id,authors(name))&id=eq.2").is(200, r#"[{"name":"scifi","books":[{"id":2,"authors":{"name":"Ursula"}}]}]"#),
    get("/books?select=id,genres(books(id))&id=eq.2").is(200, r#"[{"id":2,"genres":[{"books":[{"id":2}]}]}]"#),
    // One to one, both ways.
    get("/members?select=name,cards(number)&order=id&limit=3")
        .is(200, r#"[{"name":"Mia","cards":{"number":"C-1"}},{"name":"Noah","cards":{"number":"C-2"}},{"name":"Oli","cards":null}]"#),
    get("/cards?select=number,members(name)&order=number").is(200, r#"[{"number":"C-1","members":{"name":"Mia"}},{"number":"C-2","members":{"name":"Noah"}}]"#),
    // By the name of the foreign key, by its column, and by both as a hint.
    get("/loans?select=id,members!loans_member_id_fkey(name)&id=eq.1").is(200, r#"[{"id":1,"members":{"name":"Noah"}}]"#),
    get("/loans?select=id,members!lent_by(name)&id=eq.1").is(200, r#"[{"id":1,"members":{"name":"Mia"}}]"#),
    get("/loans?select=id,to:members!member_id(name),by:members!lent_by(name)&id=eq.3")
        .is(200, r#"[{"id":3,"to":{"name":"Pia"},"by":{"name":"Noah"}}]"#),
    get("/loans?select=id,loans_lent_by_fkey(name)&id=eq.1").is(200, r#"[{"id":1,"loans_lent_by_fkey":{"name":"Mia"}}]"#),
    get("/loans?select=id,lender:loans_lent_by_fkey(name)&id=eq.1").is(200, r#"[{"id":1,"lender":{"name":"Mia"}}]"#),
    get("/loans?select=id,lent_by(name)&id=eq.1").is(200, r#"[{"id":1,"lent_by":{"name":"Mia"}}]"#),
    get("/loans?select=id,lent_by,lender:lent_by(name)&id=eq.1").is(200, r#"[{"id":1,"lent_by":1,"lender":{"name":"Mia"}}]"#),
    get("/books?select=id,author_id(name)&id=eq.1").is(200, r#"[{"id":1,"author_id":{"name":"Ursula"}}]"#),
    get("/members?select=id,loans!loans_lent_by_fkey(id)&id=eq.2").is(200, r#"[{"id":2,"loans":[{"id":3}]}]"#),
    get("/members?select=id,loans!member_id(id)&id=eq.2&loans.order=id").is(200, r#"[{"id":2,"loans":[{"id":1},{"id":4}]}]"#),
    get("/members?select=id,lent:loans!lent_by(id)&id=eq.1&lent.order=id").is(200, r#"[{"id":1,"lent":[{"id":1},{"id":2},{"id":4}]}]"#),
    get("/copies?select=id,editions!copies_edition_fkey(no)&id=eq.1").is(200, r#"[{"id":1,"editions":{"no":1}}]"#),
    get("/copies?select=id,copies_edition_fkey(no)&id=eq.1").is(200, r#"[{"id":1,"copies_edition_fkey":{"no":1}}]"#),
    // To itself.
    get("/members?select=id,sponsor:sponsor_id(name)&order=id").is(200, r#"[{"id":1,"sponsor":null},{"id":2,"sponsor":{"name":"Mia"}},{"id":3,"sponsor":{"name":"Mia"}},{"id":4,"sponsor":{"name":"Noah"}}]"#),
    get("/members?select=id,sponsored:members!sponsor_id(id)&id=eq.1&sponsored.order=id").is(200, r#"[{"id":1,"sponsored":[{"id":2},{"id":3}]}]"#),
    get("/members?select=id,sponsor:sponsor_id(id,sponsor:sponsor_id(id))&id=eq.4").is(200, r#"[{"id":4,"sponsor":{"id":2,"sponsor":{"id":1}}}]"#),
    get("/members?select=id,members!sponsor_id(id,members!sponsor_id(id))&id=eq.1&members.order=id")
        .is(200, r#"[{"id":1,"members":[{"id":2,"members":[{"id":4}]},{"id":3,"members":[]}]}]"#),
    get("/members?select=id,sponsor:sponsor_id(id,sponsored:members!sponsor_id(id))&id=eq.2&sponsor.sponsored.order=id")
        .is(200, r#"[{"id":2,"sponsor":{"id":1,"sponsored":[{"id":2},{"id":3}]}}]"#),
    // Partitioned tables.
    get("/visits?select=minutes,members(name)&day=eq.2024-05-01").is(200, r#"[{"minutes":30,"members":{"name":"Noah"}}]"#),
    get("/members?select=id,visits(minutes)&id=eq.2&visits.order=day").is(200, r#"[{"id":2,"visits":[{"minutes":30},{"minutes":10}]}]"#),
    get("/visits_2024").fails(404, "PGRST205"),
    get("/members?select=id,visits_2024(minutes)").fails(400, "PGRST200"),
    // No rows, no columns.
    get("/books?select=id,authors()&id=eq.1").is(200, r#"[{"id":1}]"#),
    get("/authors?select=id,books()&id=eq.1").is(200, r#"[{"id":1}]"#),
    get("/authors?select=id,books(publishers())&id=eq.3").is(200, r#"[{"id":3}]"#),
    get("/authors?select=id,books(id,publishers())&id=eq.3").is(200, r#"[{"id":3,"books":[{"id":4}]}]"#),
    // In what a write returns.
    post("/books?select=id,authors(name)", r#"{"id":20,"title":"New","author_id":1}"#).returning().is(201, r#"[{"id":20,"authors":{"name":"Ursula"}}]"#),
    post("/members?select=id,sponsor:sponsor_id(name)", r#"{"id":20,"name":"Q","email":"q@x","sponsor_id":3,"joined":"2024-05-01T00:00:00Z"}"#)
        .returning().is(201, r#"[{"id":20,"sponsor":{"name":"Oli"}}]"#),
    patch("/books?id=eq.20&select=id,authors(name)", r#"{"author_id":2}"#).returning().is(200, r#"[{"id":20,"authors":{"name":"Italo"}}]"#),
    patch("/authors?id=eq.2&select=id,books(id)&books.order=id", r#"{"born":1924}"#).returning().is(200, r#"[{"id":2,"books":[{"id":3},{"id":20}]}]"#),
    delete("/books?id=eq.20&select=id,authors(id,books(id))&authors.books.id=lt.10").returning()
        .is(200, r#"[{"id":20,"authors":{"id":2,"books":[{"id":3}]}}]"#),
];
