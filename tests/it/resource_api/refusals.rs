//! What is refused, and how that is told.

use reqwest::Method;
use serde_json::json;
use tenantry_tests::TestApp;

use super::{NO_ROW, insert, write};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_refuses_is_told_in_its_words() {
    let app = TestApp::build().without_daily_quotas().start().await;
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
    let app = TestApp::build().without_daily_quotas().start().await;
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
    let app = TestApp::build().without_daily_quotas().start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    tenant.data.get("/api/contacts").await.expect(200);
    // Behind everybody's back a trigger's function goes.
    let url = tenantry_cli::embedded::database_url(app.server(), app.shared_database());
    let mut behind = sqlx::PgConnection::connect(secrecy::ExposeSecret::expose_secret(&url)).await.unwrap();
    let schema = format!("tenant_{}", tenant.slug.replace('-', "_"));
    let row = insert(&tenant.data, "contacts", json!({ "email": "a@example.com" })).await;
    let path = format!("/api/contacts/{}", row[0]["id"].as_str().unwrap());
    let broken = format!("DELETE FROM pg_proc WHERE oid = '{schema}.set_updated_at'::regproc");
    sqlx::raw_sql(sqlx::AssertSqlSafe(broken)).execute(&mut behind).await.unwrap();
    let answer = tenant.data.patch(&path, json!({ "phone": "1" })).await.expect_problem(500, "internal");
    // The SQLSTATE is told: PostgREST's clients go by it.
    assert_eq!(answer.json()["code"], "XX000");
    for inside in ["cache lookup", &*schema, "set_updated_at", "contacts", "PL/pgSQL"] {
        assert!(!answer.text.contains(inside), "{inside}: {}", answer.text);
    }
    tenant.data.get(&path).await.expect(200);
}
