//! The step helpers, applied to every operation: each step failed in turn leaves nothing behind,
//! each step run twice leaves what once leaves.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::join_all, stream};
use serde_json::{Value, json};
use tenantry_domain::{operation::OperationKind, plan::Tier};
use tenantry_tests::{
    Signup, TestApp,
    app::TestAppBuilder,
    local_servers,
    probe::{FailAt, FailEverythingOnce, Failing, Twice},
    within::within,
};
use tenantry_worker::{
    engine::{Moment, Outline, Point},
    operations::outlines,
};

/// Every operation on a tenant, by the plan of its tenant, as it is defined.
fn operations() -> Vec<(&'static str, Outline)> {
    let plans = |tier: Option<Tier>, kind: OperationKind| match tier {
        Some(Tier::Database) => vec!["premium"],
        Some(Tier::Instance) => vec!["enterprise"],
        None if matches!(kind, OperationKind::Purge | OperationKind::Move) => vec!["basic", "premium"],
        _ => vec!["basic"],
    };
    outlines()
        .into_iter()
        .filter(|(_, outline)| !is_on_a_server(outline.kind))
        .flat_map(|(tier, outline)| {
            plans(tier, outline.kind).into_iter().map(move |plan| (plan, outline.clone()))
        })
        .collect()
}

fn is_on_a_server(kind: OperationKind) -> bool {
    use OperationKind::{
        DeleteServer, DrainServer, HibernateServer, OrderServer, RemoveLostServer, ResizeServer, Rollout,
        WakeServer,
    };
    matches!(
        kind,
        DrainServer
            | RemoveLostServer
            | OrderServer
            | DeleteServer
            | ResizeServer
            | HibernateServer
            | WakeServer
            | Rollout
    )
}

/// Moves are live, but for those that are asked for offline.
fn build() -> TestAppBuilder {
    TestApp::build().worker(|worker| worker.move_at_once = 0)
}

/// Brings a tenant of its own to the state before an operation and asks for the operation.
/// Answers the tenant's slug and the ended operation.
async fn run(app: &TestApp, kind: OperationKind, plan: &str, name: &str) -> (String, Value) {
    if kind == OperationKind::Provision {
        let slug = app.slug(name);
        let body = json!({ "name": name, "slug": slug, "plan": plan, "app": "crm" });
        let answer = app.api.post("/api/v1/tenants", body).await.expect(202).json();
        let id = answer["operation"]["id"].as_str().unwrap().to_owned();
        return (slug, app.operation_ended(&id).await);
    }
    let Signup { slug, .. } = app.sign_up(name, plan, "crm").await;
    let path = format!("/api/v1/tenants/{slug}");
    let answer = match kind {
        OperationKind::Suspend => app.api.post(&format!("{path}/suspend"), json!({})).await,
        OperationKind::Resume => {
            app.api.post_and_wait(&format!("{path}/suspend"), json!({})).await.expect(200);
            app.api.post(&format!("{path}/resume"), json!({})).await
        }
        OperationKind::Deactivate => app.api.delete(&path).await,
        OperationKind::Restore => {
            app.api.delete_and_wait(&path).await.expect(200);
            app.api.post(&format!("{path}/restore"), json!({})).await
        }
        OperationKind::Purge => app.api.delete(&format!("{path}?purge=now")).await,
        OperationKind::Move => {
            // One way live, since the worker moves nothing at once, and back offline.
            let body = if plan == "basic" {
                json!({ "tier": "database" })
            } else {
                json!({ "tier": "schema", "offline": true })
            };
            app.api.post(&format!("{path}/move"), body).await
        }
        _ => unreachable!("handled elsewhere"),
    };
    let id = answer.expect(202).json()["operation"]["id"].as_str().unwrap().to_owned();
    (slug, app.operation_ended(&id).await)
}

/// The tenant's status before an operation, and after it went well.
fn statuses(kind: OperationKind) -> (&'static str, &'static str) {
    match kind {
        OperationKind::Provision => ("failed", "active"),
        OperationKind::Suspend => ("active", "suspended"),
        OperationKind::Resume => ("suspended", "active"),
        OperationKind::Deactivate => ("active", "deactivated"),
        OperationKind::Restore => ("deactivated", "active"),
        OperationKind::Purge => ("active", "purged"),
        OperationKind::Move => ("active", "active"),
        _ => unreachable!("has no tenant of its own"),
    }
}

async fn status(app: &TestApp, slug: &str) -> Option<String> {
    let answer = app.api.get(&format!("/api/v1/tenants/{slug}")).await;
    answer.status.is_success().then(|| answer.json()["status"].as_str().unwrap().to_owned())
}

/// Fails a step of a tenant of its own, before it ran or when it ran, and asserts that what was before is again.
async fn fail_at(
    app: &TestApp,
    failing: &Failing,
    kind: OperationKind,
    plan: &str,
    at: (&'static str, Moment),
) {
    let (step, moment) = at;
    let twice = moment == Moment::Ran;
    failing.fail_at(FailAt { point: Point { kind, step, moment }, transient: false }, twice);
    let name = format!("{}-{moment:?}", step.replace('_', "-")).to_lowercase();
    let (slug, operation) = run(app, kind, plan, &name).await;
    let at = format!("{kind} of {plan}, {step} {moment:?}, twice: {twice}");
    assert_eq!(operation["state"], "failed", "{at}: {operation}");
    assert!(operation["error"].as_str().unwrap().contains("the test says so"), "{at}: {operation}");
    assert_eq!(status(app, &slug).await.as_deref(), Some(statuses(kind).0), "{at}");
    if kind == OperationKind::Provision {
        app.assert_nothing_left().await;
    } else {
        let key = app.data_key(&slug).await;
        let data = app.data.with_host(format!("{slug}.localhost")).with_key(key);
        let expected = if statuses(kind).0 == "active" { 200 } else { 403 };
        let answer = data.get("/api/contacts").await;
        assert_eq!(answer.status, expected, "{at}: {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_leaves_what_was_before_the_operation() {
    let fail_each = async |(plan, Outline { kind, steps, no_return }): (&str, Outline)| {
        let failing = Arc::new(Failing::default());
        let app = build().with_shared_probe(failing.clone()).start().await;
        for step in &steps[..no_return] {
            for moment in [Moment::Before, Moment::Ran] {
                fail_at(&app, &failing, kind, plan, (step, moment)).await;
            }
        }
    };
    stream::iter(operations()).for_each_concurrent(4, fail_each).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_run_twice_leaves_what_once_leaves() {
    let app = build().with_probe(Twice).start().await;
    let operations = operations();
    let runs = operations.iter().enumerate().map(async |(n, (plan, Outline { kind, .. }))| {
        let (slug, operation) = run(&app, *kind, plan, &format!("t{n}")).await;
        assert_eq!(operation["state"], "succeeded", "{kind} of {plan}: {operation}");
        let after = statuses(*kind).1;
        let expected = if after == "purged" { None } else { Some(after) };
        assert_eq!(status(&app, &slug).await.as_deref(), expected, "{kind} of {plan}");
        if after != "purged" {
            let tenant = app.api.get(&format!("/api/v1/tenants/{slug}")).await.expect(200).json();
            assert_eq!(tenant["placement"]["state"], "serving", "{kind} of {plan}");
        }
        (*kind != OperationKind::Purge).then_some(slug)
    });
    let mut left: Vec<_> = join_all(runs).await.into_iter().flatten().collect();
    let on_server = app.on_server().await;
    let own = local_servers::existing(app.label()).len();
    assert_eq!(own, 1, "that of the plan enterprise");
    left.truncate(left.len() - own);
    assert_eq!(on_server.roles.len(), left.len());
    assert_eq!(on_server.schemas.len() + on_server.databases.len(), left.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_passes_is_tried_again_until_the_operation_succeeds() {
    // Prepared with a worker that works, then each point of the operation fails once.
    let succeeds = async |(plan, Outline { kind, .. }): (&str, Outline)| {
        let app = build().with_probe(FailEverythingOnce::default()).start().await;
        let (slug, operation) = run(&app, kind, plan, "acme").await;
        assert_eq!(operation["state"], "succeeded", "{kind} of {plan}: {operation}");
        let after = statuses(kind).1;
        let expected = if after == "purged" { None } else { Some(after) };
        assert_eq!(status(&app, &slug).await.as_deref(), expected, "{kind} of {plan}");
        if kind == OperationKind::Purge {
            app.assert_nothing_left().await;
        }
    };
    stream::iter(operations()).for_each_concurrent(4, succeeds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn past_its_point_of_no_return_a_purge_only_goes_on() {
    let fail = FailAt {
        point: Point { kind: OperationKind::Purge, step: "drop_role", moment: Moment::Before },
        transient: false,
    };
    let mut app = build().with_probe(fail).start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let answer =
        app.api.delete(&format!("/api/v1/tenants/{}?purge=now", tenant.slug)).await.expect(202).json();
    let id = answer["operation"]["id"].as_str().unwrap().to_owned();
    // It fails again and again, and is not undone: the data is gone. In the end a person is asked.
    within(Duration::from_mins(1), "it drops the role", async || {
        app.operation(&id).await["step"] == "drop_role"
    })
    .await;
    app.api.post(&format!("/api/v1/operations/{id}/cancel"), json!({})).await.expect(409);
    let stuck = app.operation_ended(&id).await;
    assert_eq!(stuck["state"], "stuck", "{stuck}");
    assert!(stuck["error"].as_str().unwrap().contains("the test says so"), "{stuck}");
    app.stop_worker().await;
    let worker = app.second_worker();
    app.api.post(&format!("/api/v1/operations/{id}/retry"), json!({})).await.expect(202);
    assert_eq!(app.operation_ended(&id).await["state"], "succeeded");
    app.assert_nothing_left().await;
    drop(worker);
}
