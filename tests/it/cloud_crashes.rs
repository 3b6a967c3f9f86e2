//! Workers that are killed while a cloud makes servers for them, at every step and while they wait; nothing is left over there.

use std::time::Duration;

use futures::{StreamExt, stream};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenantry_domain::{operation::OperationKind, plan::Tier};
use tenantry_tests::{
    TestApp,
    kubernetes::KubernetesCluster,
    probe::{crash_points, point_to_text},
    process::WorkerProcess,
    rds::RdsRegion,
    within::within,
};
use tenantry_worker::{operations::outlines, providers::Provider};

const BINARY: &str = env!("CARGO_BIN_EXE_tenantry-under-test");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Kubernetes,
    Rds,
}

/// A cloud of a test's own.
enum Cloud {
    Kubernetes(KubernetesCluster),
    Rds(RdsRegion),
}

impl Cloud {
    async fn start(which: Which) -> Self {
        match which {
            Which::Kubernetes => Self::Kubernetes(KubernetesCluster::start().await),
            Which::Rds => Self::Rds(RdsRegion::start().await),
        }
    }

    fn worker(&self, app: &TestApp, stop_at: Option<&str>) -> WorkerProcess {
        let surroundings = match self {
            Self::Kubernetes(cluster) => cluster.surroundings(),
            Self::Rds(region) => region.surroundings(),
        };
        let url = app.registry_url().expose_secret();
        WorkerProcess::start_in(&surroundings, BINARY, url, &app.kek, app.label(), stop_at)
    }

    fn hold(&self, on: bool) {
        match self {
            Self::Kubernetes(cluster) => cluster.hold(on.then_some("Setting up primary")),
            Self::Rds(region) => region.hold(on.then_some("creating")),
        }
    }

    /// What the sweep finds, and what is there.
    async fn is_empty(&self, app: &TestApp) -> bool {
        let (provider, left): (std::sync::Arc<dyn Provider>, _) = match self {
            Self::Kubernetes(cluster) => (cluster.provider(app.label()), cluster.left()),
            Self::Rds(region) => (region.provider(app.label(), &app.kek), region.instances()),
        };
        provider.sweep().await.expect("the API answers");
        provider.list().await.expect("the API answers").is_empty() && left.is_empty()
    }
}

/// Asks for an operation that needs a server, or gives one back; answers its id.
async fn ask(app: &TestApp, slug: &str, kind: OperationKind) -> String {
    let path = format!("/api/v1/tenants/{slug}");
    let asked = match kind {
        OperationKind::Provision => return app.begin_sign_up(slug, "enterprise").await,
        OperationKind::Purge => app.api.delete(&format!("{path}?purge=now")).await,
        _ => app.api.post(&format!("{path}/migrate"), json!({ "targetPlan": "enterprise" })).await,
    };
    asked.expect(202).json()["operation"]["id"].as_str().unwrap().to_owned()
}

async fn succeeded(app: &TestApp, operation: &str) -> Value {
    let ended = app.operation_ended(operation).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    ended
}

/// Kills a worker at a point of an operation, or while it waits for the cloud; another one finishes it. Then the tenant is purged.
async fn kill(which: Which, kind: OperationKind, point: Option<&str>) {
    let (app, cloud) = tokio::join!(TestApp::build().without_worker().start(), Cloud::start(which));
    let slug = app.slug("acme");
    cloud.hold(point.is_none());
    let mut doomed = cloud.worker(&app, point);
    if kind != OperationKind::Provision {
        let plan = if kind == OperationKind::Purge { "enterprise" } else { "premium" };
        succeeded(&app, &app.begin_sign_up(&slug, plan).await).await;
    }
    let operation = ask(&app, &slug, kind).await;
    if point.is_some() {
        doomed.stopped().await;
    } else {
        let waits = async || {
            let operation = app.api.get(&format!("/api/v1/operations/{operation}")).await.json();
            operation["state"] == "waiting" && operation["step"] == "order_server"
        };
        within(Duration::from_secs(30), "it waits for the cloud", waits).await;
    }
    doomed.kill().await;
    cloud.hold(false);

    let rescuer = cloud.worker(&app, None);
    succeeded(&app, &operation).await;
    if kind != OperationKind::Purge {
        let data = app.data.with_host(format!("{slug}.localhost")).with_key(app.data_key(&slug).await);
        data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
        let tenant = app.api.get(&format!("/api/v1/tenants/{slug}")).await.expect(200).json();
        let server = tenant["placement"]["server"].as_str().unwrap();
        let server = app.api.get(&format!("/api/v1/servers/{server}")).await.expect(200).json();
        assert_ne!(server["provider"], "static");
        succeeded(&app, &ask(&app, &slug, OperationKind::Purge).await).await;
    }
    let empty = async || cloud.is_empty(&app).await;
    within(Duration::from_secs(30), "nothing is left in the cloud", empty).await;
    app.assert_nothing_left().await;
    rescuer.kill().await;
}

fn points(kind: OperationKind, of: impl Fn(&str) -> bool) -> Vec<String> {
    let outline = outlines()
        .into_iter()
        .find(|(tier, outline)| outline.kind == kind && tier.is_none_or(|tier| tier == Tier::Instance));
    let steps = outline.map(|(_, outline)| outline.steps).unwrap();
    let last = steps.last().copied();
    let points = crash_points(kind, &steps).into_iter().filter(|point| of(point.step));
    // After the record of the last one there is no point.
    let ended = |point: &tenantry_worker::engine::Point| {
        Some(point.step) == last && point.moment == tenantry_worker::engine::Moment::Recorded
    };
    points.filter(|point| !ended(point)).map(point_to_text).collect()
}

async fn kill_at_all(which: Which, of: impl Fn(&str) -> bool + Copy) {
    let kinds = [OperationKind::Provision, OperationKind::Move, OperationKind::Purge];
    let at_steps =
        kinds.into_iter().flat_map(|kind| points(kind, of).into_iter().map(move |point| (kind, Some(point))));
    let waiting = [OperationKind::Provision, OperationKind::Move].map(|kind| (kind, None));
    let kill =
        async |(kind, point): (OperationKind, Option<String>)| kill(which, kind, point.as_deref()).await;
    stream::iter(at_steps.chain(waiting)).for_each_concurrent(3, kill).await;
}

fn is_about_servers(step: &str) -> bool {
    ["order_server", "delete_server"].contains(&step)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_kubernetes_makes_or_deletes_a_server_leaves_nothing_behind() {
    kill_at_all(Which::Kubernetes, is_about_servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_amazon_makes_or_deletes_a_server_leaves_nothing_behind() {
    kill_at_all(Which::Rds, is_about_servers).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the long form: at every step of a sign-up, a move and a purge"]
async fn a_worker_killed_at_any_step_of_a_tenant_in_a_cloud_leaves_nothing_behind() {
    kill_at_all(Which::Kubernetes, |_| true).await;
    kill_at_all(Which::Rds, |_| true).await;
}

/// Kills a worker at a point of a resize; another one finishes it.
async fn kill_while_it_resizes(point: &str) {
    let (app, cloud) = tokio::join!(TestApp::build().without_worker().start(), KubernetesCluster::start());
    let cloud = Cloud::Kubernetes(cloud);
    let mut doomed = cloud.worker(&app, Some(point));
    let class = |cpu: &str| {
        json!({ "name": "small", "provider": "kubernetes", "capacity": 5, "minFree": 1, "maxServers": 1,
            "size": { "cpu": cpu } })
    };
    app.api.post("/api/v1/server-classes", class("1")).await.expect(201);
    let server = async || {
        let servers = app.api.get("/api/v1/servers").await.expect(200).json();
        let items = servers["items"].as_array().unwrap().clone();
        items.into_iter().find(|server| server["class"] == "small")
    };
    let ordered = "SELECT count(*) FROM operations WHERE kind = 'order_server' AND state = 'succeeded'";
    within(Duration::from_mins(1), "a server is made", async || app.count(ordered).await == 1).await;
    app.api.put("/api/v1/server-classes/small", class("4")).await.expect(200);
    let resize = format!("/api/v1/servers/{}/resize", server().await.unwrap()["name"].as_str().unwrap());
    let begun = app.api.post(&resize, Value::Null).await.expect(202).json();
    doomed.stopped().await;
    doomed.kill().await;
    let rescuer = cloud.worker(&app, None);
    succeeded(&app, begun["operation"]["id"].as_str().unwrap()).await;
    let Cloud::Kubernetes(cluster) = &cloud else { unreachable!("it is one") };
    let limits = cluster.objects("clusters")[0]["spec"]["resources"]["limits"].clone();
    assert_eq!(limits["cpu"], "4", "killed at {point}");
    rescuer.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_resizes_a_server_is_succeeded_by_another() {
    let kill = async |point: String| kill_while_it_resizes(&point).await;
    stream::iter(points(OperationKind::ResizeServer, |_| true)).for_each_concurrent(3, kill).await;
}

/// Kills a worker at a point of hibernating a server or of waking it; another one finishes it.
async fn kill_while_it_sleeps(kind: OperationKind, point: &str) {
    let (app, cluster) = tokio::join!(TestApp::build().without_worker().start(), KubernetesCluster::start());
    let cloud = Cloud::Kubernetes(cluster);
    let mut worker = cloud.worker(&app, Some(point));
    let slug = app.slug("acme");
    succeeded(&app, &app.begin_sign_up(&slug, "enterprise").await).await;
    let data = app.data.with_host(format!("{slug}.localhost")).with_key(app.data_key(&slug).await);
    data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
    let server = format!("/api/v1/servers/{}", app.server_of(&slug).await["name"].as_str().unwrap());
    let tenant = format!("/api/v1/tenants/{slug}");
    for (path, of) in [
        (format!("{tenant}/suspend"), OperationKind::Suspend),
        (format!("{server}/hibernate"), OperationKind::HibernateServer),
        (format!("{server}/wake"), OperationKind::WakeServer),
        (format!("{tenant}/resume"), OperationKind::Resume),
    ] {
        let begun = app.api.post(&path, Value::Null).await.expect(202).json();
        if of == kind {
            worker.stopped().await;
            worker.kill().await;
            worker = cloud.worker(&app, None);
        }
        succeeded(&app, begun["operation"]["id"].as_str().unwrap()).await;
        let Cloud::Kubernetes(cluster) = &cloud else { unreachable!("it is one") };
        let stopped = cluster.running().is_empty();
        assert_eq!(stopped, of == OperationKind::HibernateServer, "{of} killed at {point}");
    }
    data.get("/api/contacts").await.expect(200);
    worker.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_it_hibernates_or_wakes_a_server_is_succeeded_by_another() {
    let kill = async |(kind, point): (OperationKind, String)| kill_while_it_sleeps(kind, &point).await;
    let kinds = [OperationKind::HibernateServer, OperationKind::WakeServer];
    let points =
        kinds.into_iter().flat_map(|kind| points(kind, |_| true).into_iter().map(move |at| (kind, at)));
    stream::iter(points).for_each_concurrent(3, kill).await;
}
