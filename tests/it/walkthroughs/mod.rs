//! The seed documents (`../shared/seeds/`), one test each or a few: the document's own calls, as they
//! are mapped to ours, get the document's answers. Each file begins with the table of its calls.
//!
//! Slugs carry the test's suffix, since roles and databases are the whole server's.

mod cashflow;
mod crm;
mod mis;
mod salesflow;
mod solutechify;

use reqwest::Method;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tenantry_tests::{Answer, Api, TestApp};

/// `tenant_<sanitized name>`: schema, role and, where it has its own, database of a slug.
fn object_name(slug: &str) -> String {
    format!("tenant_{}", slug.replace('-', "_"))
}

/// POST that answers the row that was made, as the documents' clients expect it.
async fn create(api: &Api, path: &str, row: &Value) -> Value {
    let request = api
        .request(Method::POST, path)
        .header("prefer", "return=representation")
        .header("accept", "application/vnd.pgrst.object+json")
        .json(row);
    api.send(request).await.expect(201).json()
}

/// GET with one header.
async fn get_with(api: &Api, path: &str, header: &str, value: &str) -> Answer {
    api.send(api.request(Method::GET, path).header(header, value)).await
}

/// A connection to the tenant's database as its own role, with the password that the API reveals.
async fn as_the_tenant_s_role(app: &TestApp, slug: &str) -> PgConnection {
    let path = format!("/api/v1/tenants/{slug}/connection?reveal=true");
    let view = app.api.get(&path).await.expect(200).json();
    let text = |name: &str| view[name].as_str().unwrap().to_owned();
    let (role, password, host, database) = (text("role"), text("password"), text("host"), text("database"));
    let url = format!("postgres://{role}:{password}@{host}:{}/{database}", view["port"]);
    PgConnection::connect(&url).await.expect("the revealed connection works")
}

/// Asserts that PostgreSQL refuses a statement for want of a right.
async fn assert_refused_by_postgres(connection: &mut PgConnection, statement: String) {
    let error = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(connection).await.unwrap_err();
    let code = error.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
    assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
}
