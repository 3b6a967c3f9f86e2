//! Steps that wait, say how far they are, and hear that they are to stop. The steps are the test's own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tenantry_domain::operation::{NoState, OperationKind};
use tenantry_registry::{Lease, TenantWithPlan};
use tenantry_tests::{TestApp, within::within};
use tenantry_worker::{
    Resources, StepError,
    engine::{Definition, Definitions, Done, Sequence, StepResult, Steps, TenantSubject, Work},
    operations::Operations,
    step, undo,
};

/// What the test and the steps tell each other.
#[derive(Default)]
struct Script {
    arrived: AtomicBool,
    looks: AtomicU32,
    undone: AtomicU32,
    told: AtomicBool,
}

/// Suspending a tenant, in steps of the test's own.
struct Scripted;

impl Definition for Scripted {
    const KIND: OperationKind = OperationKind::Suspend;
    type Subject = TenantSubject;
    type Input = Arc<Script>;
    type State = NoState;
}

/// The product's operations, with suspending replaced.
struct Replaced(Arc<Script>, fn() -> Sequence<Scripted>);

impl Definitions for Replaced {
    fn kinds(&self) -> &[OperationKind] {
        OperationKind::ALL
    }

    fn begin(
        &self,
        lease: Lease,
        tenant: Option<TenantWithPlan>,
        resources: Arc<Resources>,
    ) -> Result<Box<dyn Steps>, StepError> {
        if lease.operation.kind() != Scripted::KIND {
            return Operations.begin(lease, tenant, resources);
        }
        let tenant = TenantSubject::new(tenant.expect("it is on a tenant"));
        Ok((self.1)().on(Work::new(lease, Arc::clone(&self.0), tenant, resources)?))
    }
}

fn waiting() -> Sequence<Scripted> {
    Sequence::new("arrived")
        .step(step!(prepare, "preparing").undo(undo!(unprepare)))
        .step(step!(arrive, "waiting for a parcel"))
}

async fn prepare(_: &Work<Scripted>) -> StepResult {
    Ok(Done::Now)
}

#[expect(clippy::unused_async, reason = "steps are async")]
async fn unprepare(work: &Work<Scripted>) -> Result<(), StepError> {
    work.input.undone.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

async fn arrive(work: &Work<Scripted>) -> StepResult {
    let looks = work.input.looks.fetch_add(1, Ordering::SeqCst) + 1;
    if work.input.arrived.load(Ordering::SeqCst) {
        return Ok(Done::Now);
    }
    let again_after = Duration::from_millis(if looks < 8 { 100 } else { 600_000 });
    Ok(Done::Pending { again_after, message: format!("the parcel is not there, look {looks}") })
}

fn talking() -> Sequence<Scripted> {
    Sequence::new("said").step(step!(talk, "talking").undo(undo!(unprepare)))
}

/// Says how far it is until it is told to stop.
async fn talk(work: &Work<Scripted>) -> StepResult {
    for said in 1u16.. {
        work.progress(f32::from(said.min(1000)) / 2000.0, format!("said {said} words"));
        let pause = tokio::time::sleep(Duration::from_millis(5));
        if work.cancelled().run_until_cancelled(pause).await.is_none() {
            work.input.told.store(true, Ordering::SeqCst);
            break;
        }
    }
    Err(StepError::permanent("stopped in the middle of a sentence"))
}

/// A tenant that is suspended by the test's steps: the operation's id.
async fn suspend(app: &TestApp) -> String {
    let path = format!("/api/v1/tenants/{}/suspend", app.slug("acme"));
    let begun = app.api.post(&path, json!({})).await.expect(202).json();
    begun["operation"]["id"].as_str().unwrap().to_owned()
}

async fn app_with_a_tenant() -> TestApp {
    let mut app = TestApp::start().await;
    app.sign_up("acme", "basic", "crm").await;
    app.stop_worker().await;
    app
}

async fn row(app: &TestApp, id: &str) -> Value {
    let query = "SELECT to_jsonb(operations) FROM operations WHERE id = $1::uuid";
    sqlx::query_scalar(query).bind(id).fetch_one(app.owner()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_waits_holds_nothing_survives_a_restart_and_has_not_failed() {
    let app = app_with_a_tenant().await;
    let script = Arc::new(Script::default());
    let definitions = || Arc::new(Replaced(Arc::clone(&script), waiting));
    let one_slot = |settings: &mut tenantry_worker::Settings| settings.concurrency.interactive = 1;
    let worker = app.worker_with(one_slot, definitions());
    let id = suspend(&app).await;
    within(Duration::from_mins(1), "it looks again", async || script.looks.load(Ordering::SeqCst) >= 2).await;
    let waiting = app.operation_is(&id, "waiting").await;
    assert!(waiting["message"].as_str().unwrap().starts_with("the parcel is not there"), "{waiting}");
    assert_eq!(waiting["step"], "arrive");
    // The one slot is free.
    app.sign_up("other", "basic", "crm").await;
    worker.stop().await;
    let stored = row(&app, &id).await;
    assert_eq!((&stored["retries"], &stored["lease_owner"]), (&json!(0), &Value::Null), "{stored}");

    let worker = app.worker_with(one_slot, definitions());
    script.arrived.store(true, Ordering::SeqCst);
    let ended = app.operation_ended(&id).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(script.undone.load(Ordering::SeqCst), 0);
    assert_eq!(row(&app, &id).await["steps"], json!(["prepare", "arrive"]));
    let retried = "SELECT count(*) FROM operation_events WHERE kind = 'retrying'";
    assert_eq!(app.count(retried).await, 0);
    // However often it looked, its story says once that it waits.
    let said = "SELECT max(n) FROM (SELECT count(*) AS n FROM operation_events
                WHERE kind = 'waiting' GROUP BY operation_id) AS told";
    assert_eq!(app.count(said).await, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_to_cancel_ends_a_long_wait_at_once() {
    let app = app_with_a_tenant().await;
    let script = Arc::new(Script::default());
    script.looks.store(8, Ordering::SeqCst);
    let worker = app.worker_with(|_| {}, Arc::new(Replaced(Arc::clone(&script), waiting)));
    let id = suspend(&app).await;
    app.operation_is(&id, "waiting").await;
    app.api.post(&format!("/api/v1/operations/{id}/cancel"), json!({})).await.expect(202);
    let ended = app.operation_ended(&id).await;
    assert_eq!(ended["state"], "cancelled", "{ended}");
    assert_eq!(script.undone.load(Ordering::SeqCst), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_step_shows_how_far_it_is_and_hears_that_it_is_to_stop() {
    let app = app_with_a_tenant().await;
    let script = Arc::new(Script::default());
    let worker = app.worker_with(|_| {}, Arc::new(Replaced(Arc::clone(&script), talking)));
    let id = suspend(&app).await;
    let mut seen = Vec::new();
    let told = async { app.api.get(&format!("/api/v1/operations/{id}/events")).await.expect(200).text };
    let shown = within(Duration::from_secs(30), "progress is shown, and overwritten", async || {
        let operation = app.operation(&id).await;
        if let Some(message) = operation["message"].as_str() {
            let progress = operation["progress"].as_f64().unwrap();
            assert!(progress > 0.0 && progress <= 0.5, "{operation}");
            seen.push(message.to_owned());
            seen.dedup();
        }
        seen.len() >= 3
    });
    let cancelled = async {
        shown.await;
        app.api.post(&format!("/api/v1/operations/{id}/cancel"), json!({})).await.expect(202);
    };
    let (told, ()) = tokio::join!(told, cancelled);
    let told: Vec<&str> = told.split("\n\n").filter(|event| event.contains("event: progress")).collect();
    assert!(told.len() >= 3 && told.iter().all(|event| !event.contains("\nid:")), "{told:?}");
    assert!(told.iter().all(|event| event.contains(r#""message":"said "#)), "{told:?}");
    assert!(seen.iter().all(|message| message.starts_with("said ")), "{seen:?}");
    let ended = app.operation_ended(&id).await;
    assert_eq!(ended["state"], "cancelled", "{ended}");
    assert!(script.told.load(Ordering::SeqCst));
    // It is no part of its story.
    assert_eq!(app.count("SELECT count(*) FROM operation_events WHERE message LIKE 'said %'").await, 0);
    worker.stop().await;
}
