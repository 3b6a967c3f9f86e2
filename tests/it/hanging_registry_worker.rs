//! A worker whose connections to the registry hang takes jobs again soon.

use std::time::{Duration, Instant};

use tenantry_tests::{TestApp, proxy::Proxy, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_connections_to_the_registry_are_silently_cut_takes_jobs_again_within_twenty_seconds()
{
    let proxy = Proxy::before(server::shared().await).await;
    let app = TestApp::build()
        .with_worker_registry_proxy(proxy.address)
        .with_registry_timeout(Duration::from_secs(5))
        .start()
        .await;
    for round in ["one", "two"] {
        app.sign_up(round, "basic", "crm").await;
        proxy.silence();
        let silenced = Instant::now();
        let id = app.begin_sign_up(&app.slug(&format!("{round}-silent")), "basic").await;
        assert_eq!(app.operation_ended(&id).await["state"], "succeeded");
        println!("a job was done {:?} after the connections were cut", silenced.elapsed());
        assert!(silenced.elapsed() < Duration::from_secs(20), "{:?}", silenced.elapsed());
    }
}
