//! Values that name things of the database.

use serde_json::json;
use tenantry_tests::TestApp;

const KINDS: &str = "CREATE TABLE kinds (
    id int PRIMARY KEY, of_class regclass, of_type regtype, of_space regnamespace, of_role regrole,
    of_function regprocedure, of_search regconfig)";

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_names_what_is_not_there_is_the_client_s_mistake() {
    let app = TestApp::build().without_daily_quotas().with_apps(&[]).start().await;
    app.api.put("/api/v1/apps/kinds", json!({})).await.expect(200);
    let version = json!({ "version": 1, "name": "kinds", "up": KINDS });
    app.api.post("/api/v1/apps/kinds/versions", version).await.expect(201);
    let tenant = app.sign_up("acme", "basic", "kinds").await;
    for column in ["of_class", "of_type", "of_space", "of_role", "of_function", "of_search"] {
        for value in ["nowhere", "no.where", "no.where(int)"] {
            let read = tenant.data.get(&format!("/api/kinds?{column}=eq.{value}")).await;
            // A table or function that is not there is PostgREST's 404.
            assert!([400, 404].contains(&read.status.as_u16()), "{column}=eq.{value}: {}", read.text);
            let write = tenant.data.post("/api/kinds", json!({ "id": 1, column: value })).await;
            assert!([400, 404].contains(&write.status.as_u16()), "{column}: {value}: {}", write.text);
        }
    }
    assert_eq!(tenant.data.get("/api/kinds").await.expect(200).json(), json!([]));
}
