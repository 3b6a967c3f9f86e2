//! Versions of apps are tried before they are accepted.

use std::{sync::Arc, time::Duration};

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantry_registry::{Part, Registry};
use tenantry_tests::{TestApp, app::random_suffix, cli::Cli, probe::Gate, server, within::within};
use tenantry_worker::reconcilers;

const VERSION: i64 = 20_991_231_000_000;
const VERSIONS: &str = "/api/v1/apps/crm/versions";

fn version(up: &str, down: Option<&str>) -> Value {
    json!({ "version": VERSION, "name": "more", "up": up, "down": down })
}

/// The names of scratch schemas, roles and databases that belong to no trial at work.
async fn scratch(app: &TestApp) -> Vec<String> {
    let mut shared = server::admin(app.server(), app.shared_database()).await;
    let left = "SELECT nspname::text FROM pg_namespace WHERE starts_with(nspname, 'tenantry_trial_')
        UNION SELECT relname::text FROM pg_class WHERE relname IN ('trial_a', 'trial_b')";
    let left = sqlx::query_scalar(left).fetch_all(&mut shared).await.unwrap();
    shared.close().await.unwrap();
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_postgresql_refuses_is_named_with_its_line_and_sign_ups_go_on() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    let before = app.api.get("/api/v1/apps/crm").await.expect(200).json();
    for (up, down, part, line, says) in [
        ("CREATE TABLE trial_a (id int);\n\ncreate table broken(", None, "up", json!(3), "syntax error"),
        ("CREATE TABLE trial_a (id int);\nINSERT INTO nowhere VALUES (1);", None, "up", json!(2), "nowhere"),
        (
            "SELECT 1;\n\nDO $$ BEGIN\n  RAISE 'too bad' USING HINT = 'mend it'; END $$",
            None,
            "up",
            Value::Null,
            "mend it",
        ),
        ("CREATE TABLE trial_a ()", Some("\nDROP TABLE nowhere"), "down", Value::Null, "nowhere"),
        (
            "CREATE TABLE trial_a (); CREATE TABLE trial_b ()",
            Some("DROP TABLE trial_a"),
            "up_again",
            Value::Null,
            "trial_b",
        ),
        (
            "CREATE TABLE tenantry_sessions (a int)",
            Some("DROP TABLE tenantry_sessions"),
            "up",
            Value::Null,
            "Tenantry's own",
        ),
    ] {
        let refused = app.api.post(VERSIONS, version(up, down)).await.expect_problem(422, "version_invalid");
        let problem = refused.json();
        assert_eq!((&problem["part"], &problem["line"]), (&json!(part), &line), "{up}: {problem}");
        assert_eq!(problem["version"], VERSION);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(says) && detail.contains(&VERSION.to_string()), "{detail}");
    }
    assert_eq!(app.api.get("/api/v1/apps/crm").await.expect(200).json(), before);
    assert_eq!(scratch(&app).await, Vec::<String>::new());
    assert_eq!(app.count("SELECT count(*) FROM inquiries").await, 0);
    let tenant = app.sign_up("acme", "basic", "crm").await;
    tenant.data.get("/api/contacts").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_limit_that_a_version_leaves_behind_does_not_end_its_trial() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    let sleep = "SELECT pg_sleep(0.05)";
    let limited = version(&format!("SET statement_timeout = 1; {sleep}"), Some(sleep));
    app.api.post(VERSIONS, limited).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_with_its_owner_s_rights_is_refused_in_an_app_that_runs_text() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    let rights = |rights: &str| {
        format!(
            "CREATE FUNCTION run(code text) RETURNS SETOF text LANGUAGE plpgsql {rights} AS
                $$ BEGIN RETURN QUERY EXECUTE code; END $$"
        )
    };
    // Also where the text does not show it.
    let hidden = format!(
        "{}; DO $$ BEGIN EXECUTE 'ALTER FUNCTION run SECURITY DEF' || 'INER'; END $$",
        rights("SECURITY INVOKER")
    );
    for up in [rights("SECURITY DEFINER"), hidden] {
        let refused = app.api.post(VERSIONS, version(&up, None)).await.expect_problem(422, "version_invalid");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("function run is SECURITY DEFINER"), "{detail}");
    }
    assert_eq!(scratch(&app).await, Vec::<String>::new());
    app.api.post(VERSIONS, version(&rights("SECURITY INVOKER"), None)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_that_does_not_go_with_a_version_is_a_warning() {
    let app = TestApp::build().with_apps(&[]).start().await;
    let seed = "INSERT INTO items VALUES (1);\nINSERT INTO items VALUES ('one')";
    app.api.put("/api/v1/apps/shop", json!({ "seed": seed })).await.expect(200);
    let body = json!({ "version": 1, "name": "items", "up": "CREATE TABLE items (id int)" });
    let pushed = app.api.post("/api/v1/apps/shop/versions", body).await.expect(201).json();
    // It may be that of a later version, and can be replaced; a version cannot.
    let warning = pushed["trial"]["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("the seed fails in line 2: invalid input syntax"), "{warning}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tries_a_version_and_keeps_nothing() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    let before = app.api.get("/api/v1/apps/crm").await.expect(200).json();
    let good = version("CREATE TABLE trial_a (id int)", Some("DROP TABLE trial_a"));
    let tried = app.api.post(&format!("{VERSIONS}?dryRun=true"), good.clone()).await.expect(200).json();
    assert_eq!(tried["trial"], json!({ "tried": true, "server": "main", "warnings": [] }));
    let bad = version("create table broken(", None);
    app.api.post(&format!("{VERSIONS}?dryRun=true"), bad).await.expect_problem(422, "version_invalid");
    assert_eq!(app.api.get("/api/v1/apps/crm").await.expect(200).json(), before);
    assert_eq!(scratch(&app).await, Vec::<String>::new());

    // Pushed it is tried once; there already it is not tried again, so no worker is needed.
    let pushed = app.api.post(VERSIONS, good.clone()).await.expect(201).json();
    assert_eq!(pushed["trial"]["tried"], true);
    let mut app = app;
    app.stop_worker().await;
    assert_eq!(app.api.post(VERSIONS, good).await.expect(200).json()["trial"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unsafe_for_tenants_with_data_is_named_and_accepted() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    let up = "CREATE TABLE trial_a (id int);\nCREATE INDEX trial_a_id ON trial_a (id);\n
        CREATE INDEX contacts_company ON contacts (company);\nALTER TABLE contacts DROP COLUMN phone;";
    let body = version(
        up,
        Some("DROP TABLE trial_a; DROP INDEX contacts_company; ALTER TABLE contacts ADD COLUMN phone text"),
    );
    let rules = |answer: &Value| {
        let findings = answer["findings"].as_array().unwrap().iter();
        let parts = findings.map(|finding| json!([finding["rule"], finding["line"], finding["weight"]]));
        parts.collect::<Vec<_>>()
    };
    // The table that it makes is empty, those of the versions before it are not.
    let expected =
        [json!(["require-concurrent-index-creation", 4, "unsafe"]), json!(["ban-drop-column", 5, "unsafe"])];
    let tried = app.api.post(&format!("{VERSIONS}?dryRun=true"), body.clone()).await.expect(200).json();
    assert_eq!(rules(&tried), expected);
    let help = tried["findings"][0]["help"].as_str().unwrap();
    assert!(help.contains("CREATE INDEX CONCURRENTLY"), "{help}");
    let pushed = app.api.post(VERSIONS, body.clone()).await.expect(201).json();
    assert_eq!(rules(&pushed), expected);
    // What is there already was looked at when it was pushed.
    assert_eq!(rules(&app.api.post(VERSIONS, body).await.expect(200).json()), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_ends_its_transaction_is_refused_and_leaves_nothing() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    for up in [
        "CREATE TABLE trial_a (id int);\nCOMMIT;\nCREATE TABLE trial_b (id int);",
        "BEGIN; CREATE TABLE trial_a (id int); COMMIT;",
        "CREATE TABLE trial_a (id int); ROLLBACK; CREATE TABLE trial_b (id int)",
        "CREATE TABLE trial_a (id int); DO $$ BEGIN COMMIT; END $$",
        "CREATE TABLE trial_a (id int); CREATE INDEX CONCURRENTLY a_id ON trial_a (id)",
        "CREATE TABLE trial_a (id int); /* ; COMMIT",
        "CREATE TABLE trial_a (id int) $tenantry$; COMMIT; DO $tenantry$ BEGIN NULL; END",
    ] {
        let refused = app.api.post(VERSIONS, version(up, None)).await.expect_problem(422, "version_invalid");
        if up.contains("\nCOMMIT") {
            assert!(refused.text.contains("Leave out what begins or ends one"), "{}", refused.text);
        }
        assert_eq!(scratch(&app).await, Vec::<String>::new(), "{up}");
    }
    app.sign_up("acme", "basic", "crm").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_runs_outside_of_a_transaction_is_tried_in_a_database_of_its_own() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    let broken = "-- no-transaction\nCREATE INDEX CONCURRENTLY";
    let refused = app.api.post(VERSIONS, version(broken, None)).await.expect_problem(422, "version_invalid");
    assert_eq!(refused.json()["line"], 2, "{}", refused.text);
    let up = "-- no-transaction\nCREATE INDEX CONCURRENTLY contacts_created ON contacts (created_at)";
    let down = "-- no-transaction\nDROP INDEX CONCURRENTLY contacts_created";
    let pushed = app.api.post(VERSIONS, version(up, Some(down))).await.expect(201).json();
    assert_eq!(pushed["trial"]["tried"], true);
    let left = async || -> bool {
        let mut postgres = server::admin(app.server(), "postgres").await;
        let count = "SELECT (SELECT count(*) FROM pg_database WHERE starts_with(datname, 'tenantry_trial_')
            AND NOT starts_with(datname, 'tenantry_trial_dead'))
            + (SELECT count(*) FROM pg_roles WHERE starts_with(rolname, 'tenantry_trial_')
            AND NOT starts_with(rolname, 'tenantry_trial_dead'))";
        let count: i64 = sqlx::query_scalar(count).fetch_one(&mut postgres).await.unwrap();
        postgres.close().await.unwrap();
        count == 0
    };
    assert!(left().await, "the scratch database or its role is still there");
    app.api.post(&format!("{VERSIONS}/{VERSION}/promote"), json!({})).await.expect(200);
    app.sign_up("acme", "basic", "crm").await;
}

/// How many of a trial's database and role there are.
async fn trial_objects(postgres: &mut PgConnection, name: &str) -> i64 {
    let count = "SELECT (SELECT count(*) FROM pg_database WHERE datname = $1)
                      + (SELECT count(*) FROM pg_roles WHERE rolname = $1)";
    sqlx::query_scalar(count).bind(name).fetch_one(postgres).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_worker_left_of_a_trial_is_dropped_and_what_another_is_at_is_not() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    app.sign_up("acme", "basic", "crm").await;
    let (dead, alive) = (
        format!("tenantry_trial_dead{}", random_suffix()),
        format!("tenantry_trial_dead{}", random_suffix()),
    );
    let mut postgres = server::admin(app.server(), "postgres").await;
    for name in [&dead, &alive] {
        for sql in [
            format!("CREATE DATABASE {name}"),
            format!("CREATE ROLE {name}"),
            format!("COMMENT ON ROLE {name} IS 'tenantry:trial'"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut postgres).await.unwrap();
        }
    }
    let lock = "SELECT pg_advisory_lock(hashtextextended('tenantry:trial:' || $1, 0))";
    sqlx::query(lock).bind(&alive).execute(&mut postgres).await.unwrap();
    // Where a worker of another test is at it already, it is left to that one.
    within(Duration::from_secs(20), "the dead worker's trial is dropped", async || {
        reconcilers::drop_trials::run(app.worker.as_ref().unwrap().resources()).await.unwrap();
        trial_objects(&mut postgres, &dead).await == 0
    })
    .await;
    assert_eq!(trial_objects(&mut postgres, &alive).await, 2);
    postgres.close().await.unwrap();
    reconcilers::drop_trials::run(app.worker.as_ref().unwrap().resources()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn new_tenants_get_the_promoted_version_and_one_that_no_tenant_has_can_be_withdrawn() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    // Once somebody has the app, a pushed version waits to be promoted.
    app.sign_up("first", "basic", "crm").await;
    let more = version("CREATE TABLE more (id int PRIMARY KEY)", Some("DROP TABLE more"));
    app.api.post(VERSIONS, more.clone()).await.expect(201);
    let before = app.sign_up("before", "basic", "crm").await;
    before.data.get("/api/more").await.expect(404);
    before.data.get("/api/contacts").await.expect(200);

    // Nobody has it: withdrawn, and pushed again.
    app.api.delete(&format!("{VERSIONS}/{VERSION}")).await.expect(204);
    app.api.post(VERSIONS, more).await.expect(201);
    app.api.post(&format!("{VERSIONS}/{VERSION}/promote"), json!({})).await.expect(200);
    for plan in ["basic", "premium"] {
        let after = app.sign_up(&format!("after-{plan}"), plan, "crm").await;
        after.data.get("/api/more").await.expect(200);
    }
    app.api.delete(&format!("{VERSIONS}/{VERSION}")).await.expect_problem(409, "version_in_use");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_version_of_an_app_can_be_withdrawn_while_no_tenant_has_it() {
    let app = TestApp::build().with_apps(&[]).start().await;
    app.api.put("/api/v1/apps/shop", json!({})).await.expect(200);
    let path = "/api/v1/apps/shop/versions";
    let items = |up: &str| json!({ "version": 1, "name": "items", "up": up });
    app.api.post(path, items("CREATE TABLE items (id int)")).await.expect(201);
    app.api.delete(&format!("{path}/1")).await.expect(204);
    let shop = app.api.get("/api/v1/apps/shop").await.expect(200).json();
    assert_eq!((&shop["promotedVersion"], &shop["versions"]), (&Value::Null, &json!([])));
    app.api.post(path, items("CREATE TABLE items (id int PRIMARY KEY)")).await.expect(201);
    app.sign_up("acme", "basic", "shop").await;
    app.api.delete(&format!("{path}/1")).await.expect_problem(409, "version_in_use");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_whose_objects_hold_their_schema_s_name_is_accepted_with_a_warning() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    let up = "CREATE FUNCTION seven() RETURNS int LANGUAGE sql SET search_path FROM CURRENT AS 'SELECT 7'";
    let pushed = app.api.post(VERSIONS, version(up, Some("DROP FUNCTION seven"))).await.expect(201).json();
    let warnings = pushed["trial"]["warnings"].to_string();
    assert!(warnings.contains("are made when they sign up"), "{warnings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_worker_nothing_is_accepted_that_was_not_tried() {
    let app = TestApp::build().without_worker().with_apps(&["crm"]).start().await;
    let push = app.api.post(VERSIONS, version("CREATE TABLE trial_a ()", None));
    let (push, check) = tokio::join!(push, app.api.post("/api/v1/servers/main/check", json!({})));
    for answer in [push, check] {
        let refused = answer.expect_problem(503, "no_worker");
        assert!(refused.header("retry-after").is_some());
    }
    assert_eq!(app.count("SELECT count(*) FROM inquiries").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inquiry_whose_worker_died_is_answered_by_another() {
    let app = TestApp::build().without_worker().with_apps(&["crm"]).start().await;
    let registry = Registry::connect_lazy(app.registry_url().expose_secret(), Part::Worker, 2).unwrap();
    let asked = tokio::spawn({
        let api = app.api.clone();
        async move { api.post("/api/v1/servers/main/check", json!({})).await }
    });
    // Taken by a worker that is never heard of again, while another looks on.
    let claim = Duration::from_secs(2);
    let taken = async || registry.inquiry_take(claim).await.unwrap().is_some();
    within(Duration::from_secs(10), "the question is asked", taken).await;
    assert_eq!(registry.inquiry_take(claim).await.unwrap(), None, "two workers are at one question");
    let _second = app.second_worker();
    assert_eq!(asked.await.unwrap().expect(200).json()["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_names_file_and_line_of_a_version_that_is_refused() {
    let app = TestApp::build().with_apps(&[]).start().await;
    let cli = Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
        .env("TENANTRY_URL", app.api.address().to_string())
        .env("TENANTRY_API_KEY", app.key.expose_secret());
    cli.run(&["apps", "new", "inventory"]).await.succeeded();
    // With its own manifest and seed, before it is there.
    cli.run(&["apps", "push", "inventory", "--dry-run"]).await.succeeded();
    app.api.get("/api/v1/apps/inventory").await.expect_problem(404, "app_not_found");
    cli.run(&["apps", "push", "inventory"]).await.succeeded();
    let (up, down) = (
        cli.home().join("inventory/20991231000000_more.up.sql"),
        cli.home().join("inventory/20991231000000_more.down.sql"),
    );
    std::fs::write(&up, "CREATE TABLE more (id int);\ncreate table broken(\n").unwrap();
    for command in [&["apps", "push", "inventory", "--dry-run"][..], &["apps", "push", "inventory"]] {
        let failed = cli.run(command).await.failed();
        assert!(failed.contains("20991231000000_more.up.sql:2 cannot be pushed"), "{failed}");
        assert!(failed.contains("syntax error at end of input"), "{failed}");
    }
    std::fs::write(&up, "CREATE TABLE more (id int);\n").unwrap();
    std::fs::write(&down, "\nDROP TABLE more WRONG;\n").unwrap();
    let failed = cli.run(&["apps", "push", "inventory", "--dry-run"]).await.failed();
    assert!(failed.contains("20991231000000_more.down.sql:2 cannot be pushed"), "{failed}");
    std::fs::write(&down, "DROP TABLE more;\n").unwrap();
    let tried = cli.run(&["apps", "push", "inventory", "--dry-run"]).await.succeeded();
    assert!(tried.contains("can be pushed"), "{tried}");
    std::fs::write(&up, "CREATE TABLE more (id int);\nUPDATE items SET name = '';\n").unwrap();
    let tried = cli.run(&["apps", "push", "inventory", "--dry-run"]).await.succeeded();
    assert!(tried.contains("20991231000000_more.up.sql:2: unsafe: `items`: "), "{tried}");
    assert!(tried.contains("[whole-table-update]\n       safer: "), "{tried}");
    cli.run(&["apps", "push", "inventory", "--promote"]).await.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_a_sign_up_has_begun_with_is_not_deleted_under_it() {
    let gate = Arc::new(Gate::at("create_schema"));
    let app = TestApp::build().with_apps(&["crm"]).with_shared_probe(gate.clone()).start().await;
    let before = app.api.get("/api/v1/apps/crm").await.expect(200).json()["promotedVersion"].clone();
    app.api.post(VERSIONS, version("CREATE TABLE more ()", None)).await.expect(201);
    app.api.post(&format!("{VERSIONS}/{VERSION}/promote"), json!({})).await.expect(200);
    let sign_up = app.begin_sign_up(&app.slug("acme"), "basic").await;
    gate.reached().await;
    app.api.post(&format!("{VERSIONS}/{before}/promote"), json!({})).await.expect(200);
    let path = format!("{VERSIONS}/{VERSION}");
    app.api.delete(&path).await.expect_problem(409, "version_in_use");
    gate.open();
    assert_eq!(app.operation_ended(&sign_up).await["state"], "succeeded");
    // It was placed for the version that was promoted then, and has it.
    app.api.delete(&path).await.expect_problem(409, "version_in_use");
}
