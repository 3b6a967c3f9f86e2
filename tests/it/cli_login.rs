//! `tenantry login` and profiles.

use std::os::unix::fs::PermissionsExt;

use secrecy::ExposeSecret;
use tenantry_tests::{TestApp, cli::Cli};

fn cli() -> Cli {
    Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
}

#[tokio::test(flavor = "multi_thread")]
async fn login_tries_the_key_before_it_keeps_it() {
    let app = TestApp::build().without_worker().with_apps(&[]).start().await;
    let cli = cli();
    // An address without a scheme is one.
    let login = ["login", "--url", &app.api.address().to_string()];
    let refused = cli.run_with_input(&login, "tnt_wrong\n").await.failed();
    assert!(refused.contains("nothing was kept") && refused.contains("unauthenticated"), "{refused}");
    assert!(!cli.profiles().exists());

    let key = app.key.expose_secret();
    let kept = cli.run_with_input(&login, &format!("{key}\n")).await.succeeded();
    assert!(kept.contains("as profile default"), "{kept}");
    assert_eq!(std::fs::metadata(cli.profiles()).unwrap().permissions().mode() & 0o777, 0o600);
    // The address and the key are known from now on.
    assert!(cli.run(&["plans", "list"]).await.succeeded().contains("premium"));

    cli.run(&["logout"]).await.succeeded();
    assert!(!std::fs::read_to_string(cli.profiles()).unwrap().contains(key));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_list_tenants_can_log_in() {
    let app = TestApp::build().without_worker().with_apps(&[]).start().await;
    let body = serde_json::json!({ "name": "ci", "scopes": ["apps:read"] });
    let key = app.api.post("/api/v1/keys", body).await.expect(201).json()["key"].as_str().unwrap().to_owned();
    let cli = cli().env("TENANTRY_URL", app.api.address().to_string()).env("TENANTRY_API_KEY", key);
    cli.run(&["login"]).await.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_and_environment_win_over_the_profile() {
    let app = TestApp::build().without_worker().with_apps(&[]).start().await;
    let cli = cli();
    let login = ["login", "--profile", "staging", "--url", &app.api.address().to_string()];
    cli.run_with_input(&login, app.key.expose_secret()).await.succeeded();

    let named = ["plans", "list", "--profile", "staging"];
    cli.run(&named).await.succeeded();
    let wrong_key = cli.command(&named).env("TENANTRY_API_KEY", "tnt_wrong").output().await.unwrap();
    assert!(String::from_utf8(wrong_key.stderr).unwrap().contains("unauthenticated"));
    // The same control plane by another address: the kept key was not kept for it.
    let elsewhere = format!("localhost:{}", app.api.address().port());
    let no_key = cli.run(&[&named[..], &["--url", &elsewhere]].concat()).await.failed();
    assert!(no_key.contains("`tenantry login`"), "{no_key}");

    // Without a name it is the default profile, which nobody made.
    let unnamed = cli.command(&["plans", "list"]).env("TENANTRY_PROFILE", "staging").output().await.unwrap();
    assert!(unnamed.status.success());
    let unknown = cli.run(&["plans", "list", "--profile", "production"]).await.failed();
    assert!(unknown.contains("kept are: staging"), "{unknown}");
}
