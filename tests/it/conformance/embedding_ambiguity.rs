//! Names that mean nothing, or more than one thing, and the errors that say what to write instead.

use super::{Case, get, post};

pub(super) const CASES: &[Case] = &[
    get("/loans?select=id,members(name)").fails(300, "PGRST201")
        .message("\"Could not embed because more than one relationship was found for 'loans' and 'members'\"")
        .part("/details/0/cardinality", "\"many-to-one\"")
        .part("/details/0/embedding", "\"loans with members\""),
    get("/loans?select=id,members(name)").fails(300, "PGRST201")
        .part("/details/0/relationship", "\"loans_lent_by_fkey using loans(lent_by) and members(id)\"")
        .part("/details/1/relationship", "\"loans_member_id_fkey using loans(member_id) and members(id)\"")
        .part("/details/2", "null"),
    get("/loans?select=id,members(name)").fails(300, "PGRST201")
        .hint("\"Try changing 'members' to one of the following: 'members!loans_lent_by_fkey', 'members!loans_member_id_fkey'. Find the desired relationship in the 'details' key.\""),
    get("/members?select=id,loans(id)").fails(300, "PGRST201")
        .part("/details/0/cardinality", "\"one-to-many\"")
        .part("/details/0/embedding", "\"members with loans\"")
        .part("/details/0/relationship", "\"loans_lent_by_fkey using members(id) and loans(lent_by)\""),
    get("/members?select=id,loans(id)").fails(300, "PGRST201")
        .hint("\"Try changing 'loans' to one of the following: 'loans!loans_lent_by_fkey', 'loans!loans_member_id_fkey'. Find the desired relationship in the 'details' key.\""),
    get("/members?select=id,loans!inner(id)").fails(300, "PGRST201"),
    get("/books?select=id,loans(members(name))").fails(300, "PGRST201"),
    post("/loans?select=id,members(name)", r#"{"id":9,"book_id":1,"member_id":1,"lent_by":1,"during":"[2024-01-01,2024-01-02)"}"#)
        .returning().fails(300, "PGRST201"),
    get("/loans?select=id&id=eq.9").is(200, "[]"),
    // A self reference by the table's name alone is its children.
    get("/members?select=id,members(id)&id=eq.2").is(200, r#"[{"id":2,"members":[{"id":4}]}]"#),
    // None.
    get("/books?select=id,shelves(id)").fails(400, "PGRST200")
        .message("\"Could not find a relationship between 'books' and 'shelves' in the schema cache\""),
    get("/books?select=id,nowhere(id)").fails(400, "PGRST200")
        .message("\"Could not find a relationship between 'books' and 'nowhere' in the schema cache\""),
    get("/books?select=id,author(name)").fails(400, "PGRST200").hint("\"Perhaps you meant 'authors' instead of 'author'.\""),
    get("/books?select=id,authors!nowhere(id)").fails(400, "PGRST200"),
    get("/loans?select=id,members!books(name)").fails(400, "PGRST200"),
    get("/books?select=id,members!loans(name)").fails(400, "PGRST200"),
    get("/books?select=id,title(name)").fails(400, "PGRST200"),
    get("/authors?select=id,books(id,shelves(id))").fails(400, "PGRST200")
        .message("\"Could not find a relationship between 'books' and 'shelves' in the schema cache\""),
    get("/nowhere?select=id,books(id)").fails(404, "PGRST205"),
    get("/publishers?select=id,authors(id)").fails(400, "PGRST200"),
    get("/books?select=id,orders(no)").fails(400, "PGRST200"),
    post("/publishers?select=id,authors(id)", r#"{"id":9,"name":"x"}"#).returning().fails(400, "PGRST200"),
    get("/publishers?select=id&id=eq.9").is(200, "[]"),
    // What each hint finds.
    get("/loans?select=id,members!loans_lent_by_fkey(id)&id=eq.1").is(200, r#"[{"id":1,"members":{"id":1}}]"#),
    get("/loans?select=id,members!member_id(id)&id=eq.1").is(200, r#"[{"id":1,"members":{"id":2}}]"#),
    get("/members?select=id,loans!loans_member_id_fkey(id)&id=eq.3").is(200, r#"[{"id":3,"loans":[{"id":2}]}]"#),
];
