//! What commands that fail say.

use secrecy::ExposeSecret;
use serde_json::Value;
use tenantry_tests::{TestApp, cli::Cli};

fn cli(app: &TestApp) -> Cli {
    Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
        .env("TENANTRY_URL", app.api.address().to_string())
        .env("TENANTRY_API_KEY", app.key.expose_secret())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_told_in_commands_and_flags() {
    let app = TestApp::build().without_worker().with_apps(&[]).start().await;
    let cli = cli(&app);
    let unknown = cli.run(&["tenants", "create", "Acme", "--plan", "no-such-plan"]).await.failed();
    assert!(unknown.contains("`tenantry plans list`") && unknown.contains("--plan: "), "{unknown}");
    let add = ["servers", "add", "x", "--host", "h", "--capacity", "1", "--max-connections", "0"];
    let missing = cli.run(&add).await.failed();
    assert!(missing.contains("--admin-user: is required"), "{missing}");
    let login = ["--admin-user", "u", "--admin-password", "p"];
    let wrong = cli.run(&[&add[..], &login].concat()).await.failed();
    assert!(wrong.contains("--max-connections: must be from 1"), "{wrong}");
    for text in [unknown, missing, wrong] {
        for word in ["GET /", "maxConnections", "adminUser", "/api/v1"] {
            assert!(!text.contains(word), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_output_json_an_error_is_one_object_on_standard_error() {
    let app = TestApp::build().without_worker().with_apps(&[]).start().await;
    let cli = cli(&app);
    let document = async |args: &[&str]| -> Value {
        let ran = cli.run(args).await;
        assert_eq!(ran.out, "", "{args:?}");
        let err = ran.failed();
        serde_json::from_str(&err).unwrap_or_else(|error| panic!("no JSON ({error}): {err}"))
    };
    let refused = document(&["tenants", "create", "Acme", "--plan", "no-such-plan", "-o", "json"]).await;
    assert_eq!(refused["code"], "unknown_plan");
    assert_eq!(refused["status"], 422);
    assert_eq!(refused["errors"][0]["field"], "plan");
    assert!(refused["requestId"].is_string());

    // What the control plane never saw has the same shape.
    let nothing = document(&["plans", "update", "basic", "-o", "json"]).await;
    assert_eq!(nothing["code"], "command_failed");
    let misspelt = document(&["plans", "lisst", "-o", "json"]).await;
    assert_eq!(misspelt["code"], "usage");
    assert!(misspelt["detail"].as_str().unwrap().contains("lisst"), "{misspelt}");
    let away = document(&["plans", "list", "--url", "127.0.0.1:1", "-o", "json"]).await;
    assert_eq!(away["code"], "unreachable");
    assert!(away["detail"].as_str().unwrap().contains("127.0.0.1:1"), "{away}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_output_json_waiting_for_work_prints_the_answer_and_nothing_else() {
    let app = TestApp::build().with_apps(&["salesflow"]).start().await;
    let slug = app.slug("acme");
    let create = ["tenants", "create", "Acme", "--slug", &slug, "--plan", "basic", "-o", "json"];
    let ran = cli(&app).run(&create).await;
    assert_eq!(ran.err, "");
    assert_eq!(ran.json()["tenant"]["status"], "active");
}
