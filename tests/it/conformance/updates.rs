//! PATCH.

use super::{Case, get, patch};

pub(super) const CASES: &[Case] = &[
    patch("/publishers?id=eq.1", r#"{"name":"N"}"#).empty(204).lacks("content-type").has("content-range", "0-0/*").lacks("preference-applied"),
    get("/publishers?id=eq.1").is(200, r#"[{"id":1,"name":"N"}]"#),
    patch("/publishers?id=eq.1", r#"{"name":"North"}"#).returning().is(200, r#"[{"id":1,"name":"North"}]"#).has("content-range", "0-0/*")
        .has("preference-applied", "return=representation"),
    patch("/publishers?id=eq.1", r#"{"name":"North"}"#).prefer("return=minimal").empty(204).has("preference-applied", "return=minimal").has("content-range", "0-0/*"),
    patch("/publishers?id=eq.1", r#"{"name":"North"}"#).prefer("return=headers-only").empty(204).has("content-range", "0-0/*"),
    patch("/publishers?id=lt.3", r#"{"name":"Both"}"#).empty(204).has("content-range", "0-1/*"),
    patch("/publishers?id=lt.3", r#"{"name":"Both"}"#).prefer("count=exact").empty(204).has("content-range", "0-1/2").has("preference-applied", "count=exact"),
    patch("/publishers?id=eq.99", r#"{"name":"None"}"#).empty(204).has("content-range", "*/*"),
    patch("/publishers?id=eq.99", r#"{"name":"None"}"#).returning().is(200, "[]").has("content-range", "*/*"),
    patch("/publishers?id=eq.99", r#"{"name":"None"}"#).prefer("count=exact").empty(204).has("content-range", "*/0"),
    patch("/publishers?id=lt.3&select=id&order=id.desc", r#"{"name":"B"}"#).returning().is(200, r#"[{"id":2},{"id":1}]"#),
    patch("/publishers?id=eq.1&select=n:name", r#"{"name":"X"}"#).returning().is(200, r#"[{"n":"X"}]"#),
    patch("/publishers?id=eq.1&select=id::text", r#"{"name":"X"}"#).returning().is(200, r#"[{"id":"1"}]"#),
    patch("/publishers?id=eq.1&select=name", r#"{"name":"Ignored"}"#).empty(204),
    // The condition is of the row before, the answer of the row after.
    patch("/publishers?name=eq.Ignored", r#"{"name":"North"}"#).returning().is(200, r#"[{"id":1,"name":"North"}]"#),
    patch("/publishers?id=eq.3", r#"{"id":33}"#).returning().is(200, r#"[{"id":33,"name":"East"}]"#),
    patch("/publishers?id=eq.33&select=name", r#"{"id":3}"#).returning().is(200, r#"[{"name":"East"}]"#),
    // Null, defaults, and what is not said.
    patch("/authors?id=eq.1&select=country,born", r#"{"country":null}"#).returning().is(200, r#"[{"country":null,"born":1929}]"#),
    patch("/authors?id=eq.1&select=country,born", r#"{"country":"US"}"#).returning().is(200, r#"[{"country":"US","born":1929}]"#),
    patch("/authors?id=eq.1&select=country,born&columns=country,born", r#"{"country":"UK"}"#).returning().is(200, r#"[{"country":"UK","born":null}]"#),
    patch("/orders?region=eq.us&no=eq.1&select=total,customer&columns=total,customer", r#"{"customer":2}"#).prefer("return=representation, missing=default")
        .is(200, r#"[{"total":0.00,"customer":2}]"#).has("preference-applied", "missing=default, return=representation"),
    patch("/members?id=eq.3&select=active,profile&columns=active,profile", r#"{"profile":{"a":1}}"#).prefer("return=representation, missing=default")
        .is(200, r#"[{"active":true,"profile":{"a":1}}]"#),
    patch("/authors?id=eq.2&columns=country&select=country,born", r#"{"country":"XX","born":5,"more":1}"#).returning().is(200, r#"[{"country":"XX","born":1923}]"#),
    patch("/authors?id=eq.2&columns=nowhere", r#"{"country":"XX"}"#).fails(400, "PGRST204").message("\"Could not find the 'nowhere' column of 'authors' in the schema cache\""),
    patch("/authors?id=eq.2", r#"{"nowhere":1}"#).fails(400, "PGRST204"),
    // Nothing to change.
    patch("/publishers?id=eq.1", "{}").empty(204).has("content-range", "*/*"),
    patch("/publishers?id=eq.1", "[]").empty(204).has("content-range", "*/*"),
    patch("/publishers?id=eq.1", "[{}]").empty(204).has("content-range", "*/*"),
    patch("/publishers?id=eq.1", "{}").returning().is(200, "[]").has("content-range", "*/*"),
    patch("/publishers?id=eq.1&select=id", "{}").returning().is(200, "[]"),
    // An object in a list.
    patch("/publishers?id=eq.1", r#"[{"name":"Listed"}]"#).returning().is(200, r#"[{"id":1,"name":"Listed"}]"#),
    // Each way to say which rows.
    patch("/books?author_id=eq.1&pages=gt.300&select=id", r#"{"price":1}"#).returning().is(200, r#"[{"id":2}]"#),
    patch("/books?or=(id.eq.1,id.eq.3)&select=id&order=id", r#"{"price":2}"#).returning().is(200, r#"[{"id":1},{"id":3}]"#),
    patch("/books?id=in.(4,5)&select=id&order=id", r#"{"price":3}"#).returning().is(200, r#"[{"id":4},{"id":5}]"#),
    patch("/books?meta->>lang=eq.it&select=id", r#"{"price":4}"#).returning().is(200, r#"[{"id":3}]"#),
    patch("/books?tags=cs.{novel}&select=id", r#"{"price":5}"#).returning().is(200, r#"[{"id":5}]"#),
    patch("/reviews?words=fts.wizard&select=id", r#"{"stars":4}"#).returning().is(200, r#"[{"id":1}]"#),
    patch("/Odd%20Names?Some%20id=eq.1&select=%C3%BCmlaut,\"with,comma\"", r#"{"ümlaut":"ÜÜ","with,comma":"1,2"}"#).returning().is(200, r#"[{"ümlaut":"ÜÜ","with,comma":"1,2"}]"#),
    patch("/visits?day=gte.2025-01-01&select=minutes", r#"{"minutes":11}"#).returning().is(200, r#"[{"minutes":11}]"#),
    // Related rows in the answer.
    patch("/books?id=eq.3&select=id,authors(name),genres(name)&genres.order=name", r#"{"author_id":4}"#).returning()
        .is(200, r#"[{"id":3,"authors":{"name":"Chimamanda"},"genres":[{"name":"fantasy"},{"name":"novel"}]}]"#),
    patch("/members?id=eq.1&select=name,cards(number)", r#"{"name":"Mia M"}"#).returning().is(200, r#"[{"name":"Mia M","cards":{"number":"C-1"}}]"#),
    patch("/members?id=eq.1&select=name,members!sponsor_id(id)&members.order=id", r#"{"name":"Mia"}"#).returning().is(200, r#"[{"name":"Mia","members":[{"id":2},{"id":3}]}]"#),
    patch("/cards?member_id=eq.1&select=number,members(name)", r#"{"number":"C-9"}"#).returning().is(200, r#"[{"number":"C-9","members":{"name":"Mia"}}]"#),
    patch("/authors?id=eq.1&select=id,books(id)&books.id=eq.2", r#"{"born":1929}"#).returning().is(200, r#"[{"id":1,"books":[{"id":2}]}]"#),
    // Forms and CSV.
    patch("/publishers?id=eq.2&select=name", "name=by+form").sent_as("application/x-www-form-urlencoded").returning().is(200, r#"[{"name":"by form"}]"#),
    patch("/publishers?id=eq.2&select=name", "name\nby csv").sent_as("text/csv").returning().is(200, r#"[{"name":"by csv"}]"#),
    patch("/publishers?id=eq.2&select=id,name", r#"{"name":"c"}"#).accept("text/csv").returning().text(200, "id,name\n2,c"),
    // What it refuses.
    patch("/publishers?id=eq.1", "").fails(400, "PGRST102").message("\"Empty or invalid json\""),
    patch("/publishers?id=eq.1", "{").fails(400, "PGRST102"),
    patch("/nowhere?id=eq.1", r#"{"a":1}"#).fails(404, "PGRST205"),
    patch("/publishers?nowhere=eq.1", r#"{"name":"x"}"#).fails(400, "42703"),
    patch("/publishers?id=eq.1", r#"{"name":null}"#).fails(400, "23502"),
    patch("/publishers?id=eq.1", r#"{"id":2}"#).fails(409, "23505"),
    patch("/books?id=eq.1", r#"{"author_id":99}"#).fails(409, "23503"),
    patch("/publishers?id=eq.1", r#"{"id":"x"}"#).fails(400, "22P02"),
    patch("/journal?id=eq.1", r#"{"length":1}"#).fails(400, "428C9"),
];
