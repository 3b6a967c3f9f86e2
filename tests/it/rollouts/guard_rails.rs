//! Guard rails before anything runs, and trying a rollout out.

use serde_json::json;
use sqlx::AssertSqlSafe;
use tenantry_tests::TestApp;

use super::fleet::{APP, Fleet, version};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unsafe_on_large_tables_is_refused_by_line_unless_it_is_forced() {
    let fleet = Fleet::of(TestApp::start().await, 2).await;
    let index = "-- find items by name\n\nCREATE INDEX items_name ON items (name)";
    fleet.push(version(2, index, None)).await;
    // On a table with a row it takes no time.
    let done = fleet.roll_out(json!({})).await;
    assert_eq!(done["tenants"]["done"], 2);
    let (mut session, schema) = fleet.session(&fleet.tenants[1]).await;
    let many = format!(
        "INSERT INTO \"{schema}\".items (name) SELECT 'x' FROM generate_series(1, 50000); ANALYZE \"{schema}\".items"
    );
    sqlx::raw_sql(AssertSqlSafe(many)).execute(&mut session).await.unwrap();
    fleet.push(version(3, "CREATE INDEX items_id ON items (id, name)", None)).await;
    fleet.push(version(4, "\nALTER TABLE items ALTER COLUMN name TYPE varchar(100)", None)).await;
    // Which tenant is the largest is known when what they take was measured.
    let measured = "INSERT INTO tenant_storage (tenant_id, bytes)
        SELECT id, CASE WHEN slug = $1 THEN 2 ELSE 1 END FROM tenants
        ON CONFLICT (tenant_id) DO UPDATE SET bytes = EXCLUDED.bytes";
    sqlx::query(measured).bind(&fleet.tenants[1]).execute(fleet.app.owner()).await.unwrap();
    let refused = fleet.app.api.post("/api/v1/rollouts", json!({ "app": APP })).await;
    let refused = refused.expect_problem(422, "version_unsafe").json();
    let found = refused["findings"].as_array().unwrap();
    let lines: Vec<_> = found
        .iter()
        .map(|found| {
            (
                found["version"].as_i64().unwrap(),
                found["line"].as_i64().unwrap(),
                found["rule"].as_str().unwrap(),
            )
        })
        .collect();
    assert!(lines.contains(&(3, 1, "require-concurrent-index-creation")), "{found:?}");
    assert!(lines.contains(&(4, 2, "changing-column-type")), "{found:?}");
    assert!(found.iter().all(|found| found["help"].is_string()), "{found:?}");
    let forced = fleet.roll_out(json!({ "force": true })).await;
    assert_eq!(forced["versions"], json!([{ "version": 4, "tenants": 2 }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_locks_and_times_and_leaves_nothing() {
    let fleet = Fleet::of(TestApp::start().await, 4).await;
    let before = fleet.catalog(&fleet.tenants[0]).await;
    let two = "ALTER TABLE items ADD COLUMN price int;\n\nCREATE INDEX items_price ON items (price);\nSELECT pg_sleep(0.05)";
    fleet.push(version(2, two, None)).await;
    let body = json!({ "app": APP });
    let tried = fleet.app.api.post("/api/v1/rollouts?dryRun=true", body.clone()).await.expect(200).json();
    assert_eq!(tried["targetVersion"], 2);
    let items = tried["items"].as_array().unwrap();
    assert_eq!(items.len(), 9, "three statements at three tenants: {tried}");
    let lines: Vec<_> = items[..3].iter().map(|item| item["line"].as_i64().unwrap()).collect();
    assert_eq!(lines, [1, 3, 4]);
    assert_eq!(items[0]["locks"], json!(["AccessExclusiveLock on items"]));
    assert_eq!(items[1]["locks"], json!(["ShareLock on items"]));
    assert!(items[2]["milliseconds"].as_f64().unwrap() >= 50.0, "{tried}");
    for slug in &fleet.tenants {
        assert_eq!((fleet.history(slug).await, &fleet.catalog(slug).await), (vec![1], &before));
    }
    let none = fleet.app.api.get("/api/v1/rollouts").await.expect(200).json();
    assert_eq!(none["items"], json!([]));
    // Where it fails, the statement and the reason are named.
    for slug in &fleet.tenants {
        let (mut session, schema) = fleet.session(slug).await;
        let long = format!("INSERT INTO \"{schema}\".items (name) VALUES ('much too long')");
        sqlx::query(AssertSqlSafe(long)).execute(&mut session).await.unwrap();
    }
    let check = "SELECT 1;\nALTER TABLE items ADD CONSTRAINT short CHECK (length(name) < 9)";
    fleet.push(version(3, check, None)).await;
    let tried = fleet.app.api.post("/api/v1/rollouts?dryRun=true", body).await.expect(200).json();
    let failed = tried["items"].as_array().unwrap().iter().find(|item| !item["error"].is_null()).unwrap();
    assert_eq!((&failed["version"], &failed["line"]), (&json!(3), &json!(2)));
    assert!(failed["error"].as_str().unwrap().contains("23514"), "{failed}");
}
