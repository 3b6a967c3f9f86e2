//! A worker of another release goes on by the names of the steps. The steps are the test's own.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tenantry_domain::operation::{NoState, OperationKind};
use tenantry_registry::{Lease, TenantWithPlan};
use tenantry_tests::TestApp;
use tenantry_worker::{
    Resources, StepError,
    engine::{Definition, Definitions, Done, Sequence, Step, StepResult, Steps, TenantSubject, Work},
    operations::Operations,
};

/// Which steps ran, and where the first release stops.
#[derive(Default)]
struct Log {
    ran: Mutex<Vec<&'static str>>,
    holds: Mutex<Option<&'static str>>,
}

struct Released;

impl Definition for Released {
    const KIND: OperationKind = OperationKind::Suspend;
    type Subject = TenantSubject;
    type Input = Arc<Log>;
    type State = NoState;
}

/// A release with these steps.
struct Release(Arc<Log>, &'static [&'static str]);

macro_rules! steps {
    ($($name:ident)*) => {
        fn step_of(name: &str) -> Step<Released> {
            match name {
                $(stringify!($name) => Step::new(stringify!($name), "at work", |work| {
                    Box::pin(std::future::ready(ran(work, stringify!($name))))
                }),)*
                _ => unreachable!("no such step"),
            }
        }
    };
}
steps!(first second third renamed inserted);

#[expect(clippy::unnecessary_wraps, reason = "steps may fail")]
fn ran(work: &Work<Released>, name: &'static str) -> StepResult {
    let log = &work.input;
    if *log.holds.lock().unwrap() == Some(name) {
        return Ok(Done::Pending { again_after: Duration::from_millis(50), message: "held".into() });
    }
    log.ran.lock().unwrap().push(name);
    Ok(Done::Now)
}

impl Definitions for Release {
    fn kinds(&self) -> &[OperationKind] {
        OperationKind::ALL
    }

    fn begin(
        &self,
        lease: Lease,
        tenant: Option<TenantWithPlan>,
        resources: Arc<Resources>,
    ) -> Result<Box<dyn Steps>, StepError> {
        if lease.operation.kind() != Released::KIND {
            return Operations.begin(lease, tenant, resources);
        }
        let tenant = TenantSubject::new(tenant.expect("it is on a tenant"));
        let sequence =
            self.1.iter().fold(Sequence::new("done"), |sequence, name| sequence.step(step_of(name)));
        Ok(sequence.on(Work::new(lease, Arc::clone(&self.0), tenant, resources)?))
    }
}

/// The old release runs up to `held`, the new one takes over. Answers the app, the log and the operation's id.
async fn take_over(
    app: &TestApp,
    held: &'static str,
    new: &'static [&'static str],
) -> (Arc<Log>, String, tenantry_tests::app::RunningWorker) {
    let log = Arc::new(Log::default());
    *log.holds.lock().unwrap() = Some(held);
    let old = Release(Arc::clone(&log), &["first", "second", "third"]);
    let worker = app.worker_with(|_| {}, Arc::new(old));
    let path = format!("/api/v1/tenants/{}/suspend", app.slug("acme"));
    let begun = app.api.post(&path, json!({})).await.expect(202).json();
    let id = begun["operation"]["id"].as_str().unwrap().to_owned();
    app.operation_is(&id, "waiting").await;
    worker.stop().await;
    *log.holds.lock().unwrap() = None;
    let worker = app.worker_with(|_| {}, Arc::new(Release(Arc::clone(&log), new)));
    (log, id, worker)
}

async fn app_with_a_tenant() -> TestApp {
    let mut app = TestApp::start().await;
    app.sign_up("acme", "basic", "crm").await;
    app.stop_worker().await;
    app
}

async fn goes_on(held: &'static str, new: &'static [&'static str], expected: &[&str]) {
    let app = app_with_a_tenant().await;
    let (log, id, worker) = take_over(&app, held, new).await;
    let ended = app.operation_ended(&id).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(*log.ran.lock().unwrap(), expected);
    assert_eq!(ended["steps"], json!(new), "the names are kept");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_inserted_between_two_leases_runs() {
    goes_on("second", &["first", "inserted", "second", "third"], &["first", "inserted", "second", "third"])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_inserted_where_the_operation_is_past_does_not_run() {
    goes_on("third", &["first", "inserted", "second", "third"], &["first", "second", "third"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_removed_or_renamed_before_it_ran_is_not_missed() {
    goes_on("second", &["first", "third"], &["first", "third"]).await;
    goes_on("second", &["first", "renamed", "third"], &["first", "renamed", "third"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_whose_finished_step_is_unknown_is_left_to_a_worker_that_knows_it() {
    let app = app_with_a_tenant().await;
    for new in [&["first", "third"][..], &["first", "renamed", "third"]] {
        let (log, id, stranger) = take_over(&app, "third", new).await;
        let left = app.operation_is(&id, "queued").await;
        assert!(left["message"].as_str().unwrap().contains("knows its step second"), "{left}");
        assert_eq!((&left["step"], &left["steps"]), (&json!("third"), &json!(["first", "second", "third"])));
        stranger.stop().await;
        let worker =
            app.worker_with(|_| {}, Arc::new(Release(Arc::clone(&log), &["first", "second", "third"])));
        assert_eq!(app.operation_ended(&id).await["state"], "succeeded");
        assert_eq!(*log.ran.lock().unwrap(), ["first", "second", "third"]);
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_whose_step_no_worker_knows_for_long_is_stuck_and_a_retry_goes_on() {
    let app = app_with_a_tenant().await;
    let (log, id, stranger) = take_over(&app, "third", &["first", "third"]).await;
    app.operation_is(&id, "queued").await;
    let passed = "UPDATE operations SET left_since = left_since - interval '1 hour', run_after = now()";
    sqlx::query(passed).execute(app.owner()).await.unwrap();
    let stuck = app.operation_is(&id, "stuck").await;
    assert!(stuck["error"].as_str().unwrap().contains("knows its step second"), "{stuck}");
    stranger.stop().await;
    let worker = app.worker_with(|_| {}, Arc::new(Release(Arc::clone(&log), &["first", "second", "third"])));
    app.api.post(&format!("/api/v1/operations/{id}/retry"), json!({})).await.expect(202);
    assert_eq!(app.operation_ended(&id).await["state"], "succeeded");
    assert_eq!(*log.ran.lock().unwrap(), ["first", "second", "third"]);
    worker.stop().await;
}
