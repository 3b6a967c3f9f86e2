//! What of a row is answered, and in which form.

use reqwest::Method;
use serde_json::json;
use tenantry_tests::TestApp;

use super::{OBJECT, column, get, insert, people, rows, send};

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_chosen_renamed_and_cast() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let api = app.sign_up("acme", "basic", "crm").await.data;
    people(&api).await;
    for (select, expected) in [
        ("first_name", json!({ "first_name": "A" })),
        ("first_name,email", json!({ "first_name": "A", "email": "a@acme.com" })),
        ("name:first_name,mail:email", json!({ "name": "A", "mail": "a@acme.com" })),
        ("number:phone::int", json!({ "number": 1 })),
        ("metadata", json!({ "metadata": { "age": 20, "tags": ["x"] } })),
        ("metadata->age", json!({ "age": 20 })),
        ("metadata->>age", json!({ "age": "20" })),
        ("years:metadata->>age", json!({ "years": "20" })),
        ("metadata->tags->0", json!({ "tags": "x" })),
        ("created_at", json!({ "created_at": "2026-01-01T00:00:00+00:00" })),
    ] {
        let path = format!("/api/contacts?first_name=eq.A&select={select}");
        assert_eq!(rows(&api, &path).await, json!([expected]), "{select}");
    }
    let whole = rows(&api, "/api/contacts?first_name=eq.A").await;
    let mut names: Vec<_> = whole[0].as_object().unwrap().keys().cloned().collect();
    names.sort();
    let all = [
        "company",
        "created_at",
        "email",
        "first_name",
        "id",
        "last_name",
        "metadata",
        "phone",
        "updated_at",
    ];
    assert_eq!(names, all);
    assert_eq!(rows(&api, "/api/contacts?first_name=eq.A&select=*").await, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_object_is_answered_only_where_there_is_one_row() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let api = app.sign_up("acme", "basic", "crm").await.data;
    people(&api).await;
    let object = ("accept", OBJECT);
    let one = get(&api, "/api/contacts?first_name=eq.A&select=email", &[object]).await.expect(200);
    assert_eq!(one.json(), json!({ "email": "a@acme.com" }));
    assert!(one.header("content-type").unwrap().starts_with(OBJECT));
    for filter in ["first_name=eq.Nobody", "company=eq.Acme"] {
        get(&api, &format!("/api/contacts?{filter}"), &[object]).await.expect_problem(406, "not_singular");
    }
    get(&api, "/api/contacts", &[("accept", "image/png")]).await.expect_problem(406, "not_acceptable");

    // A write that would touch another number of rows writes nothing.
    for filter in ["company=eq.Acme", "company=eq.Nobody"] {
        let path = format!("/api/contacts?{filter}");
        let change = api.request(Method::PATCH, &path).json(&json!({ "phone": "9" }));
        send(&api, change, &[object]).await.expect_problem(406, "not_singular");
        send(&api, api.request(Method::DELETE, &path), &[object]).await.expect_problem(406, "not_singular");
    }
    assert_eq!(rows(&api, "/api/contacts?phone=eq.9").await, json!([]));
    assert_eq!(rows(&api, "/api/contacts?company=eq.Acme").await.as_array().unwrap().len(), 2);
    let request = api
        .request(Method::PATCH, "/api/contacts?first_name=eq.A&select=phone")
        .json(&json!({ "phone": "9" }));
    let answer = send(&api, request, &[object, ("prefer", "return=representation")]).await;
    assert_eq!(answer.expect(200).json(), json!({ "phone": "9" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_in_camel_case_is_so_everywhere_and_takes_both() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let api = app.sign_up("acme", "basic", "salesflow").await.data;
    let made =
        insert(&api, "contacts", json!({ "firstName": "Ann", "jobTitle": "CTO", "notes": "snake_in_text" }))
            .await;
    let mut names: Vec<_> = made[0].as_object().unwrap().keys().cloned().collect();
    names.sort();
    let all = [
        "company",
        "createdAt",
        "email",
        "firstName",
        "id",
        "jobTitle",
        "lastName",
        "notes",
        "phone",
        "updatedAt",
    ];
    assert_eq!(names, all);
    assert_eq!(made[0]["notes"], "snake_in_text");
    insert(&api, "contacts", json!({ "first_name": "Bob", "job_title": "CEO" })).await;
    for query in ["firstName=eq.Ann", "first_name=eq.Ann", "or=(jobTitle.eq.CTO,job_title.eq.none)"] {
        assert_eq!(column(&api, &format!("/api/contacts?{query}"), "firstName").await, ["Ann"], "{query}");
    }
    assert_eq!(
        column(&api, "/api/contacts?select=firstName&order=createdAt", "firstName").await,
        ["Ann", "Bob"]
    );
    for table in ["contact_tags", "contactTags", "contact-tags"] {
        api.get(&format!("/api/{table}")).await.expect(200);
    }
    // A column that is wrong is named as the client wrote it.
    let answer = api.post("/api/contacts", json!({ "firstName": "x", "jobTytle": "y" })).await;
    assert_eq!(answer.expect_problem(400, "unknown_column").fields(), ["jobTytle"]);
}
