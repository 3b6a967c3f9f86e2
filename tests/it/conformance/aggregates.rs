//! `count()`, `sum()`, `avg()`, `min()` and `max()`, grouped by what else is selected.

use super::{Case, delete, get, head};

pub(super) const CASES: &[Case] = &[
    get("/books?select=count()").is(200, r#"[{"count":6}]"#),
    get("/books?select=n:count()").is(200, r#"[{"n":6}]"#),
    get("/books?select=count()::text").is(200, r#"[{"count":"6"}]"#),
    get("/books?select=count").is(200, r#"[{"count":6}]"#),
    get("/books?select=count()&pages=gt.300").is(200, r#"[{"count":3}]"#),
    get("/books?select=count()&id=gt.100").is(200, r#"[{"count":0}]"#),
    get("/books?select=author_id.count()").is(200, r#"[{"count":5}]"#),
    get("/books?select=pages.sum()").is(200, r#"[{"sum":1693}]"#),
    get("/books?select=pages.avg()").is(200, r#"[{"avg":338.6}]"#),
    get("/books?select=pages.min()").is(200, r#"[{"min":165}]"#),
    get("/books?select=pages.max()").is(200, r#"[{"max":505}]"#),
    get("/books?select=title.max()").is(200, r#"[{"max":"Untitled"}]"#),
    get("/books?select=published.min()").is(200, r#"[{"min":"1968-11-01"}]"#),
    get("/books?select=price.sum()").is(200, r#"[{"sum":58.75}]"#),
    get("/books?select=pages.sum()&id=gt.100").is(200, r#"[{"sum":null}]"#),
    get("/books?select=pages.sum(),pages.min(),pages.max()").is(200, r#"[{"sum":1693,"min":165,"max":505}]"#),
    get("/books?select=total:pages.sum(),least:pages.min()").is(200, r#"[{"total":1693,"least":165}]"#),
    get("/books?select=pages.avg()::int").is(200, r#"[{"avg":339}]"#),
    get("/books?select=pages.sum()::text").is(200, r#"[{"sum":"1693"}]"#),
    get("/books?select=isbn::int.sum()").is(200, r#"[{"sum":1665}]"#),
    get("/books?select=s:isbn::int.sum()::text").is(200, r#"[{"s":"1665"}]"#),
    get("/books?select=meta->size->>h::int.sum()").is(200, r#"[{"sum":62}]"#),
    get("/books?select=meta->>rating::numeric.max()").is(200, r#"[{"max":4.7}]"#),
    // Grouped.
    get("/books?select=author_id,count()&order=author_id").is(200, r#"[{"author_id":1,"count":2},{"author_id":2,"count":1},{"author_id":3,"count":1},{"author_id":4,"count":1},{"author_id":null,"count":1}]"#),
    get("/books?select=n:count(),author_id&order=author_id.desc.nullslast&limit=1").is(200, r#"[{"n":1,"author_id":4}]"#),
    get("/books?select=writer_id:author_id,pages.sum()&author_id=eq.1").is(200, r#"[{"writer_id":1,"sum":546}]"#),
    get("/books?select=publisher_id,pages.sum(),price.max()&order=publisher_id").is(200, r#"[{"publisher_id":1,"sum":1023,"max":14.00},{"publisher_id":2,"sum":670,"max":15.25},{"publisher_id":null,"sum":null,"max":null}]"#),
    get("/books?select=format,publisher_id,count()&format=eq.paperback&order=publisher_id").is(200, r#"[{"format":"paperback","publisher_id":1,"count":1},{"format":"paperback","publisher_id":2,"count":1}]"#),
    get("/books?select=lang:meta->>lang,count()&meta=not.is.null&order=meta->>lang").is(200, r#"[{"lang":"en","count":3},{"lang":"it","count":1},{"lang":"ja","count":1}]"#),
    get("/books?select=is_long,count()&order=is_long").is(200, r#"[{"is_long":false,"count":3},{"is_long":true,"count":2},{"is_long":null,"count":1}]"#),
    get("/book_list?select=author_id,pages.max()&author_id=lt.3&order=author_id").is(200, r#"[{"author_id":1,"max":341},{"author_id":2,"max":165}]"#),
    get("/books?select=author_id,count()&order=author_id&limit=2&offset=1").is(200, r#"[{"author_id":2,"count":1},{"author_id":3,"count":1}]"#),
    // Of one row by its id.
    get("/books/1?select=id,count()").is(200, r#"{"id":1,"count":1}"#),
    get("/books/1?select=pages.sum(),title").is(200, r#"{"sum":205,"title":"Earthsea"}"#),
    get("/books/1?select=count()").is(200, r#"{"count":1}"#),
    get("/books/100?select=id,count()").fails(404, "row_not_found"),
    // Grouped by a parent.
    get("/books?select=pages.sum(),authors(name)&author_id=eq.1").is(200, r#"[{"sum":546,"authors":{"name":"Ursula"}}]"#),
    get("/books?select=author_id,pages.sum(),authors(name)&author_id=lt.3&order=author_id.desc").is(200, r#"[{"author_id":2,"sum":165,"authors":{"name":"Italo"}},{"author_id":1,"sum":546,"authors":{"name":"Ursula"}}]"#),
    get("/reviews?select=stars.avg(),books(title)&book_id=eq.1").is(200, r#"[{"avg":4.5,"books":{"title":"Earthsea"}}]"#),
    get("/books?select=pages.sum(),...publishers(publisher:name)&publisher_id=not.is.null&order=publishers(name)").is(200, r#"[{"sum":1023,"publisher":"North"},{"sum":670,"publisher":"South"}]"#),
    get("/books?select=n:count(),...authors(alive)&order=authors(alive)&author_id=not.is.null").is(200, r#"[{"n":3,"alive":false},{"n":2,"alive":true}]"#),
    // Of a parent's columns.
    get("/books?select=publisher_id,...authors(born.max())&publisher_id=not.is.null&order=publisher_id").is(200, r#"[{"publisher_id":1,"max":1977},{"publisher_id":2,"max":1949}]"#),
    get("/books?select=...authors(youngest:born.max(),oldest:born.min())").is(200, r#"[{"youngest":1977,"oldest":1923}]"#),
    get("/reviews?select=book_id,...books(...authors(count()))&book_id=lt.3&order=book_id").is(200, r#"[{"book_id":1,"count":2},{"book_id":2,"count":1}]"#),
    get("/reviews?select=total:stars.sum(),...books(publisher_id,pages:pages.max())&order=books(publisher_id)").is(200, r#"[{"total":14,"publisher_id":1,"pages":341},{"total":5,"publisher_id":2,"pages":505}]"#),
    // Within related rows.
    get("/authors?select=name,books(count())&order=id&id=in.(1,5)").is(200, r#"[{"name":"Ursula","books":[{"count":2}]},{"name":"Anon","books":[{"count":0}]}]"#),
    get("/authors?select=name,books(count)&id=eq.1").is(200, r#"[{"name":"Ursula","books":[{"count":2}]}]"#),
    get("/authors?select=name,books(pages.sum())&order=id&id=in.(1,5)").is(200, r#"[{"name":"Ursula","books":[{"sum":546}]},{"name":"Anon","books":[{"sum":null}]}]"#),
    get("/authors?select=name,books(pages.sum(),pages.min(),pages.max(),pages.count())&id=eq.1").is(200, r#"[{"name":"Ursula","books":[{"sum":546,"min":205,"max":341,"count":2}]}]"#),
    get("/publishers?select=name,books(author_id,pages.sum())&id=eq.1&books.order=author_id").is(200, r#"[{"name":"North","books":[{"author_id":1,"sum":546},{"author_id":4,"sum":477}]}]"#),
    get("/publishers?select=name,books(total:pages.sum())&id=eq.1&books.pages=lt.400").is(200, r#"[{"name":"North","books":[{"total":546}]}]"#),
    get("/publishers?select=name,books(pages.sum(),authors(name))&id=eq.1&books.author_id=eq.1").is(200, r#"[{"name":"North","books":[{"sum":546,"authors":{"name":"Ursula"}}]}]"#),
    get("/books?select=id,genres(count())&id=in.(3,6)&order=id").is(200, r#"[{"id":3,"genres":[{"count":2}]},{"id":6,"genres":[{"count":0}]}]"#),
    // Of what a function answers.
    get("/rpc/all_books?select=count()").is(200, r#"[{"count":6}]"#),
    get("/rpc/all_books?select=author_id,pages.max()&author_id=eq.1").is(200, r#"[{"author_id":1,"max":341}]"#),
    get("/rpc/titles?select=pages.sum()").is(200, r#"[{"sum":1693}]"#),
    // One row, as an object; as CSV.
    get("/books?select=pages.sum()").singular().is(200, r#"{"sum":1693}"#),
    head("/books?select=count()").empty(200),
    get("/books?select=pages.sum()").accept("text/csv").text(200, "sum\n1693"),
    // What it refuses.
    get("/authors?select=name,...books(pages.sum())").fails(400, "PGRST127")
        .message("\"Feature not implemented\"")
        .details("\"Aggregates are not implemented for one-to-many or many-to-many spreads.\""),
    get("/books?select=...genres(count())").fails(400, "PGRST127"),
    get("/books?select=pages.median()").fails(400, "PGRST100"),
    get("/books?select=pages.sum").fails(400, "PGRST100"),
    get("/books?select=sum()").fails(400, "PGRST200"),
    get("/books?select=title.sum()").fails(404, "42883"),
    get("/books?select=nowhere.sum()").fails(400, "42703"),
    get("/books?select=author_id,count()&order=pages").fails(400, "42803"),
    // What is summed up does not hide how much was written.
    delete("/notes?a=not.is.null&select=count()").prefer("return=representation, handling=strict, max-affected=1").fails(400, "PGRST124"),
    get("/notes?select=count()").is(200, r#"[{"count":2}]"#),
];
