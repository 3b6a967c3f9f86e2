//! Inserts, upserts, updates and deletes.

use reqwest::Method;
use serde_json::{Value, json};
use tenantry_tests::TestApp;

use super::{NO_ROW, OBJECT, column, insert, people, rows, send, write};

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_answers_what_was_preferred() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let api = app.sign_up("acme", "basic", "crm").await.data;
    let row = json!({ "email": "a@example.com" });
    let plain = api.post("/api/contacts", row.clone()).await.expect(201);
    assert_eq!(plain.text, "");
    let minimal = write(&api, Method::POST, "/api/contacts", "return=minimal", row.clone()).await.expect(201);
    assert_eq!(
        (&*minimal.text, minimal.header("preference-applied").as_deref()),
        ("", Some("return=minimal"))
    );

    let headers =
        write(&api, Method::POST, "/api/contacts", "return=headers-only", row.clone()).await.expect(201);
    let location = headers.header("location").unwrap();
    assert_eq!(rows(&api, &location).await[0]["email"], "a@example.com", "{location}");

    let whole =
        write(&api, Method::POST, "/api/contacts?select=email", "return=representation", row.clone()).await;
    assert_eq!(whole.expect(201).json(), json!([row]));
    let object = api.request(Method::POST, "/api/contacts?select=email").json(&row);
    let object = send(&api, object, &[("prefer", "return=representation"), ("accept", OBJECT)]).await;
    assert_eq!(object.expect(201).json(), row);

    let many: Vec<Value> = (0..500).map(|n| json!({ "email": format!("{n}@bulk.com") })).collect();
    let answer = write(&api, Method::POST, "/api/contacts", "count=exact", json!(many)).await.expect(201);
    assert_eq!(answer.header("content-range").as_deref(), Some("*/500"));
    assert_eq!(
        rows(&api, "/api/contacts?email=like.*@bulk.com&select=id").await.as_array().unwrap().len(),
        500
    );
    write(&api, Method::POST, "/api/contacts", "", json!([])).await.expect(201);

    // One bad row and none is written.
    let before = rows(&api, "/api/contacts?select=id").await;
    let mixed = json!([{ "email": "new@example.com" }, { "email": null }]);
    api.post("/api/contacts", mixed).await.expect_problem(400, "check_violation");
    assert_eq!(rows(&api, "/api/contacts?select=id").await, before);
    // Rows of different shapes need to be told what is missing.
    let shapes =
        json!([{ "email": "s1@example.com" }, { "email": "s2@example.com", "metadata": { "a": 1 } }]);
    api.post("/api/contacts", shapes.clone()).await.expect_problem(400, "keys_differ");
    write(&api, Method::POST, "/api/contacts", "missing=default", shapes.clone()).await.expect(201);
    write(&api, Method::POST, "/api/contacts?columns=email", "", shapes).await.expect(201);
    assert_eq!(
        column(&api, "/api/contacts?email=like.s*&order=email&select=metadata", "metadata").await,
        ["{}", "{}", r#"{"a":1}"#, "{}"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_merges_by_key_or_by_another_unique_column() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let api = app.sign_up("acme", "basic", "salesflow").await.data;
    let merge = "resolution=merge-duplicates, return=representation";
    insert(
        &api,
        "tags",
        json!([{ "name": "hot", "color": "#ff0000" }, { "name": "cold", "color": "#0000ff" }]),
    )
    .await;
    let before = rows(&api, "/api/tags?name=eq.hot").await;
    // Without a word of it a duplicate is refused.
    let again = json!({ "name": "hot", "color": "#00ff00" });
    api.post("/api/tags", again.clone()).await.expect_problem(409, "unique_violation");
    // The key is not in the body, so the unique name has to be named.
    write(&api, Method::POST, "/api/tags", merge, again.clone())
        .await
        .expect_problem(409, "unique_violation");
    let merged =
        write(&api, Method::POST, "/api/tags?on_conflict=name", merge, again).await.expect(200).json();
    assert_eq!((&merged[0]["color"], &merged[0]["id"]), (&json!("#00ff00"), &before[0]["id"]));

    let both = json!([{ "name": "hot", "color": "#111111" }, { "name": "new", "color": "#222222" }]);
    write(&api, Method::POST, "/api/tags?on_conflict=name", merge, both).await.expect(201);
    let colors = column(&api, "/api/tags?name=in.(cold,hot,new)&order=name", "color").await;
    assert_eq!(colors, ["#0000ff", "#111111", "#222222"]);

    let ignored = json!([{ "name": "hot", "color": "#999999" }, { "name": "warm" }]);
    let answer = write(
        &api,
        Method::POST,
        "/api/tags?on_conflict=name&columns=name",
        "resolution=ignore-duplicates, return=representation",
        ignored,
    )
    .await
    .expect(201);
    assert_eq!(answer.json().as_array().unwrap().len(), 1);
    assert_eq!(column(&api, "/api/tags?name=eq.hot", "color").await, ["#111111"]);

    let twice = json!([{ "name": "two" }, { "name": "two" }]);
    write(&api, Method::POST, "/api/tags?on_conflict=name", merge, twice)
        .await
        .expect_problem(400, "duplicate_rows");
    let unfit = json!({ "name": "x" });
    write(&api, Method::POST, "/api/tags?on_conflict=color", merge, unfit)
        .await
        .expect_problem(400, "no_unique_constraint");
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_and_deletes_touch_what_the_filter_says_and_need_one() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let api = app.sign_up("acme", "basic", "crm").await.data;
    people(&api).await;
    let change = json!({ "company": "New" });
    api.patch("/api/contacts", change.clone()).await.expect_problem(400, "filter_required");
    api.delete("/api/contacts").await.expect_problem(400, "filter_required");
    api.delete("/api/contacts?select=id&order=id").await.expect_problem(400, "filter_required");
    assert_eq!(rows(&api, "/api/contacts").await.as_array().unwrap().len(), 5);

    let plain = api.patch("/api/contacts?company=eq.Acme", change.clone()).await.expect(204);
    assert_eq!(plain.text, "");
    let changed = write(
        &api,
        Method::PATCH,
        "/api/contacts?company=eq.New&select=first_name,company",
        "return=representation, count=exact",
        json!({ "company": "Newer" }),
    )
    .await
    .expect(200);
    assert_eq!(changed.header("content-range").as_deref(), Some("0-1/2"));
    assert_eq!(changed.json().as_array().unwrap().len(), 2);
    let nobody =
        write(&api, Method::PATCH, "/api/contacts?company=eq.Nobody", "return=representation", change).await;
    assert_eq!(nobody.expect(200).json(), json!([]));
    // A trigger's work is in the answer too.
    let row = &rows(&api, "/api/contacts?first_name=eq.A").await[0];
    assert!(row["updated_at"].as_str() > row["created_at"].as_str(), "{row}");

    let gone = write(
        &api,
        Method::DELETE,
        "/api/contacts?company=eq.Newer&select=first_name",
        "return=representation",
        json!(null),
    )
    .await;
    let mut names: Vec<String> =
        gone.expect(200).json().as_array().unwrap().iter().map(|row| row["first_name"].to_string()).collect();
    names.sort();
    assert_eq!(names, ["\"A\"", "\"B\""]);
    api.delete("/api/contacts?or=(first_name.eq.C,first_name.eq.D)").await.expect(204);
    assert_eq!(column(&api, "/api/contacts", "first_name").await, ["E"]);
    api.delete("/api/contacts?first_name=eq.Nobody").await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_read_changed_replaced_and_removed_by_its_id() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let api = app.sign_up("acme", "basic", "crm").await.data;
    let made = insert(&api, "contacts", json!({ "email": "a@example.com", "company": "Acme" })).await;
    let id = made[0]["id"].as_str().unwrap();
    let path = format!("/api/contacts/{id}");
    assert_eq!(api.get(&path).await.expect(200).json(), made[0]);
    assert_eq!(rows(&api, &format!("{path}?select=email")).await, json!({ "email": "a@example.com" }));

    api.patch(&path, json!({ "phone": "1" })).await.expect(204);
    let changed = write(&api, Method::PATCH, &path, "return=representation", json!({ "phone": "2" })).await;
    assert_eq!(changed.expect(200).json()["phone"], "2");
    api.put(&path, json!({ "email": "b@example.com" })).await.expect(204);
    let replaced = rows(&api, &path).await;
    assert_eq!((&replaced["email"], &replaced["id"]), (&json!("b@example.com"), &json!(id)));
    let other = format!("/api/contacts/{NO_ROW}");
    let put =
        write(&api, Method::PUT, &other, "return=representation", json!({ "email": "c@example.com" })).await;
    assert_eq!(put.expect(201).json()["id"], NO_ROW);
    api.put(&other, json!({ "id": id, "email": "x" })).await.expect_problem(400, "key_mismatch");
    api.delete(&other).await.expect(204);

    let gone = write(&api, Method::DELETE, &path, "return=representation", json!(null)).await;
    assert_eq!(gone.expect(200).json()["email"], "b@example.com");
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let answer = write(&api, method, &path, "", json!({ "phone": "3" })).await;
        answer.expect_problem(404, "row_not_found");
    }
    for bad in ["7", "no-uuid", "%27"] {
        let answer = api.get(&format!("/api/contacts/{bad}")).await;
        answer.expect_problem(400, "invalid_text_representation");
    }
    api.post(&path, json!({ "email": "x" })).await.expect_problem(405, "method_not_allowed");
    api.get("/api/nothing").await.expect_problem(404, "unknown_table");
    api.get(&format!("/api/nothing/{NO_ROW}")).await.expect_problem(404, "unknown_table");
    api.get(&format!("{path}/more")).await.expect_problem(404, "endpoint_not_found");
}
