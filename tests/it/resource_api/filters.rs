//! Filters: which rows.

use serde_json::json;
use tenantry_tests::TestApp;

use super::{column, insert, people, rows};

#[tokio::test(flavor = "multi_thread")]
async fn filters_find_what_postgrest_s_would() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let api = app.sign_up("acme", "basic", "crm").await.data;
    people(&api).await;
    for (filter, expected) in [
        ("company=eq.Acme", "AB"),
        ("company=neq.Acme", "CE"),
        ("company=not.eq.Acme", "CE"),
        ("first_name=gt.C", "DE"),
        ("first_name=gte.C", "CDE"),
        ("first_name=lt.C", "AB"),
        ("first_name=lte.C", "ABC"),
        ("first_name=not.lte.C", "DE"),
        ("created_at=gte.2026-03-01T00:00:00Z", "CDE"),
        ("created_at=gt.2026-01-15&created_at=lt.2026-03-15", "BC"),
        ("email=like.*@acme.com", "AB"),
        ("email=like.%25@acme.com", "AB"),
        ("email=like.c*", ""),
        ("email=ilike.c*", "C"),
        ("email=not.ilike.*acme*", "CDE"),
        (r"email=like.100\%25\_\\", "E"),
        ("email=match.^[ab]@", "AB"),
        ("email=imatch.^c@", "C"),
        ("company=is.null", "D"),
        ("company=is.NULL", "D"),
        ("company=not.is.null", "ABCE"),
        ("company=is.not_null", "ABCE"),
        ("first_name=in.(A,C,Z)", "AC"),
        ("first_name=not.in.(A,C,Z)", "BDE"),
        ("first_name=in.()", ""),
        (r#"email=in.("d,(e)@x.com",a@acme.com)"#, "AD"),
        ("company=eq.O'Neil%20%22%26%20Co%22", "E"),
        ("email=eq.d,(e)@x.com", "D"),
        ("company=isdistinct.Acme", "CDE"),
        ("first_name=eq(any).{A,B}", "AB"),
        ("email=like(any).{a*,b*}", "AB"),
        // Inside JSON.
        ("metadata->>age=eq.20", "A"),
        ("metadata->age=gt.6", "AB"),
        ("metadata->tags->>0=eq.x", "A"),
        ("metadata->>vip=is.null", "ACDE"),
        (r#"metadata=cs.{"vip":true}"#, "B"),
        ("metadata=eq.{}", "CE"),
        // Trees.
        ("or=(first_name.eq.A,first_name.eq.E)", "AE"),
        ("and=(first_name.gt.A,first_name.lt.E)", "BCD"),
        ("not.or=(first_name.eq.A,first_name.eq.E)", "BCD"),
        ("not.and=(company.eq.Acme,first_name.eq.A)", "BCDE"),
        ("or=(company.is.null,and(company.eq.Acme,not.or(first_name.eq.A,phone.eq.7)))", "D"),
        ("or=(company.is.null,and(company.eq.Acme,not.and(first_name.eq.A,phone.eq.1)))", "BD"),
        ("or=(first_name.in.(A,B),company.not.is.null)", "ABCE"),
        (r#"or=(email.eq."d,(e)@x.com",first_name.eq.A)"#, "AD"),
        ("or=(metadata->>age.eq.20,metadata->age.lt.6)", "AD"),
        ("company=eq.Acme&or=(first_name.eq.B,first_name.eq.C)", "B"),
        ("company=eq.Acme&company=eq.Globex", ""),
    ] {
        let path = format!("/api/contacts?select=first_name&order=first_name&{filter}");
        assert_eq!(column(&api, &path, "first_name").await.concat(), expected, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_searched_for_in_texts() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let api = app.sign_up("acme", "basic", "crm").await.data;
    let contact = insert(&api, "contacts", json!({ "email": "a@example.com" })).await;
    let thread = insert(&api, "conversations", json!({ "contact_id": contact[0]["id"] })).await;
    let said = |text: &str| json!({ "conversation_id": thread[0]["id"], "content": text });
    insert(&api, "messages", json!([said("The parcels have arrived"), said("Where is my invoice?")])).await;
    for (filter, found) in [
        ("content=fts(english).parcel", 1),
        ("content=fts.parcel", 1),
        ("content=plfts(english).invoice%20where", 1),
        ("content=phfts(english).parcels%20have%20arrived", 1),
        ("content=wfts(english).parcel%20or%20invoice", 2),
        ("content=not.fts(english).parcel", 1),
        ("content=fts(simple).parcel", 0),
    ] {
        let rows = rows(&api, &format!("/api/messages?{filter}")).await;
        assert_eq!(rows.as_array().unwrap().len(), found, "{filter}");
    }
    for (filter, code) in [
        ("content=fts(klingon).x", "unknown_language"),
        ("content=fts(pg_catalog.english).x", "bad_filter"),
        ("content=fts.a%20b", "invalid_text_search"),
    ] {
        api.get(&format!("/api/messages?{filter}")).await.expect_problem(400, code);
    }
}
