//! `tenantry tenants`: shell, connection, `--watch`.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::json;
use tenantry_tests::{Signup, TestApp, cli::Cli};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
    time::timeout,
};

fn cli(app: &TestApp) -> Cli {
    Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
        .env("TENANTRY_URL", app.api.address().to_string())
        .env("TENANTRY_API_KEY", app.key.expose_secret())
}

async fn with_a_contact() -> (TestApp, Signup) {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    let acme = app.sign_up("acme", "basic", "crm").await;
    acme.data.post("/api/contacts", json!({ "email": "ada@example.com" })).await.expect(201);
    (app, acme)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_is_psql_as_the_tenant_and_shows_no_password() {
    let (app, acme) = with_a_contact().await;
    let sql = "SELECT current_user, email FROM contacts";
    // The parent of a shell that psql starts is psql.
    let cmdline = "\\! tr '\\000' ' ' < /proc/$PPID/cmdline";
    let args = ["tenants", "shell", &acme.slug, "--", "-XAt", "-c", sql, "-c", cmdline];
    let out = cli(&app).run(&args).await.succeeded();
    let role = acme.slug.replace('-', "_");
    assert!(out.contains(&format!("tenant_{role}|ada@example.com")), "{out}");
    assert!(out.contains("psql") && out.contains("-XAt"), "{out}");
    let connection =
        app.api.get(&format!("/api/v1/tenants/{}/connection?reveal=true", acme.slug)).await.json();
    assert!(!out.contains(connection["password"].as_str().unwrap()));

    let failed = cli(&app).run(&["tenants", "shell", &acme.slug, "--", "-Xc", "SELECT * FROM nowhere"]).await;
    assert!(failed.failed().contains("nowhere"), "the exit code is psql's");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_psql_a_shell_says_what_to_install() {
    let (app, acme) = with_a_contact().await;
    let ran = cli(&app).env("PATH", "/nowhere").run(&["tenants", "shell", &acme.slug]).await;
    assert!(ran.failed().contains("install PostgreSQL's client"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_uri_opens_the_tenant_s_data() {
    let (app, acme) = with_a_contact().await;
    let cli = cli(&app);
    let uri = cli.run(&["tenants", "connection", &acme.slug, "--uri"]).await.succeeded();
    assert!(uri.starts_with("postgres://tenant_acme_"), "{uri}");
    let uri = cli.run(&["tenants", "connection", &acme.slug, "--uri", "--reveal"]).await.succeeded();
    let psql = Command::new("psql").args([uri.trim(), "-XAtc", "SELECT email FROM contacts"]).output().await;
    assert_eq!(String::from_utf8(psql.unwrap().stdout).unwrap(), "ada@example.com\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_away_from_a_terminal_shows_each_change_as_a_line() {
    let (app, acme) = with_a_contact().await;
    let mut watch = cli(&app).command(&["tenants", "show", &acme.slug, "--watch=1"]).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = timeout(Duration::from_mins(1), lines.next_line()).await.expect("a change is shown");
        line.unwrap().unwrap()
    };
    assert!(next().await.contains("  active  "));
    app.api.post_and_wait(&format!("/api/v1/tenants/{}/suspend", acme.slug), json!({})).await.expect(200);
    let line = next().await;
    assert!(line.contains(&acme.slug) && line.contains("  suspended  "), "{line}");

    let pid = watch.id().unwrap().to_string();
    Command::new("kill").args(["-s", "INT", &pid]).status().await.unwrap();
    assert!(watch.wait().await.unwrap().success(), "Ctrl-C is how it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_ends_when_nobody_reads() {
    let (app, _) = with_a_contact().await;
    let mut watch = cli(&app).command(&["tenants", "list", "--watch=1", "-o", "json"]).spawn().unwrap();
    let mut out = watch.stdout.take().unwrap();
    out.read_u8().await.unwrap();
    drop(out);
    app.sign_up("other", "basic", "crm").await;
    let ended = timeout(Duration::from_mins(1), watch.wait()).await.expect("it ends");
    assert!(ended.unwrap().success());
}
