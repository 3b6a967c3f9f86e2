//! Workers that are killed, and connections that are cut, between and inside steps.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use secrecy::ExposeSecret;
use serde_json::json;
use tenantry_domain::{operation::OperationKind, plan::Tier};
use tenantry_postgres::embedded::{Durability, EmbeddedPostgres};
use tenantry_tests::{
    TestApp, local_servers,
    one_operation::OneOperation,
    probe::{Gate, Gates, Notebook, crash_points, point_to_text},
    process::WorkerProcess,
    proxy::Proxy,
    server,
    within::within,
};
use tenantry_worker::{engine::Moment, operations::outlines};

const BINARY: &str = env!("CARGO_BIN_EXE_tenantry-under-test");

/// The steps of a kind of operation, for a tenant of a plan.
fn steps(kind: OperationKind, plan: &str) -> Vec<&'static str> {
    let tier = match plan {
        "basic" => Tier::Schema,
        "premium" => Tier::Database,
        _ => Tier::Instance,
    };
    outlines()
        .into_iter()
        .find(|(of, outline)| outline.kind == kind && of.is_none_or(|of| of == tier))
        .map(|(_, outline)| outline.steps)
        .unwrap()
}

/// What is asked of a tenant that has signed up, up to and including an operation of a kind; and its status then.
fn course(kind: OperationKind) -> (&'static [Ask], &'static str) {
    match kind {
        OperationKind::Provision => (&[Ask::SignUp], "active"),
        OperationKind::Suspend => (&[Ask::SignUp, Ask::Post("suspend")], "suspended"),
        OperationKind::Resume => (&[Ask::SignUp, Ask::Post("suspend"), Ask::Post("resume")], "active"),
        OperationKind::Deactivate => (&[Ask::SignUp, Ask::Delete("")], "deactivated"),
        OperationKind::Restore => (&[Ask::SignUp, Ask::Delete(""), Ask::Post("restore")], "active"),
        OperationKind::Purge => (&[Ask::SignUp, Ask::Delete("?purge=now")], "purged"),
        OperationKind::Move => (&[Ask::SignUp, Ask::Move], "active"),
        _ => unreachable!("is on a server"),
    }
}

/// A request about a tenant: the end of its path, or its query.
#[derive(Clone, Copy)]
enum Ask {
    SignUp,
    Post(&'static str),
    /// To the other tier of the two: live to a database, offline back.
    Move,
    Delete(&'static str),
}

/// Answers the operation's id.
async fn ask(app: &TestApp, slug: &str, plan: &str, ask: Ask) -> String {
    let path = format!("/api/v1/tenants/{slug}");
    let answer = match ask {
        Ask::SignUp => return app.begin_sign_up(slug, plan).await,
        Ask::Post(action) => app.api.post(&format!("{path}/{action}"), json!({})).await,
        Ask::Move => {
            let body = if plan == "basic" {
                json!({ "tier": "database" })
            } else {
                json!({ "tier": "schema", "offline": true })
            };
            app.api.post(&format!("{path}/move"), body).await
        }
        Ask::Delete(query) => app.api.delete(&format!("{path}{query}")).await,
    };
    answer.expect(202).json()["operation"]["id"].as_str().unwrap().to_owned()
}

/// A worker process on a test's registry, that stops at a point or runs on.
fn start_worker(app: &TestApp, stop_at: Option<&str>) -> WorkerProcess {
    WorkerProcess::start(BINARY, app.registry_url().expose_secret(), &app.kek, app.label(), stop_at)
}

/// Tenants that are prepared, or finished, beside each other.
const BESIDE: usize = 6;

/// Workers that are started beside each other: each starts a process.
const STARTING: usize = 4;

/// Kills a worker with SIGKILL at each of these points of an operation, each on a tenant of its own; another one
/// finishes them.
async fn kill_at(kind: OperationKind, plan: &'static str, points: &[String]) {
    let mut app = TestApp::build().without_worker().start().await;
    let (asks, status) = course(kind);
    let (last, before) = asks.split_last().unwrap();
    // Moves are live, but for those that are asked for offline.
    let settings = tenantry_worker::Settings { move_at_once: 0, ..app.worker_settings() };

    app.start_worker(settings.clone()).await;
    let prepared = stream::iter(0..points.len()).map(async |n| {
        let slug = app.slug(&format!("t{n}"));
        for next in before {
            let operation = ask(&app, &slug, plan, *next).await;
            assert_eq!(app.operation_ended(&operation).await["state"], "succeeded");
        }
        slug
    });
    let slugs: Vec<String> = prepared.buffered(BESIDE).collect().await;
    app.stop_worker().await;

    let killed = stream::iter(points.iter().zip(&slugs)).map(async |(point, slug)| {
        let operation = ask(&app, slug, plan, *last).await;
        let doomed = OneOperation { stop_at: Some(point), ..OneOperation::new(BINARY, &app, &operation) };
        doomed.start(None).kill_when_stopped().await;
        operation
    });
    let operations: Vec<String> = killed.buffered(STARTING).collect().await;

    app.start_worker(settings).await;
    let finished = stream::iter(points.iter().zip(&slugs).zip(&operations));
    finished
        .for_each_concurrent(BESIDE, async |((point, slug), operation)| {
            let ended = app.operation_ended(operation).await;
            assert_eq!(ended["state"], "succeeded", "killed at {point}: {ended}");
            assert!(ended["attempts"].as_u64().unwrap() >= 2, "killed at {point}: {ended}");
            if status == "purged" {
                return;
            }
            let tenant = app.api.get(&format!("/api/v1/tenants/{slug}")).await.expect(200).json();
            assert_eq!(tenant["status"], status, "killed at {point}");
            if status == "active" {
                let data = app.data.with_host(format!("{slug}.localhost"));
                let data = data.with_key(app.data_key(slug).await);
                data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
            }
        })
        .await;

    if status == "purged" {
        return app.assert_nothing_left().await;
    }
    let tenants = points.len();
    let of_registry = async |query| usize::try_from(app.count(query).await).unwrap();
    assert_eq!(of_registry("SELECT count(*) FROM placements").await, tenants);
    assert_eq!(of_registry("SELECT sum(tenants)::bigint FROM server_logins").await, tenants);
    let left = app.on_server().await;
    assert_eq!(left.roles.len(), tenants);
    assert_eq!(left.schemas.len() + left.databases.len(), tenants);
    assert!(left.replication.is_empty(), "{left:?}");
}

async fn kill_everywhere(kind: OperationKind, plan: &'static str) {
    let steps = steps(kind, plan);
    let (first, last) = (steps.first().copied(), steps.last().copied());
    let points: Vec<String> = crash_points(kind, &steps)
        .into_iter()
        .filter(|point| match point.moment {
            // A step begins where the one before it ended.
            Moment::Before => Some(point.step) == first,
            // Its record is the operation's end: there is no point after it.
            Moment::Recorded => Some(point.step) != last,
            Moment::Ran | Moment::Undone => true,
        })
        .map(point_to_text)
        .collect();
    kill_at(kind, plan, &points).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_step_of_provision_in_tier_schema_is_succeeded_by_another() {
    kill_everywhere(OperationKind::Provision, "basic").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_step_of_provision_in_tier_database_is_succeeded_by_another() {
    kill_everywhere(OperationKind::Provision, "premium").await;
}

/// Kills a whole worker, with the servers that run in it.
async fn kill_with_its_servers_at(kind: OperationKind, point: &str) {
    let app = TestApp::build().without_worker().start().await;
    let mut doomed = start_worker(&app, Some(point));
    let slug = app.slug("acme");
    let mut operation = app.begin_sign_up(&slug, "enterprise").await;
    if kind == OperationKind::Purge {
        assert_eq!(app.operation_ended(&operation).await["state"], "succeeded");
        operation = ask(&app, &slug, "enterprise", Ask::Delete("?purge=now")).await;
    }
    doomed.stopped().await;
    doomed.kill().await;

    let rescuer = start_worker(&app, None);
    let ended = app.operation_ended(&operation).await;
    assert_eq!(ended["state"], "succeeded", "killed at {point}: {ended}");
    assert!(ended["attempts"].as_u64().unwrap() >= 2, "killed at {point}: {ended}");
    let existing = local_servers::existing(app.label());
    if kind == OperationKind::Purge {
        assert!(existing.is_empty(), "killed at {point}: {existing:?}");
        app.assert_nothing_left().await;
    } else {
        assert_eq!(existing.len(), 1, "killed at {point}");
        let data = app.data.with_host(format!("{slug}.localhost")).with_key(app.data_key(&slug).await);
        data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
    }
    rescuer.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_makes_or_deletes_a_server_is_succeeded_by_another() {
    let steps = [(OperationKind::Provision, "order_server"), (OperationKind::Purge, "delete_server")];
    let points = steps.into_iter().flat_map(|(kind, step)| {
        crash_points(kind, &[step]).into_iter().map(move |point| (kind, point_to_text(point)))
    });
    let kill = async |(kind, point): (OperationKind, String)| kill_with_its_servers_at(kind, &point).await;
    stream::iter(points).for_each_concurrent(4, kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_step_of_purge_is_succeeded_by_another() {
    kill_everywhere(OperationKind::Purge, "basic").await;
    kill_everywhere(OperationKind::Purge, "premium").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_step_of_a_move_is_succeeded_by_another() {
    kill_everywhere(OperationKind::Move, "basic").await;
    kill_everywhere(OperationKind::Move, "premium").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_any_step_of_suspend_resume_deactivate_or_restore_is_succeeded_by_another() {
    for kind in OperationKind::ALL {
        match kind {
            // Tested above, and below.
            OperationKind::Provision
            | OperationKind::Purge
            | OperationKind::Move
            | OperationKind::DrainServer
            | OperationKind::Rollout
            | OperationKind::RemoveLostServer
            | OperationKind::OrderServer
            | OperationKind::DeleteServer
            // Tested among those of clouds.
            | OperationKind::ResizeServer
            | OperationKind::HibernateServer
            | OperationKind::WakeServer => {}
            kind => kill_everywhere(*kind, "basic").await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_gives_up_a_lost_server_is_succeeded_by_another() {
    let kind = OperationKind::RemoveLostServer;
    let steps = steps(kind, "basic");
    let mut points = crash_points(kind, &steps);
    points.pop();
    let kill = async |point: String| {
        let app = TestApp::build().without_worker().start().await;
        let mut doomed = start_worker(&app, Some(&point));
        let sign_up = app.begin_sign_up(&app.slug("acme"), "basic").await;
        assert_eq!(app.operation_ended(&sign_up).await["state"], "succeeded");
        // Where nobody answers.
        app.api.patch("/api/v1/servers/main?check=false", json!({ "port": 1 })).await.expect(200);
        within(Duration::from_mins(1), "it is known to be away", async || {
            app.api.get("/api/v1/servers/main").await.json()["health"]["reachable"] == false
        })
        .await;
        let begun = app.api.delete("/api/v1/servers/main?lost=true").await.expect(202).json();
        doomed.stopped().await;
        doomed.kill().await;
        let rescuer = start_worker(&app, None);
        let ended = app.operation_ended(begun["operation"]["id"].as_str().unwrap()).await;
        assert_eq!(ended["state"], "succeeded", "killed at {point}: {ended}");
        assert_eq!(app.count("SELECT count(*) FROM servers").await, 0, "killed at {point}");
        assert_eq!(app.count("SELECT count(*) FROM placements").await, 0, "killed at {point}");
        rescuer.kill().await;
    };
    stream::iter(points.into_iter().map(point_to_text)).for_each_concurrent(4, kill).await;
}

/// Kills a whole worker while it makes a server of a class, or deletes it.
async fn kill_with_a_class_at(kind: OperationKind, point: &str) {
    let app = TestApp::build().without_worker().start().await;
    let mut doomed = start_worker(&app, Some(point));
    let class = |min_free: u32| json!({ "provider": "local", "capacity": 1, "minFree": min_free });
    app.api.put("/api/v1/server-classes/standard", class(0)).await.expect(404);
    let mut named = class(1);
    named["name"] = json!("standard");
    app.api.post("/api/v1/server-classes", named).await.expect(201);
    if kind == OperationKind::DeleteServer {
        let made = "SELECT count(*) FROM operations WHERE kind = 'order_server' AND state = 'succeeded'";
        within(Duration::from_mins(1), "it is made", async || app.count(made).await == 1).await;
        app.api.put("/api/v1/server-classes/standard", class(0)).await.expect(200);
        let servers = app.api.get("/api/v1/servers").await.expect(200).json();
        let servers = servers["items"].as_array().unwrap();
        let server = servers.iter().find(|server| server["class"] == "standard").unwrap()["name"].clone();
        app.api.delete(&format!("/api/v1/servers/{}", server.as_str().unwrap())).await.expect(202);
    }
    doomed.stopped().await;
    doomed.kill().await;

    let rescuer = start_worker(&app, None);
    let unfinished =
        "SELECT count(*) FROM operations WHERE state NOT IN ('succeeded', 'failed', 'cancelled')";
    let ended =
        async || app.count("SELECT count(*) FROM operations").await > 0 && app.count(unfinished).await == 0;
    within(Duration::from_mins(1), &format!("{kind} goes on, killed at {point}"), ended).await;
    let failed = "SELECT count(*) FROM operations WHERE state <> 'succeeded'";
    assert_eq!(app.count(failed).await, 0, "killed at {point}");
    let there = usize::from(kind == OperationKind::OrderServer);
    assert_eq!(local_servers::existing(app.label()).len(), there, "killed at {point}");
    let known = app.count("SELECT count(*) FROM servers WHERE class = 'standard'").await;
    assert_eq!(usize::try_from(known).unwrap(), there, "killed at {point}");
    rescuer.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_makes_or_deletes_a_server_of_a_class_is_succeeded_by_another() {
    let points = [OperationKind::OrderServer, OperationKind::DeleteServer].into_iter().flat_map(|kind| {
        let mut points = crash_points(kind, &steps(kind, "basic"));
        points.pop();
        points.into_iter().map(move |point| (kind, point_to_text(point)))
    });
    let kill = async |(kind, point): (OperationKind, String)| kill_with_a_class_at(kind, &point).await;
    stream::iter(points).for_each_concurrent(3, kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_drains_a_server_is_succeeded_by_another() {
    let kind = OperationKind::DrainServer;
    let mut points = crash_points(kind, &steps(kind, "basic"));
    points.pop();
    let other = server::start(Durability::Volatile).await.unwrap();
    let kill = async |point: String| {
        let app = TestApp::build().without_worker().start().await;
        let mut doomed = start_worker(&app, Some(&point));
        let slug = app.slug("acme");
        let sign_up = app.begin_sign_up(&slug, "basic").await;
        assert_eq!(app.operation_ended(&sign_up).await["state"], "succeeded");
        app.add_server("other", &other).await;
        let begun = app.api.post("/api/v1/servers/main/drain", json!({})).await.expect(202).json();
        doomed.stopped().await;
        doomed.kill().await;
        let rescuer = start_worker(&app, None);
        let ended = app.operation_ended(begun["operation"]["id"].as_str().unwrap()).await;
        assert_eq!(ended["state"], "succeeded", "killed at {point}: {ended}");
        let tenant = app.api.get(&format!("/api/v1/tenants/{slug}")).await.expect(200).json();
        assert_eq!(tenant["placement"]["server"], "other", "killed at {point}");
        assert!(app.on_server().await.is_empty(), "killed at {point}");
        rescuer.kill().await;
    };
    stream::iter(points.into_iter().map(point_to_text)).for_each_concurrent(4, kill).await;
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

/// Cuts the worker's connections to the registry while it stands before each step, and lets it go on.
async fn cut_at_each_step(kind: OperationKind) {
    let proxy = Proxy::before(server::shared().await).await;
    let gates = Arc::new(Gates::default());
    let app = TestApp::build()
        .with_worker_registry_proxy(proxy.address)
        .with_shared_probe(gates.clone())
        .start()
        .await;
    for step in steps(kind, "basic") {
        let slug = app.slug(&step.replace('_', "-"));
        let gate = gates.put(Gate::at(step).only(kind));
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_loses_the_registry_in_any_step_finishes_the_operation_afterwards() {
    let kinds = stream::iter([OperationKind::Provision, OperationKind::Purge]);
    kinds.for_each_concurrent(2, cut_at_each_step).await;
}

/// Which connections of a worker that moves a tenant to another server are cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Registry,
    Old,
    New,
}

/// Cuts them while the worker stands at each step, and lets it go on: each move is finished or undone, and nothing is
/// left.
async fn cut_each_step_of_a_move(other: &EmbeddedPostgres, cut: Cut) {
    let shared = server::shared().await;
    let (registry, old, new) =
        (Proxy::before(shared).await, Proxy::before(shared).await, Proxy::before(other).await);
    let gates = Arc::new(Gates::default());
    let app = TestApp::build()
        .with_worker_registry_proxy(registry.address)
        .with_tenant_server_proxy(old.address)
        .with_shared_probe(gates.clone())
        .worker(|worker| worker.move_at_once = 0)
        .start()
        .await;
    let cut_off = match cut {
        Cut::Registry => &registry,
        Cut::Old => &old,
        Cut::New => &new,
    };
    app.add_server_at("other", other, new.address.port()).await;
    let make_other =
        async |state| app.api.patch("/api/v1/servers/other", json!({ "state": state })).await.expect(200);
    for step in steps(OperationKind::Move, "basic") {
        let at = format!("{cut:?} cut at {step}");
        make_other("cordoned").await;
        let tenant = app.sign_up(&step.replace('_', "-"), "basic", "crm").await;
        make_other("active").await;
        tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
        // In the step, or before it is recorded.
        let gate = if matches!(cut, Cut::Registry) { Gate::after(step) } else { Gate::at(step) };
        let gate = gates.put(gate.only(OperationKind::Move));
        let path = format!("/api/v1/tenants/{}", tenant.slug);
        let begun = app.api.post(&format!("{path}/move"), json!({ "server": "other" })).await;
        let begun = begun.expect(202).json();
        gate.reached().await;
        cut_off.cut();
        gate.open();
        cut_off.mend();
        let ended = app.operation_ended(begun["operation"]["id"].as_str().unwrap()).await;
        let state = ended["state"].as_str().unwrap();
        assert!(matches!(state, "succeeded" | "failed"), "{at}: {ended}");
        app.routes_caught_up().await;
        let written = || tenant.data.post("/api/contacts", json!({ "email": "b@example.com" }));
        // Connections of the data plane were cut too: which it learns by using them.
        within(Duration::from_secs(20), &at, async || written().await.status == 201).await;
        let read = tenant.data.get("/api/contacts?select=email&order=email").await.expect(200).json();
        assert_eq!(read, json!([{ "email": "a@example.com" }, { "email": "b@example.com" }]), "{at}");
        let (here, there) = (app.on_server().await, app.on(other).await);
        let (serves, left) = if state == "succeeded" { (there, here) } else { (here, there) };
        assert_eq!((serves.schemas.len(), serves.roles.len(), serves.databases.len()), (1, 1, 0), "{at}");
        assert!(serves.replication.is_empty() && left.is_empty(), "{at}: {serves:?} {left:?}");
        assert_eq!(app.count("SELECT count(*) FROM placements").await, 1, "{at}");
        app.api.delete_and_wait(&format!("{path}?purge=now")).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_whose_connections_are_cut_at_any_step_is_finished_or_undone() {
    let other = server::start(Durability::Volatile).await.unwrap();
    let all = [Cut::Registry, Cut::Old, Cut::New];
    stream::iter(all).for_each_concurrent(3, async |cut| cut_each_step_of_a_move(&other, cut).await).await;
}
