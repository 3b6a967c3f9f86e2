//! Workers that are killed, and connections that are cut, between and inside steps.

use std::sync::Arc;

use futures::{StreamExt, stream};
use secrecy::ExposeSecret;
use serde_json::json;
use tenantry_domain::{operation::OperationKind, plan::Tier};
use tenantry_tests::{
    TestApp,
    probe::{Gate, Notebook, crash_points, point_to_text},
    process::WorkerProcess,
    proxy::Proxy,
};
use tenantry_worker::operations::outlines;

const BINARY: &str = env!("CARGO_BIN_EXE_tenantry-under-test");

/// The steps of a kind of operation, for a tenant of a plan.
fn steps(kind: OperationKind, plan: &str) -> Vec<&'static str> {
    let tier = if plan == "basic" { Tier::Schema } else { Tier::Database };
    outlines()
        .into_iter()
        .find(|(of, outline)| outline.kind == kind && of.is_none_or(|of| of == tier))
        .map(|(_, outline)| outline.steps)
        .unwrap()
}

/// Kills a worker with SIGKILL at a point of an operation; another one finishes it.
async fn kill_at(kind: OperationKind, plan: &str, point: &str) {
    let app = TestApp::build().without_worker().start().await;
    let slug = app.slug("acme");
    let start = |stop_at| {
        WorkerProcess::start(BINARY, app.registry_url().expose_secret(), &app.kek, app.label(), stop_at)
    };
    let mut doomed = start(Some(point));
    let body = json!({ "name": "Acme", "slug": slug, "plan": plan, "app": "crm" });
    let signed_up = app.api.post("/api/v1/tenants", body).await.expect(202).json();
    let mut operation = signed_up["operation"]["id"].as_str().unwrap().to_owned();
    if kind == OperationKind::Purge {
        assert_eq!(app.operation_ended(&operation).await["state"], "succeeded");
        let answer = app.api.delete(&format!("/api/v1/tenants/{slug}?purge=now")).await.expect(202).json();
        answer["operation"]["id"].as_str().unwrap().clone_into(&mut operation);
    }
    doomed.stopped().await;
    doomed.kill().await;

    let rescuer = start(None);
    let ended = app.operation_ended(&operation).await;
    assert_eq!(ended["state"], "succeeded", "killed at {point}: {ended}");
    assert!(ended["attempts"].as_u64().unwrap() >= 2, "killed at {point}: {ended}");
    if kind == OperationKind::Purge {
        app.assert_nothing_left().await;
    } else {
        let key = app.data_key(&slug).await;
        let data = app.data.with_host(format!("{slug}.localhost")).with_key(key);
        data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
        let left = app.on_server().await;
        assert_eq!(left.roles.len(), 1, "killed at {point}");
        assert_eq!(left.schemas.len() + left.databases.len(), 1, "killed at {point}");
        assert_eq!(app.count("SELECT count(*) FROM placements").await, 1, "killed at {point}");
        assert_eq!(app.count("SELECT sum(tenants)::bigint FROM server_logins").await, 1, "killed at {point}");
    }
    rescuer.kill().await;
}

async fn kill_everywhere(kind: OperationKind, plan: &'static str) {
    let steps = steps(kind, plan);
    // The record of the last step is the operation's end: there is no point after it.
    let last = steps.last().copied();
    let points: Vec<String> = crash_points(kind, &steps)
        .into_iter()
        .map(point_to_text)
        .filter(|text| last.is_none_or(|last| *text != format!("{kind}/{last}/recorded")))
        .collect();
    stream::iter(points).for_each_concurrent(6, async |point| kill_at(kind, plan, &point).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_step_of_provision_in_tier_schema_is_succeeded_by_another() {
    kill_everywhere(OperationKind::Provision, "basic").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_step_of_provision_in_tier_database_is_succeeded_by_another() {
    kill_everywhere(OperationKind::Provision, "premium").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_step_of_purge_is_succeeded_by_another() {
    kill_everywhere(OperationKind::Purge, "basic").await;
    kill_everywhere(OperationKind::Purge, "premium").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_points_that_are_tested_are_all_that_there_are() {
    let notebook = Arc::new(Notebook::default());
    let app = TestApp::build().with_shared_probe(notebook.clone()).start().await;
    for plan in ["basic", "premium"] {
        let before = notebook.points().len();
        let tenant = app.sign_up(plan, plan, "crm").await;
        app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", tenant.slug)).await.expect(200);
        let reached: Vec<String> = notebook.points()[before..].iter().copied().map(point_to_text).collect();
        let expected: Vec<String> = [OperationKind::Provision, OperationKind::Purge]
            .into_iter()
            .flat_map(|kind| {
                let mut points = crash_points(kind, &steps(kind, plan));
                points.pop();
                points
            })
            .map(point_to_text)
            .collect();
        // A step's record is reached after the next step was announced.
        let mut sorted = (reached.clone(), expected);
        sorted.0.sort();
        sorted.1.sort();
        assert_eq!(sorted.0, sorted.1);
    }
}

/// Cuts the worker's connections to the registry while it stands before a step, and lets it go on.
async fn cut_at(kind: OperationKind, step: &'static str) {
    let server = tenantry_tests::server::shared().await;
    let address = format!("127.0.0.1:{}", server.port()).parse().unwrap();
    let proxy = Proxy::start(address).await;
    let gate = Arc::new(Gate::at(step));
    let app = TestApp::build()
        .with_worker_registry_proxy(proxy.address)
        .with_shared_probe(gate.clone())
        .start()
        .await;
    let slug = app.slug("acme");
    let body = json!({ "name": "Acme", "slug": slug, "plan": "basic", "app": "crm" });
    let purge = format!("/api/v1/tenants/{slug}?purge=now");
    let answer = if kind == OperationKind::Purge {
        app.api.post_and_wait("/api/v1/tenants", body).await.expect(201);
        app.api.delete(&purge).await.expect(202).json()
    } else {
        app.api.post("/api/v1/tenants", body).await.expect(202).json()
    };
    gate.reached().await;
    proxy.cut();
    gate.open();
    // The step goes on against the tenant server, and finds no registry to be recorded in.
    proxy.mend();
    let ended = app.operation_ended(answer["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(ended["state"], "succeeded", "cut in {step} of {kind}: {ended}");
    if kind == OperationKind::Provision {
        assert_eq!(app.on_server().await.schemas.len(), 1, "cut in {step}");
        app.api.delete_and_wait(&purge).await.expect(200);
    }
    app.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_loses_the_registry_in_any_step_finishes_the_operation_afterwards() {
    let all = [OperationKind::Provision, OperationKind::Purge]
        .into_iter()
        .flat_map(|kind| steps(kind, "basic").into_iter().map(move |step| (kind, step)));
    stream::iter(all).for_each_concurrent(4, async |(kind, step)| cut_at(kind, step).await).await;
}
