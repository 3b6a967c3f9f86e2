//! The tenant's tables as REST resources, as PostgREST would serve them.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tenantry_tests::{Answer, Api, TestApp};

const OBJECT: &str = "application/vnd.pgrst.object+json";
/// An id that no row has.
const NO_ROW: &str = "019a0000-0000-7000-8000-00000000dead";

/// Rows of one request, which must succeed.
async fn rows(api: &Api, path: &str) -> Value {
    let answer = api.get(path).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text);
    answer.json()
}

/// One column of the rows, as text.
async fn column(api: &Api, path: &str, name: &str) -> Vec<String> {
    let text = |row: &Value| row[name].as_str().map_or_else(|| row[name].to_string(), str::to_owned);
    rows(api, path).await.as_array().unwrap().iter().map(text).collect()
}

async fn send(api: &Api, request: RequestBuilder, headers: &[(&str, &str)]) -> Answer {
    api.send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

async fn get(api: &Api, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(api, api.request(Method::GET, path), headers).await
}

async fn write(api: &Api, method: Method, path: &str, prefer: &str, body: Value) -> Answer {
    send(api, api.request(method, path).json(&body), &[("prefer", prefer)]).await
}

/// Inserts and answers the rows.
async fn insert(api: &Api, table: &str, body: Value) -> Value {
    write(api, Method::POST, &format!("/api/{table}"), "return=representation", body).await.expect(201).json()
}

/// Five people of a CRM whose first names are their order.
async fn people(api: &Api) {
    insert(
        api,
        "contacts",
        json!([
            { "first_name": "A", "email": "a@acme.com", "company": "Acme", "phone": "1", "metadata": { "age": 20, "tags": ["x"] }, "created_at": "2026-01-01T00:00:00Z" },
            { "first_name": "B", "email": "b@acme.com", "company": "Acme", "phone": null, "metadata": { "age": 30, "vip": true }, "created_at": "2026-02-01T00:00:00Z" },
            { "first_name": "C", "email": "C@Globex.com", "company": "Globex", "phone": "3", "metadata": {}, "created_at": "2026-03-01T00:00:00Z" },
            { "first_name": "D", "email": "d,(e)@x.com", "company": null, "phone": "4", "metadata": { "age": 5 }, "created_at": "2026-04-01T00:00:00Z" },
            { "first_name": "E", "email": "100%_\\", "company": "O'Neil \"& Co\"", "phone": null, "metadata": {}, "created_at": "2026-05-01T00:00:00Z" },
        ]),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_find_what_postgrest_s_would() {
    let app = TestApp::start().await;
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
    let app = TestApp::start().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_chosen_renamed_and_cast() {
    let app = TestApp::start().await;
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
async fn rows_come_in_the_order_asked_for() {
    let app = TestApp::start().await;
    let api = app.sign_up("acme", "basic", "crm").await.data;
    people(&api).await;
    for (order, expected) in [
        ("first_name", "ABCDE"),
        ("first_name.asc", "ABCDE"),
        ("first_name.desc", "EDCBA"),
        ("phone.asc,first_name.desc", "ACDEB"),
        ("phone.asc.nullsfirst,first_name", "BEACD"),
        ("phone.desc,first_name", "BEDCA"),
        ("phone.desc.nullslast,first_name", "DCABE"),
        ("phone.nullsfirst,first_name.desc", "EBACD"),
        ("metadata->age.desc.nullslast,first_name", "BADCE"),
    ] {
        let path = format!("/api/contacts?select=first_name&order={order}");
        assert_eq!(column(&api, &path, "first_name").await.concat(), expected, "{order}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_asked_for_by_parameter_or_by_header() {
    let app = TestApp::start().await;
    let api = app.sign_up("acme", "basic", "crm").await.data;
    people(&api).await;
    let exact = ("prefer", "count=exact");
    for (query, headers, status, range, expected) in [
        ("", vec![], 200, "0-4/*", "ABCDE"),
        ("&limit=2", vec![], 200, "0-1/*", "AB"),
        ("&limit=2&offset=2", vec![], 200, "2-3/*", "CD"),
        ("&offset=4", vec![], 200, "4-4/*", "E"),
        ("&offset=9", vec![], 200, "*/*", ""),
        ("&limit=0", vec![], 200, "*/*", ""),
        ("", vec![("range", "0-1")], 200, "0-1/*", "AB"),
        ("", vec![("range", "1-2"), ("range-unit", "items")], 200, "1-2/*", "BC"),
        ("", vec![("range", "3-")], 200, "3-4/*", "DE"),
        ("", vec![("range", "1-3"), exact], 206, "1-3/5", "BCD"),
        ("&limit=2", vec![exact], 206, "0-1/5", "AB"),
        ("", vec![exact], 200, "0-4/5", "ABCDE"),
        ("&company=eq.Acme", vec![exact], 200, "0-1/2", "AB"),
        ("&company=eq.Nobody", vec![exact], 200, "*/0", ""),
        ("&company=eq.Acme&limit=1", vec![exact], 206, "0-0/2", "A"),
    ] {
        let path = format!("/api/contacts?select=first_name&order=first_name{query}");
        let answer = get(&api, &path, &headers).await.expect(status);
        assert_eq!(answer.header("content-range").as_deref(), Some(range), "{query} {headers:?}");
        let found: String =
            answer.json().as_array().unwrap().iter().map(|row| row["first_name"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{query} {headers:?}");
        let applied = answer.header("preference-applied");
        assert_eq!(applied.as_deref(), headers.contains(&exact).then_some("count=exact"));
    }
    let beyond = get(&api, "/api/contacts?offset=9", &[exact]).await.expect_problem(416, "bad_range");
    assert_eq!(beyond.header("content-range").as_deref(), Some("*/5"));
    get(&api, "/api/contacts", &[("range", "3-1")]).await.expect_problem(416, "bad_range");
    let head = send(&api, api.request(Method::HEAD, "/api/contacts?limit=2"), &[exact]).await.expect(206);
    assert_eq!((head.header("content-range").as_deref(), &*head.text), (Some("0-1/5"), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_answers_what_was_preferred() {
    let app = TestApp::start().await;
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
    let app = TestApp::start().await;
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
    let app = TestApp::start().await;
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
    let app = TestApp::start().await;
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
    api.get(&format!("{path}/more")).await.expect_problem(404, "no_such_endpoint");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_object_is_answered_only_where_there_is_one_row() {
    let app = TestApp::start().await;
    let api = app.sign_up("acme", "basic", "crm").await.data;
    people(&api).await;
    let object = ("accept", OBJECT);
    let one = get(&api, "/api/contacts?first_name=eq.A&select=email", &[object]).await.expect(200);
    assert_eq!(one.json(), json!({ "email": "a@acme.com" }));
    assert!(one.header("content-type").unwrap().starts_with(OBJECT));
    for filter in ["first_name=eq.Nobody", "company=eq.Acme"] {
        get(&api, &format!("/api/contacts?{filter}"), &[object]).await.expect_problem(406, "not_singular");
    }
    get(&api, "/api/contacts", &[("accept", "text/csv")]).await.expect_problem(406, "not_acceptable");

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
async fn related_rows_are_embedded_in_both_directions_and_across_a_junction() {
    let app = TestApp::start().await;
    for plan in ["basic", "premium"] {
        let api = app.sign_up(plan, plan, "salesflow").await.data;
        let contacts = insert(
            &api,
            "contacts",
            json!([{ "firstName": "Ann", "lastName": "A" }, { "firstName": "Bob", "lastName": null }]),
        )
        .await;
        let (ann, bob) = (&contacts[0]["id"], &contacts[1]["id"]);
        let tags =
            insert(&api, "tags", json!([{ "name": "hot" }, { "name": "old" }, { "name": "unused" }])).await;
        let tied = |contact: &Value, tag: usize| json!({ "contactId": contact, "tagId": tags[tag]["id"] });
        insert(&api, "contact_tags", json!([tied(ann, 0), tied(ann, 1), tied(bob, 1)])).await;
        insert(
            &api,
            "activities",
            json!([
                { "contactId": ann, "type": "call", "subject": "First", "occurredAt": "2026-01-01T00:00:00Z" },
                { "contactId": ann, "type": "note", "subject": "Second", "occurredAt": "2026-01-02T00:00:00Z" },
            ]),
        )
        .await;

        for (path, expected) in [
            // To many.
            (
                "contacts?select=firstName,activities(subject)&order=firstName&activities.order=occurredAt",
                json!([
                    { "firstName": "Ann", "activities": [{ "subject": "First" }, { "subject": "Second" }] },
                    { "firstName": "Bob", "activities": [] },
                ]),
            ),
            // To one.
            (
                "activities?select=subject,contacts(firstName)&order=subject&limit=1",
                json!([{ "subject": "First", "contacts": { "firstName": "Ann" } }]),
            ),
            (
                "activities?select=subject,...contacts(firstName)&subject=eq.First",
                json!([{ "subject": "First", "firstName": "Ann" }]),
            ),
            // Many to many.
            (
                "contacts?select=firstName,tags(name)&order=firstName&tags.order=name.desc",
                json!([
                    { "firstName": "Ann", "tags": [{ "name": "old" }, { "name": "hot" }] },
                    { "firstName": "Bob", "tags": [{ "name": "old" }] },
                ]),
            ),
            (
                "tags?select=name,contacts(firstName)&name=in.(hot,old,unused)&order=name&contacts.order=firstName",
                json!([
                    { "name": "hot", "contacts": [{ "firstName": "Ann" }] },
                    { "name": "old", "contacts": [{ "firstName": "Ann" }, { "firstName": "Bob" }] },
                    { "name": "unused", "contacts": [] },
                ]),
            ),
            // The junction itself.
            (
                "contactTags?select=contacts(firstName),tags!inner(name)&tags.name=eq.hot",
                json!([{ "contacts": { "firstName": "Ann" }, "tags": { "name": "hot" } }]),
            ),
            // Filters, pages and names of the embedded.
            (
                "contacts?select=firstName,last:activities(subject)&firstName=eq.Ann&last.order=occurredAt.desc&last.limit=1",
                json!([{ "firstName": "Ann", "last": [{ "subject": "Second" }] }]),
            ),
            (
                "contacts?select=firstName,activities(subject)&activities.type=eq.call&order=firstName",
                json!([{ "firstName": "Ann", "activities": [{ "subject": "First" }] }, { "firstName": "Bob", "activities": [] }]),
            ),
            (
                "contacts?select=firstName,activities!inner(subject)&activities.type=eq.call",
                json!([{ "firstName": "Ann", "activities": [{ "subject": "First" }] }]),
            ),
            ("contacts?select=firstName,tags!inner()&tags.name=eq.hot", json!([{ "firstName": "Ann" }])),
            // Nested.
            (
                "activities?select=subject,contacts(firstName,tags(name))&subject=eq.First&contacts.tags.order=name",
                json!([{ "subject": "First", "contacts": { "firstName": "Ann", "tags": [{ "name": "hot" }, { "name": "old" }] } }]),
            ),
            (
                "activities?select=subject,contacts(firstName)&order=contacts(firstName),subject.desc",
                json!([
                    { "subject": "Second", "contacts": { "firstName": "Ann" } },
                    { "subject": "First", "contacts": { "firstName": "Ann" } },
                ]),
            ),
        ] {
            assert_eq!(rows(&api, &format!("/api/{path}")).await, expected, "{path}");
        }
        api.get("/api/tags?select=*,activities(*)").await.expect_problem(400, "unknown_relationship");
        // What was written may be answered with what belongs to it.
        let made = write(
            &api,
            Method::POST,
            "/api/activities?select=subject,contacts(firstName)",
            "return=representation",
            json!({ "contactId": bob, "subject": "Third" }),
        )
        .await;
        let expected = json!([{ "subject": "Third", "contacts": { "firstName": "Bob" } }]);
        assert_eq!(made.expect(201).json(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_in_camel_case_is_so_everywhere_and_takes_both() {
    let app = TestApp::start().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_is_told_in_its_words() {
    let app = TestApp::start().await;
    for plan in ["basic", "premium"] {
        let sales = app.sign_up(&format!("sales-{plan}"), plan, "salesflow").await.data;
        let made = insert(&sales, "contacts", json!({ "firstName": "Ann" })).await;
        insert(&sales, "tags", json!({ "name": "hot" })).await;
        let row = format!("/api/contacts/{}", made[0]["id"].as_str().unwrap());
        for (method, path, body, status, code, state) in [
            (Method::POST, "/api/tags", json!({ "name": "hot" }), 409, "unique_violation", "23505"),
            (
                Method::POST,
                "/api/activities",
                json!({ "contactId": NO_ROW, "subject": "x" }),
                409,
                "foreign_key_violation",
                "23503",
            ),
            (Method::POST, "/api/contacts", json!({ "email": "x" }), 400, "not_null_violation", "23502"),
            (Method::PATCH, &row, json!({ "firstName": null }), 400, "not_null_violation", "23502"),
            (
                Method::POST,
                "/api/tags",
                json!({ "name": "x", "color": "red" }),
                400,
                "check_violation",
                "23514",
            ),
            (
                Method::POST,
                "/api/contacts",
                json!({ "id": "7", "firstName": "x" }),
                400,
                "invalid_text_representation",
                "22P02",
            ),
            (Method::GET, "/api/contacts?id=eq.7", json!(null), 400, "invalid_text_representation", "22P02"),
            (
                Method::GET,
                "/api/contacts?createdAt=gt.yesterdayish",
                json!(null),
                400,
                "invalid_datetime",
                "22007",
            ),
            (
                Method::GET,
                "/api/contacts?email=match.(",
                json!(null),
                400,
                "invalid_regular_expression",
                "2201B",
            ),
            (
                Method::GET,
                "/api/contacts?select=firstName::int",
                json!(null),
                400,
                "invalid_text_representation",
                "22P02",
            ),
        ] {
            let answer = write(&sales, method, path, "", body).await.expect_problem(status, code);
            let problem = answer.json();
            assert_eq!(problem["sqlState"], state, "{problem}");
            assert!(problem["message"].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
            for internal in ["tenant_", "pg_temp", "CAST(", "tenantry"] {
                let told = [&problem["message"], &problem["detail"], &problem["details"], &problem["hint"]];
                assert!(
                    !told.iter().any(|text| text.to_string().contains(internal)),
                    "{internal}: {problem}"
                );
            }
            // The connection that the statement failed on goes on to serve.
            sales.get(&row).await.expect(200);
        }
        let answer = sales.post("/api/tags", json!({ "name": "hot" })).await.json();
        assert_eq!(answer["constraint"], "tags_name_key");
        assert!(answer["details"].as_str().unwrap().contains("already exists"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_client_sends_is_our_fault() {
    let app = TestApp::start().await;
    let crm = app.sign_up("acme", "basic", "crm").await.data;
    let sales = app.sign_up("sales", "basic", "salesflow").await.data;
    let contact = insert(&crm, "contacts", json!({ "email": "a@example.com" })).await;
    let thread = insert(&crm, "conversations", json!({ "contact_id": contact[0]["id"] })).await;
    // Longer than a page of an index, and hard to compress.
    let long: String = (0..4_000).map(|_| tenantry_tests::app::random_suffix()).collect();
    // More words than a text search holds.
    let words: Vec<String> = (0..130_000).map(|n| format!("w{n:07}")).collect();
    let words = words.join(" ");
    crm.post("/api/contacts", json!({ "email": long })).await.expect_problem(400, "value_too_long");
    let message = json!({ "conversation_id": thread[0]["id"], "content": words });
    crm.post("/api/messages", message).await.expect_problem(400, "value_too_long");
    for (api, method, path, body) in [
        (&crm, Method::POST, "/api/contacts", json!({ "email": "x", "metadata": [] })),
        (&crm, Method::POST, "/api/contacts", json!({ "email": "x", "created_at": "294277-01-01" })),
        (&crm, Method::POST, "/api/contacts", json!({ "email": "x", "created_at": {} })),
        (&crm, Method::POST, "/api/contacts", json!([[]])),
        (&crm, Method::POST, "/api/contacts", json!(null)),
        (&crm, Method::PATCH, "/api/contacts?email=eq.a@example.com", json!({ "id": null })),
        (&crm, Method::GET, "/api/contacts?metadata=gt.x", json!(null)),
        (&crm, Method::GET, "/api/contacts?id=like.*", json!(null)),
        (&crm, Method::GET, "/api/contacts?created_at=like.*", json!(null)),
        (&crm, Method::GET, "/api/contacts?metadata=fts.x", json!(null)),
        (&crm, Method::GET, "/api/contacts?id=cs.x", json!(null)),
        (&crm, Method::GET, "/api/contacts?email=ov.x", json!(null)),
        (&crm, Method::GET, "/api/contacts?email=adj.x", json!(null)),
        (&crm, Method::GET, "/api/contacts?email=is.true", json!(null)),
        (&crm, Method::GET, "/api/contacts?email=eq(any).x", json!(null)),
        (&crm, Method::GET, "/api/contacts?email=eq(any).{{a},{b,c}}", json!(null)),
        (&crm, Method::GET, r"/api/contacts?email=like.a\", json!(null)),
        (&crm, Method::GET, "/api/contacts?email=match.((((a*)*)*)*)*%5C", json!(null)),
        (&crm, Method::GET, "/api/contacts?email=match.a{99999}", json!(null)),
        (&crm, Method::GET, "/api/contacts?email=fts.%26", json!(null)),
        (&crm, Method::GET, "/api/contacts?email=wfts.%22", json!(null)),
        (&crm, Method::GET, "/api/contacts?select=metadata::int", json!(null)),
        (&crm, Method::GET, "/api/contacts?select=created_at::numeric", json!(null)),
        (&crm, Method::GET, "/api/contacts?select=email->x->y", json!(null)),
        (&crm, Method::GET, "/api/contacts?order=metadata->a->b->>c", json!(null)),
        (&crm, Method::GET, "/api/contacts?metadata->99999999999=eq.1", json!(null)),
        (&crm, Method::GET, "/api/contacts?created_at->>x=eq.1", json!(null)),
        (
            &crm,
            Method::GET,
            "/api/contacts?limit=9223372036854775807&offset=9223372036854775807",
            json!(null),
        ),
        (&sales, Method::POST, "/api/contactTags", json!({ "contactId": 1, "tagId": true })),
        (&sales, Method::GET, "/api/contactTags/7", json!(null)),
        (&sales, Method::PUT, "/api/tags?name=eq.x", json!({ "name": "x" })),
        (&sales, Method::POST, "/api/tags?on_conflict=name,color", json!({ "name": "x" })),
    ] {
        let name = format!("{method} {path} {}", body.to_string().chars().take(80).collect::<String>());
        let answer = write(api, method, path, "resolution=merge-duplicates", body).await;
        assert!(!answer.status.is_server_error(), "{name}: {}", answer.text);
        if answer.status.is_client_error() {
            answer.assert_problem();
        }
        // Each connection of the pool goes on to serve.
        crm.get("/api/contacts?select=id").await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_our_fault_tells_nothing_of_the_inside() {
    use sqlx::Connection;
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    tenant.data.get("/api/contacts").await.expect(200);
    // Behind everybody's back a trigger is broken.
    let url = tenantry_cli::embedded::database_url(app.server(), app.shared_database());
    let mut behind = sqlx::PgConnection::connect(secrecy::ExposeSecret::expose_secret(&url)).await.unwrap();
    let schema = format!("tenant_{}", tenant.slug.replace('-', "_"));
    let broken = format!(
        "CREATE OR REPLACE FUNCTION {schema}.set_updated_at() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN RAISE EXCEPTION ''secret of the inside'' USING ERRCODE = ''XX000''; END'"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(broken)).execute(&mut behind).await.unwrap();
    let row = insert(&tenant.data, "contacts", json!({ "email": "a@example.com" })).await;
    let path = format!("/api/contacts/{}", row[0]["id"].as_str().unwrap());
    let answer = tenant.data.patch(&path, json!({ "phone": "1" })).await.expect_problem(500, "internal");
    for inside in ["secret", "XX000", &*schema, "set_updated_at", "contacts", "PL/pgSQL"] {
        assert!(!answer.text.contains(inside), "{inside}: {}", answer.text);
    }
    tenant.data.get(&path).await.expect(200);
}
