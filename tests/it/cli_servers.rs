//! `tenantry servers`: what is being made, and registering the same server again.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenantry_postgres::embedded::Durability;
use tenantry_tests::{TestApp, cli::Cli, server};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};

fn cli(app: &TestApp) -> Cli {
    Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
        .env("TENANTRY_URL", app.api.address().to_string())
        .env("TENANTRY_API_KEY", app.key.expose_secret())
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_being_made_are_listed_for_programs_and_while_one_watches() {
    let app = TestApp::build().start().await;
    let mut watch = cli(&app).command(&["servers", "list", "--watch=1"]).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = timeout(Duration::from_mins(1), lines.next_line()).await.expect("a change is shown");
        line.unwrap().unwrap()
    };
    assert!(next().await.contains("  main  "));
    // More connections than the server has: it stays an order.
    let class =
        json!({ "name": "own", "provider": "local", "capacity": 5, "minFree": 1, "maxConnections": 5000 });
    app.api.post("/api/v1/server-classes", class).await.expect(201);
    let line = next().await;
    assert!(line.contains("  own-") && line.contains("  ordering  "), "{line}");
    assert!(next().await.contains("  failing  "));
    watch.kill().await.unwrap();
    let listed: Value =
        serde_json::from_str(&cli(&app).run(&["servers", "list", "-o", "json"]).await.succeeded()).unwrap();
    assert_eq!((&listed["items"][0]["name"], &listed["orders"][0]["class"]), (&json!("main"), &json!("own")));
    let table = cli(&app).run(&["servers", "list"]).await.succeeded();
    assert!(table.to_lowercase().contains("being made"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_registered_already_as_given_is_no_failure() {
    let app = TestApp::build().start().await;
    let other = server::start(Durability::Volatile).await.unwrap();
    let port = other.port().to_string();
    let cli = cli(&app).env("TENANTRY_SERVER_PASSWORD", other.password().expose_secret());
    let add = |capacity: &'static str| {
        let args = [
            "servers",
            "add",
            "other",
            "--host",
            other.host(),
            "--port",
            &port,
            "--admin-user",
            other.user(),
        ];
        [&args[..], &["--capacity", capacity]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = async |capacity| {
        let args = add(capacity);
        cli.run(&args.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    run("5").await.succeeded();
    let again = run("5").await.succeeded();
    assert!(again.contains("is registered already, as given"), "{again}");
    assert!(run("6").await.failed().contains("server_exists"));
}
