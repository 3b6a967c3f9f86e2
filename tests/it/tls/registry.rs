//! TLS to the registry, by the parameters of its URL.

use std::{io::Write, sync::Arc, time::Duration};

use secrecy::ExposeSecret;
use tempfile::NamedTempFile;
use tenantry_tests::{TestApp, process::RoleProcess, server, tls::Authority, within::within};

use super::server_with_tls;

const BINARY: &str = env!("CARGO_BIN_EXE_tenantry-under-test");

fn file(pem: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(pem.as_bytes()).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_reaches_the_registry_over_tls_with_all_of_its_connections() {
    let (server, authority) = server_with_tls().await;
    let app = TestApp::build()
        .without_daily_quotas()
        .on_server(Arc::new(server))
        .without_worker()
        .with_apps(&[])
        .start()
        .await;
    let (ca, other) = (file(&authority.pem()), file(&Authority::new("another").pem()));
    let url = app.registry_url().expose_secret().to_owned();
    let mut admin = server::admin(app.server(), "postgres").await;
    let verified = |ca: &NamedTempFile| {
        let url = url.replace("@127.0.0.1:", "@localhost:");
        format!("{url}?sslmode=verify-full&sslrootcert={}", ca.path().display())
    };
    let mut processes = Vec::new();
    for role in ["control-plane", "worker", "data-plane"] {
        let mut wrong = RoleProcess::start(BINARY, role, &verified(&other), &app.kek, &[]).await;
        let said = wrong.logged("not ready").await;
        assert!(said.contains("certificate"), "{role}: {said}");
        wrong.terminate().await;
        wrong.ended().await;
        // By its address the certificate is not for it.
        let by_address = verified(&ca).replace("@localhost:", "@127.0.0.1:");
        let mut wrong = RoleProcess::start(BINARY, role, &by_address, &app.kek, &[]).await;
        let said = wrong.logged("not ready").await;
        assert!(said.contains("certificate"), "{role}: {said}");
        wrong.terminate().await;
        wrong.ended().await;
        processes.push(RoleProcess::start(BINARY, role, &verified(&ca), &app.kek, &[]).await);
    }
    for process in &mut processes {
        within(Duration::from_mins(1), "the role is ready", async || {
            process.admin.get("/readyz").await.status == 200
        })
        .await;
    }
    let sessions = "SELECT application_name, bool_and(ssl), count(*) FROM pg_stat_activity
        JOIN pg_stat_ssl USING (pid)
        WHERE datname = $1 AND application_name LIKE 'tenantry\\_%' GROUP BY 1 ORDER BY 1";
    let database = format!("registry_{}", app.suffix);
    within(Duration::from_mins(1), "each role has sessions, with TLS all of them", async || {
        let found: Vec<(String, bool, i64)> =
            sqlx::query_as(sessions).bind(&database).fetch_all(&mut admin).await.unwrap();
        found.len() == 3 && found.iter().all(|(_, encrypted, count)| *encrypted && *count > 1)
    })
    .await;
    for process in processes {
        process.terminate().await;
        process.ended().await;
    }
}
