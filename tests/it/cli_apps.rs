//! `tenantry apps`: folders, without a server.

use tenantry_tests::cli::Cli;

fn cli() -> Cli {
    // Nothing listens there: these commands do not ask.
    Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test")).env("TENANTRY_URL", "127.0.0.1:1")
}

#[tokio::test]
async fn an_app_that_is_new_passes_lint() {
    let cli = cli();
    cli.run(&["apps", "new", "inventory"]).await.succeeded();
    assert_eq!(cli.run(&["apps", "lint", "inventory"]).await.succeeded(), "inventory is fine\n");
    // Nothing is overwritten.
    let again = cli.run(&["apps", "new", "inventory"]).await.failed();
    assert!(again.contains("is not empty"), "{again}");
}

#[tokio::test]
async fn lint_names_file_and_line_and_fails() {
    let cli = cli();
    cli.run(&["apps", "new", "inventory"]).await.succeeded();
    let folder = cli.home().join("inventory");
    std::fs::write(folder.join("20991231000000_more.up.sql"), "SELECT 1;\nCREATE TABLE public.a ();\n")
        .unwrap();
    let ran = cli.run(&["apps", "lint", "inventory"]).await;
    assert!(ran.out.contains("inventory/20991231000000_more.up.sql:2: error: `public.a` names a schema"));
    assert!(ran.out.contains("warning: has no .down.sql"), "{}", ran.out);
    assert_eq!(ran.failed(), "error: inventory has 1 error and 1 warning\n");

    let ran = cli.run(&["apps", "lint", "inventory", "-o", "json"]).await;
    let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(found["findings"][1]["line"], 2);
    assert_eq!(found["findings"][1]["rule"], "schema-name");
}

#[tokio::test]
async fn completions_are_scripts_that_their_shell_reads() {
    let cli = cli();
    for shell in ["bash", "zsh", "fish"] {
        assert!(cli.run(&["completions", shell]).await.succeeded().contains("tenants"), "{shell}");
    }
    let complete = "tenantry completions bash > c && bash -c '. ./c && complete -p tenantry'";
    let out = cli.script(complete).output().await.unwrap();
    assert!(out.status.success(), "{out:?}");
}
