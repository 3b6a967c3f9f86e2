//! What a command says when it cannot begin: where it tried, and why that failed.

use secrecy::ExposeSecret;
use tenantry_cli::embedded::database_url;
use tenantry_registry::{Part, Registry};
use tenantry_tests::{app::random_suffix, pooler::Pooler, server};
use tokio::process::Command;

async fn migrate(url: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry-under-test"));
    let output = command.arg("migrate").env("TENANTRY_DATABASE_URL", url).output().await.unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_names_host_and_cause() {
    let said = migrate("postgres://me:secret@127.0.0.1:1/registry").await;
    assert!(said.contains("cannot reach PostgreSQL at 127.0.0.1:1: connection refused"), "{said}");

    let postgres = server::shared().await;
    let here = format!("127.0.0.1:{}", postgres.port());
    let wrong = format!("postgres://{}:nonsense@{here}/postgres", postgres.user());
    let said = migrate(&wrong).await;
    assert!(said.contains(&format!("at {here}: it refuses the login `{}`", postgres.user())), "{said}");
    assert!(!said.contains("nonsense"), "no password: {said}");

    let missing = format!("missing_{}", random_suffix());
    let said = migrate(database_url(postgres, &missing).expose_secret()).await;
    assert!(said.contains(&here) && said.contains("createdb") && said.contains(&missing), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_drops_the_part_s_role_is_noticed_and_refused() {
    let url = server::fresh_registry(&format!("registry_{}", random_suffix())).await;
    let here = format!("127.0.0.1:{}", server::shared().await.port());
    let pooler = Pooler::start(here.parse().unwrap()).await;
    let url = url.expose_secret().replace(&here, &pooler.address.to_string());
    for part in [Part::ControlPlane, Part::Worker, Part::DataPlane] {
        let registry = Registry::connect_lazy(&url, part, 1).unwrap();
        let refused = registry.reach().await.unwrap_err().to_string();
        assert!(refused.contains("pooler") && refused.contains("instead of `tenantry_"), "{refused}");
        // Nor does a later connection run with all rights of the login.
        assert!(registry.plan_list().await.unwrap_err().is_unavailable());
    }
}
