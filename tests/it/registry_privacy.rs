//! Tenants on the server that holds the registry: `dev`, and small installations.

use std::sync::Arc;

use sqlx::{Connection, PgConnection};
use tenantry_postgres::embedded::Durability;
use tenantry_tests::{TestApp, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_s_own_login_connects_to_no_database_but_its_own() {
    let postgres = Arc::new(server::start(Durability::Volatile).await.unwrap());
    let app = TestApp::build().on_server(Arc::clone(&postgres)).with_apps(&["crm"]).start().await;
    let registry = app.registry_url();
    let registry = secrecy::ExposeSecret::expose_secret(registry).rsplit('/').next().unwrap().to_owned();
    for plan in ["basic", "premium"] {
        let tenant = app.sign_up(plan, plan, "crm").await;
        let path = format!("/api/v1/tenants/{}/connection?reveal=true", tenant.slug);
        let own = app.api.get(&path).await.expect(200).json();
        let text = |name: &str| own[name].as_str().unwrap().to_owned();
        let url = |database: &str| {
            format!(
                "postgres://{}:{}@{}:{}/{database}",
                text("role"),
                text("password"),
                text("host"),
                own["port"]
            )
        };
        PgConnection::connect(&url(&text("database"))).await.unwrap().close().await.unwrap();
        for database in [registry.as_str(), "postgres", "template1"] {
            let refused = PgConnection::connect(&url(database)).await.expect_err(database);
            let code =
                refused.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
            assert_eq!(code, "42501", "{database}: {refused}");
        }
    }
}
