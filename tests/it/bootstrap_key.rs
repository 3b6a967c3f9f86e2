//! The first key must be as hard to guess as those that Tenantry makes.

use std::process::Stdio;

use secrecy::ExposeSecret;
use tenantry_tests::TestApp;
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_with_a_key_that_can_be_guessed_does_not_start_and_says_what_to_do() {
    let app = TestApp::build().without_worker().with_apps(&[]).start().await;
    let keys = "SELECT count(*) FROM api_keys";
    let before = app.count(keys).await;
    for (key, expected) in [
        ("abc", "it has 3 characters and must have at least 32"),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "repeats a few characters"),
        ("correct horse battery staple and so on and on", "without spaces"),
    ] {
        let ended = Command::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
            .args(["control-plane", "--control-plane-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"])
            .env("TENANTRY_DATABASE_URL", app.registry_url().expose_secret())
            .env("TENANTRY_KEK", app.kek.to_base64().expose_secret())
            .env("TENANTRY_BOOTSTRAP_KEY", key)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success(), "{key}");
        assert!(said.contains("TENANTRY_BOOTSTRAP_KEY") && said.contains(expected), "{key}: {said}");
        assert!(!said.contains(key), "the key itself is told: {said}");
    }
    assert_eq!(app.count(keys).await, before);
}
