//! The tenant's tables as REST resources, as PostgREST would serve them. One file per topic.

mod columns;
mod filters;
mod pages;
mod refusals;
mod related_rows;
mod writes;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tenantry_tests::{Answer, Api};

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
