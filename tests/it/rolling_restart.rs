//! A restart of one process after the other, behind a balancer that looks at `/readyz`, under load.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use reqwest::Method;
use secrecy::ExposeSecret;
use tenantry_tests::{Api, TestApp, balancer::Balancer, process::RoleProcess};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const BINARY: &str = env!("CARGO_BIN_EXE_tenantry-under-test");

/// Answered and failed requests.
#[derive(Default)]
struct Load {
    answered: AtomicUsize,
    failed: AtomicUsize,
}

/// Sends requests, several at a time, each on a connection of its own, until told to stop.
fn send_requests(api: &Api, path: &'static str, load: &Arc<Load>, stop: &CancellationToken) -> JoinSet<()> {
    let mut senders = JoinSet::new();
    for _ in 0..4 {
        let (api, load, stop) = (api.clone(), Arc::clone(load), stop.clone());
        senders.spawn(async move {
            while !stop.is_cancelled() {
                let answer = api.request(Method::GET, path).header("connection", "close").send().await;
                let ok = answer.is_ok_and(|answer| answer.status() == 200);
                let count = if ok { &load.answered } else { &load.failed };
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    senders
}

/// Restarts two processes of a role, one after the other, under load: no request fails.
async fn restart_two(app: &TestApp, role: &str, client: impl Fn(&Balancer) -> Api, path: &'static str) {
    let start = async || {
        let url = app.registry_url().expose_secret();
        RoleProcess::start(BINARY, role, url, &app.kek, &["--drain", "1"]).await
    };
    restart(start, client, path).await;
}

/// The same for processes that something starts.
pub(crate) async fn restart(
    start: impl AsyncFn() -> RoleProcess,
    client: impl Fn(&Balancer) -> Api,
    path: &'static str,
) {
    let start = async || {
        let mut process = start().await;
        let address = process.serving().await;
        (process, address)
    };
    let balancer = Balancer::start().await;
    let mut running = Vec::new();
    for _ in 0..2 {
        let (process, address) = start().await;
        balancer.add(address, process.admin.clone()).await;
        running.push((process, address));
    }
    let (load, stop) = (Arc::new(Load::default()), CancellationToken::new());
    let senders = send_requests(&client(&balancer), path, &load, &stop);
    for (old, old_address) in running {
        old.terminate().await;
        old.ended().await;
        balancer.remove(old_address);
        let (new, address) = start().await;
        balancer.add(address, new.admin.clone()).await;
        // Kept until the end of the test.
        tokio::spawn(async move {
            let _new = new;
            std::future::pending::<()>().await;
        });
    }
    stop.cancel();
    senders.join_all().await;
    let (answered, failed) = (load.answered.load(Ordering::Relaxed), load.failed.load(Ordering::Relaxed));
    assert_eq!(failed, 0, "of {answered} requests");
    assert!(answered > 100, "only {answered} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_two_control_planes_fails_no_request() {
    let app = TestApp::build().without_daily_quotas().without_worker().start().await;
    let client = |balancer: &Balancer| Api::new(balancer.address).with_key(app.key.clone());
    restart_two(&app, "control-plane", client, "/api/v1/plans").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_two_data_planes_fails_no_request() {
    let app = TestApp::build().without_daily_quotas().start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let host = format!("{}.localhost", tenant.slug);
    let client =
        |balancer: &Balancer| Api::new(balancer.address).with_key(tenant.key.clone()).with_host(host.clone());
    restart_two(&app, "data-plane", client, "/api/contacts").await;
}
