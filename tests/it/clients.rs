//! Clients that others wrote, and clients that are generated from our documents. What they need is installed by
//! `.ci/clients`; where it is missing these tests are skipped, see `tenantry_tests::clients`.

use std::{fs, path::Path};

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenantry_tests::{
    TestApp,
    cli::Cli,
    clients::{Workshop, succeeded},
    openapi::{faults, without_body},
    server,
};
use tokio::process::Command;

const UP: &str = include_str!("../clients/bookshop/20260101000000_books.up.sql");
const DOWN: &str = include_str!("../clients/bookshop/20260101000000_books.down.sql");

/// A Tenantry with the app that the programs expect.
async fn with_bookshop() -> TestApp {
    let app = TestApp::build().with_apps(&[]).start().await;
    app.api.put("/api/v1/apps/bookshop", json!({ "manifest": {} })).await.expect(200);
    let version = json!({ "version": 20_260_101_000_000_i64, "name": "books", "up": UP, "down": DOWN });
    app.api.post("/api/v1/apps/bookshop/versions", version).await.expect(201);
    app
}

fn with_addresses(mut program: Command, app: &TestApp) -> Command {
    program
        .env("CONTROL_PLANE", format!("http://{}", app.api.address()))
        .env("DATA_PLANE", format!("http://{}", app.data.address()))
        .env("OPERATOR_KEY", app.key.expose_secret());
    program
}

async fn postgrest_js(package: &str) {
    let Some(workshop) = Workshop::with_node() else { return };
    let app = with_bookshop().await;
    let program = workshop.node(&["postgrest.mjs", package, &app.slug("js")]);
    assert_eq!(succeeded(with_addresses(program, &app)).await, "done\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgrest_js_1_does_all_that_programs_do_with_it() {
    postgrest_js("postgrest-js-1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgrest_js_2_does_all_that_programs_do_with_it() {
    postgrest_js("postgrest-js-2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_does_all_that_programs_do_with_it() {
    let Some(workshop) = Workshop::with_python() else { return };
    let app = with_bookshop().await;
    let program = workshop.python("python", &["postgrest_client.py", &app.slug("py")]);
    assert_eq!(succeeded(with_addresses(program, &app)).await, "done\n");
}

fn documents() -> [(&'static str, Value); 2] {
    [("control-plane", tenantry_control_plane::openapi()), ("data-plane", tenantry_data_plane::openapi())]
        .map(|(plane, document)| (plane, serde_json::to_value(document).unwrap()))
}

fn write(workshop: &Path, plane: &str, document: &Value) -> String {
    let file = format!("{plane}.json");
    fs::write(workshop.join(&file), document.to_string()).unwrap();
    file
}

#[test]
fn both_documents_name_what_generators_need_names_for() {
    for (plane, document) in documents() {
        assert_eq!(faults(&document), Vec::<String>::new(), "{plane}");
        for method in ["put", "patch"] {
            assert_eq!(without_body(&document, method), Vec::<&str>::new(), "{plane}: {method}");
        }
        // What these do is said by their paths.
        let bodiless: &[&str] = match plane {
            "control-plane" => &[
                "promote_version",
                "cancel_operation",
                "retry_operation",
                "abort_rollout",
                "pause_rollout",
                "rollback_rollout",
                "check_server",
                "hibernate_server",
                "resize_server",
                "wake_server",
                "verify_domain",
                "undo_move",
                "restore_tenant",
                "resume_tenant",
                "rotate_signing_key",
                "suspend_tenant",
                "replay_delivery",
                "replay_webhook",
                "rotate_webhook_secret",
                "test_webhook",
            ],
            _ => &["logout"],
        };
        assert_eq!(without_body(&document, "post"), bodiless, "{plane}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_types_of_an_app_and_of_a_tenant_let_postgrest_js_infer_what_it_answers() {
    let Some(workshop) = Workshop::with_node() else { return };
    let app = with_bookshop().await;
    let tenant = app.sign_up("typed", "basic", "bookshop").await;
    let cli = Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
        .env("TENANTRY_URL", format!("http://{}", app.api.address()))
        .env("TENANTRY_API_KEY", app.key.expose_secret());
    let types = cli.run(&["types", "bookshop"]).await.succeeded();
    assert_eq!(cli.run(&["types", "--tenant", &tenant.slug]).await.succeeded(), types);
    fs::write(workshop.path().join("database.ts"), &types).unwrap();
    let tsc =
        ["--strict", "--noEmit", "--skipLibCheck", "--target", "es2022", "--module", "nodenext", "typed.ts"];
    succeeded(workshop.node_tool("tsc", &tsc)).await;

    // Nothing of the scratch schema stays, and what is not there is said.
    let mut shared = server::admin(app.server(), app.shared_database()).await;
    let left = "SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, 'tenantry_trial_')";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&mut shared).await.unwrap();
    assert_eq!(left, 0);
    app.api.get("/api/v1/apps/bookshop/types?version=7").await.expect_problem(404, "version_not_found");
    app.api.get("/api/v1/apps/nothing/types").await.expect_problem(404, "app_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn typescript_is_generated_from_both_documents_and_compiles_strictly() {
    let Some(workshop) = Workshop::with_node() else { return };
    for (plane, document) in documents() {
        let file = write(workshop.path(), plane, &document);
        let types = format!("{plane}.ts");
        let mut generate = workshop.node_tool("openapi-typescript", &[&file, "-o", &types]);
        let out = generate.output().await.unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && !said.to_lowercase().contains("warn"), "{said}");
        succeeded(workshop.node_tool("tsc", &["--strict", "--noEmit", &types])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python_is_generated_from_both_documents_without_a_warning() {
    let Some(workshop) = Workshop::with_python() else { return };
    for (plane, document) in documents() {
        let file = write(workshop.path(), plane, &document);
        let args = ["generate", "--path", &file, "--output-path", &plane.replace('-', "_"), "--meta", "none"];
        let args = [&args[..], &["--fail-on-warning"]].concat();
        succeeded(workshop.python("openapi-python-client", &args)).await;
    }
}
