//! What cannot hold tenants is not registered, and all that is wrong with it is named.

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection};
use tenantry_domain::{names::ObjectName, server_tls::ServerTls};
use tenantry_postgres::admin::{AdminLimits, ServerAddress, ServerAdmin};
use tenantry_tests::{TestApp, cli::Cli, server};

/// A server that could be registered: the tests' own, by another name, since its address is taken.
fn body(app: &TestApp) -> Value {
    json!({
        "name": "eu-1", "host": "localhost", "port": app.server().port(), "adminUser": app.server().user(),
        "adminPassword": app.server().password().expose_secret(), "capacity": 10, "maxConnections": 16,
        "sharedDatabase": format!("other_{}", app.suffix),
    })
}

fn with(body: &Value, changes: &Value) -> Value {
    let mut body = body.clone();
    for (field, value) in changes.as_object().unwrap() {
        body[field] = value.clone();
    }
    body
}

async fn superuser(app: &TestApp, database: &str, sql: &str) {
    let mut postgres = server::admin(app.server(), database).await;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut postgres).await.unwrap();
    postgres.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_hold_tenants_is_refused_with_the_field_that_is_wrong() {
    let app = TestApp::start().await;
    let good = body(&app);
    let stranger = format!("stranger_{}", app.suffix);
    superuser(&app, "postgres", &format!("CREATE DATABASE {stranger}")).await;
    superuser(&app, &stranger, "CREATE TABLE invoices (id int); CREATE SCHEMA theirs").await;
    let registry = format!("registry_{}", app.suffix);
    for (change, field, says) in [
        (json!({ "adminPassword": "wrong-wrong" }), "adminPassword", "password"),
        (json!({ "adminUser": "nobody_here" }), "adminPassword", "nobody_here"),
        (json!({ "host": "nowhere.invalid" }), "host", "no address"),
        (json!({ "port": 1 }), "host", "localhost:1"),
        (json!({ "sharedDatabase": registry }), "sharedDatabase", "registry's own"),
        (json!({ "sharedDatabase": "template1" }), "sharedDatabase", "PostgreSQL's own"),
        (json!({ "sharedDatabase": stranger }), "sharedDatabase", "schema theirs, table public.invoices"),
        (json!({ "maxConnections": 100_000 }), "maxConnections", "100000"),
    ] {
        let refused = app.api.post("/api/v1/servers", with(&good, &change)).await;
        let refused = refused.expect_problem(422, "server_unusable");
        assert_eq!(refused.fields(), [field], "{change}: {}", refused.text);
        assert!(refused.text.contains(says), "{change}: {}", refused.text);
        assert!(!refused.text.contains("wrong-wrong"));
    }
    assert_eq!(app.count("SELECT count(*) FROM servers").await, 1);
    superuser(&app, "postgres", &format!("DROP DATABASE {stranger}")).await;

    let dead = with(&good, &json!({ "port": 1 }));
    app.api.post("/api/v1/servers?check=false", dead).await.expect(201);
    let found = app.api.post("/api/v1/servers/eu-1/check", json!({})).await.expect(200).json();
    assert_eq!((&found["ok"], &found["problems"][0]["code"]), (&json!(false), &json!("unreachable")));
    app.api.delete("/api/v1/servers/eu-1").await.expect(204);
    app.api.post("/api/v1/servers", good).await.expect(201);
    app.api.delete("/api/v1/servers/eu-1").await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_s_database_is_not_made_one_of_tenants_even_where_nobody_checked() {
    let app = TestApp::build().without_worker().with_apps(&[]).start().await;
    let registry = ObjectName::parse(&format!("registry_{}", app.suffix)).unwrap();
    let address = ServerAddress {
        host: app.server().host(),
        port: app.server().port(),
        tls: &ServerTls::Prefer,
        user: app.server().user(),
        password: app.server().password(),
        shared_database: &registry,
    };
    let admin = ServerAdmin::new(&address, AdminLimits::default());
    let refused = admin.prepare().await.unwrap_err().to_string();
    assert!(refused.contains("the database of a registry"), "{refused}");
    admin.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_wrong_with_a_server_is_named_at_once() {
    let app = TestApp::start().await;
    let (login, stranger) = (format!("poor_{}", app.suffix), format!("strange_{}", app.suffix));
    superuser(
        &app,
        "postgres",
        &format!(
            "CREATE ROLE {login} LOGIN PASSWORD 'poor-poor'; GRANT CONNECT ON DATABASE postgres TO {login}"
        ),
    )
    .await;
    superuser(&app, "postgres", &format!("CREATE DATABASE {stranger}")).await;
    superuser(&app, &stranger, "CREATE TABLE invoices (id int)").await;
    let poor = json!({
        "adminUser": login, "adminPassword": "poor-poor", "maxConnections": 100_000, "sharedDatabase": stranger,
    });
    let refused = app.api.post("/api/v1/servers", with(&body(&app), &poor)).await;
    let refused = refused.expect_problem(422, "server_unusable");
    assert_eq!(refused.fields(), ["adminUser", "maxConnections", "sharedDatabase"], "{}", refused.text);
    assert!(refused.text.contains("CREATEROLE CREATEDB"), "{}", refused.text);

    // With these two rights, and room, it can do all that is needed.
    superuser(&app, "postgres", &format!("ALTER ROLE {login} CREATEROLE CREATEDB")).await;
    superuser(&app, "postgres", &format!("DROP DATABASE {stranger}")).await;
    let rich = with(&poor, &json!({ "maxConnections": 5 }));
    app.api.post("/api/v1/servers", with(&body(&app), &rich)).await.expect(201);
    app.api.delete("/api/v1/servers/eu-1").await.expect(204);
    superuser(&app, "postgres", &format!("DROP OWNED BY {login}; DROP ROLE {login}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_address_or_login_changes_is_checked_first() {
    let app = TestApp::start().await;
    let before = app.api.get("/api/v1/servers/main").await.expect(200).json();
    for (change, field) in [
        (json!({ "adminPassword": "wrong-wrong" }), "adminPassword"),
        (json!({ "host": "nowhere.invalid" }), "host"),
        (json!({ "port": 1 }), "host"),
    ] {
        let refused = app.api.patch("/api/v1/servers/main", change.clone()).await;
        assert_eq!(refused.expect_problem(422, "server_unusable").fields(), [field], "{change}");
    }
    let mut replaced = json!({ "capacity": 5, "port": 1 });
    replaced["host"] = before["host"].clone();
    app.api.put("/api/v1/servers/main", replaced).await.expect_problem(422, "server_unusable");
    let mut after = app.api.get("/api/v1/servers/main").await.expect(200).json();
    after["health"] = before["health"].clone();
    assert_eq!(after, before);
    // It works on as it was, and at another name of its own.
    app.sign_up("acme", "basic", "crm").await;
    app.api.patch("/api/v1/servers/main", json!({ "host": "localhost" })).await.expect(200);
    app.sign_up("other", "basic", "crm").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_version_problems_and_warnings_on_the_command_line_too() {
    let app = TestApp::start().await;
    app.sign_up("acme", "basic", "crm").await;
    let found = app.api.post("/api/v1/servers/main/check", json!({})).await.expect(200).json();
    assert_eq!((&found["ok"], &found["problems"]), (&json!(true), &json!([])), "{found}");
    let version = found["version"].as_str().unwrap();
    assert!(version.split('.').next().unwrap().parse::<u32>().unwrap() >= 15, "{found}");
    let cli = Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
        .env("TENANTRY_URL", app.api.address().to_string())
        .env("TENANTRY_API_KEY", app.key.expose_secret());
    let said = cli.run(&["servers", "check", "main"]).await.succeeded();
    assert!(said.contains(&format!("can hold tenants (PostgreSQL {version})")), "{said}");

    let add = [
        "servers",
        "add",
        "eu-1",
        "--host",
        "localhost",
        "--port",
        "1",
        "--admin-user",
        "a",
        "--admin-password",
        "b",
        "--capacity",
        "1",
    ];
    let refused = cli.run(&add).await.failed();
    assert!(refused.contains("--host: nothing answers") && refused.contains("--no-check"), "{refused}");
    let mut anyway = add.to_vec();
    anyway.push("--no-check");
    cli.run(&anyway).await.succeeded();
    let failed = cli.run(&["servers", "check", "eu-1"]).await.failed();
    assert!(failed.contains("cannot hold tenants as it is") && failed.contains("(unreachable)"), "{failed}");
}
