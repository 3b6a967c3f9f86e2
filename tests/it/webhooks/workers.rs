//! Workers that die or freeze while they send.

use tenantry_tests::process::WorkerProcess;

use super::*;

fn worker(app: &TestApp) -> WorkerProcess {
    let surroundings = [("TENANTRY_WEBHOOKS_ALLOW_NETWORKS".to_owned(), "127.0.0.0/8".to_owned())];
    let (binary, url) = (env!("CARGO_BIN_EXE_tenantry-under-test"), app.registry_url().expose_secret());
    WorkerProcess::start_in(&surroundings, binary, url, &app.kek, app.label(), None)
}

/// A receiver that holds its answer to the first request, which a worker is waiting for.
async fn with_one_in_hand() -> (TestApp, TenantId, Receiver, String, WorkerProcess) {
    let app = TestApp::build().without_worker().start().await;
    let receiver = Receiver::start().await;
    let one = tenant(&app, "one").await;
    let (id, _) = webhook(&app, &receiver, &["user.*"]).await;
    receiver.answers(|_| Reply::Held(500));
    tell(&app, one, 3).await;
    let first = worker(&app);
    receiver.has(1).await;
    receiver.answers(|_| Reply::Status(200));
    (app, one, receiver, id, first)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_was_sending_another_sends_again() {
    let (app, one, receiver, id, first) = with_one_in_hand().await;
    first.kill().await;
    let _second = worker(&app);
    has_deliveries(&app, &id, "delivered", 3).await;
    assert_eq!(numbers(&receiver.requests(), "one"), [1, 1, 2, 3]);
    tell(&app, one, 1).await;
    has_deliveries(&app, &id, "delivered", 4).await;
    assert_eq!(receiver.requests().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_frozen_while_it_sent_undoes_nothing_that_another_has_noted() {
    let (app, one, receiver, id, first) = with_one_in_hand().await;
    first.signal("STOP").await;
    let _second = worker(&app);
    has_deliveries(&app, &id, "delivered", 3).await;
    assert_eq!(numbers(&receiver.requests(), "one"), [1, 1, 2, 3]);
    // It wakes up with an answer that says that the first was refused.
    receiver.release(1);
    first.signal("CONT").await;
    for round in 1..=10 {
        tell(&app, one, 1).await;
        has_deliveries(&app, &id, "delivered", 3 + round).await;
    }
    assert!(deliveries(&app, &id, "delivered").await.iter().all(|delivery| delivery["attempts"] == 1));
    assert_eq!(numbers(&receiver.requests(), "one"), [vec![1, 1, 2, 3], vec![1; 10]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_send_each_event_once() {
    let app = TestApp::start().await;
    let _second = app.second_worker();
    let receiver = Receiver::start().await;
    let mut tenants = Vec::new();
    for number in 0..5 {
        tenants.push(tenant(&app, &format!("t{number}")).await);
    }
    let (id, _) = webhook(&app, &receiver, &["user.*"]).await;
    futures::future::join_all(tenants.iter().map(|tenant| tell(&app, *tenant, 10))).await;
    has_deliveries(&app, &id, "delivered", 50).await;
    let requests = receiver.requests();
    assert_eq!(requests.len(), 50);
    for number in 0..5 {
        assert_eq!(numbers(&requests, &format!("t{number}")), (1..=10).collect::<Vec<_>>());
    }
}
