//! Servers of suspended tenants that are stopped until somebody wakes them, as clusters of CloudNativePG.

use std::time::Duration;

use serde_json::{Value, json};
use tenantry_tests::{
    Signup, TestApp,
    kubernetes::{Fault, KubernetesCluster},
    within::within,
};
use tenantry_worker::{
    providers::Providers,
    reconcilers::{names, run_once},
};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_mins(1);

/// A suspended tenant with a cluster of its own, and a row in it.
struct Asleep {
    cluster: KubernetesCluster,
    app: TestApp,
    tenant: Signup,
    server: Value,
}

impl Asleep {
    async fn suspended() -> Self {
        let cluster = KubernetesCluster::start().await;
        let mut app = TestApp::build().with_apps(&["crm"]).without_worker().start().await;
        let mut settings = app.worker_settings();
        settings.providers = Providers::new(vec![cluster.provider(app.label())]);
        app.start_worker(settings).await;
        let tenant = app.sign_up("acme", "enterprise", "crm").await;
        tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
        let server = app.server_of(&tenant.slug).await;
        let asleep = Self { cluster, app, tenant, server };
        asleep.on_tenant("suspend").await;
        asleep
    }

    async fn hibernated() -> Self {
        let asleep = Self::suspended().await;
        asleep.app.api.post_and_wait(&asleep.path("/hibernate"), Value::Null).await.expect(200);
        asleep
    }

    fn path(&self, what: &str) -> String {
        format!("/api/v1/servers/{}{what}", self.server["name"].as_str().unwrap())
    }

    async fn on_tenant(&self, what: &str) {
        let path = format!("/api/v1/tenants/{}/{what}", self.tenant.slug);
        self.app.api.post_and_wait(&path, json!({})).await.expect(200);
    }

    /// Asks for an operation on the tenant that has to wait; answers its id.
    async fn waits(&self, what: &str) -> String {
        let path = format!("/api/v1/tenants/{}/{what}", self.tenant.slug);
        let begun = self.app.api.post(&path, json!({})).await.expect(202).json();
        let id = begun["operation"]["id"].as_str().unwrap().to_owned();
        let waits = self.app.operation_is(&id, "waiting").await;
        let wake = format!("`tenantry servers wake {}`", self.server["name"].as_str().unwrap());
        assert!(waits["message"].as_str().unwrap().contains(&wake), "{waits}");
        id
    }

    async fn state(&self) -> Value {
        self.app.api.get(&self.path("")).await.expect(200).json()["state"].clone()
    }

    /// Whether something listens where the server is.
    async fn listens(&self) -> bool {
        let port = u16::try_from(self.server["port"].as_u64().unwrap()).unwrap();
        TcpStream::connect(("localhost", port)).await.is_ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_of_a_suspended_tenant_is_stopped_and_started_again_with_its_data() {
    let asleep = Asleep::hibernated().await;
    let app = &asleep.app;
    assert!(asleep.cluster.running().is_empty() && !asleep.listens().await);
    assert_eq!(asleep.state().await, "hibernated");
    let annotations = asleep.cluster.objects("clusters")[0]["metadata"]["annotations"].clone();
    assert_eq!(annotations["cnpg.io/hibernation"], "on");
    // Nobody looks at it, and it is nobody's news.
    let resources = app.worker.as_ref().unwrap().resources();
    let before = app.api.get(&asleep.path("")).await.expect(200).json()["health"].clone();
    for name in names() {
        run_once(resources, name).await.unwrap().unwrap();
    }
    assert_eq!(app.api.get(&asleep.path("")).await.expect(200).json()["health"], before);
    let name = asleep.server["name"].as_str().unwrap();
    let shown = async |server: &str| {
        let metric = format!(r#"tenantry_server_reachable{{server="{server}"}}"#);
        app.admin.get("/metrics").await.text.contains(&metric)
    };
    let gone = async || shown("main").await && !shown(name).await;
    within(PATIENCE, "the metric of the server alone is gone", gone).await;
    let audited = format!("{}/audit", asleep.path(""));
    assert_eq!(app.api.get(&audited).await.status, 503);

    let resume = asleep.waits("resume").await;
    let refused = app.api.post(&asleep.path("/hibernate"), Value::Null).await;
    refused.expect_problem(409, "server_hibernated");
    app.api.post_and_wait(&asleep.path("/wake"), Value::Null).await.expect(200);
    assert_eq!(app.operation_ended(&resume).await["state"], "succeeded");
    let kept = asleep.tenant.data.get("/api/contacts?select=email").await.expect(200).json();
    assert_eq!(kept, json!([{ "email": "a@example.com" }]));
    assert_eq!(asleep.state().await, "active");
    app.api.post(&asleep.path("/wake"), Value::Null).await.expect_problem(409, "server_not_hibernated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_tenant_is_served_or_worked_on_is_not_hibernated() {
    let asleep = Asleep::suspended().await;
    let app = &asleep.app;
    asleep.on_tenant("resume").await;
    let refused = app.api.post(&asleep.path("/hibernate"), Value::Null).await;
    let refused = refused.expect_problem(409, "tenant_not_suspended").json();
    assert!(refused["detail"].as_str().unwrap().contains(&asleep.tenant.slug), "{refused}");
    let main = app.api.post("/api/v1/servers/main/hibernate", Value::Null).await;
    main.expect_problem(409, "server_cannot_hibernate");
    // One that was suspended when it was asked for, and is served when it is to be stopped.
    asleep.on_tenant("suspend").await;
    asleep.cluster.fail("PATCH", "clusters", Fault::Status(503), 1_000);
    let begun = app.api.post(&asleep.path("/hibernate"), Value::Null).await.expect(202).json();
    let id = begun["operation"]["id"].as_str().unwrap();
    app.operation_is(id, "waiting").await;
    let resume = asleep.waits("resume").await;
    asleep.cluster.mend();
    let ended = app.operation_ended(id).await;
    assert_eq!(ended["state"], "failed", "{ended}");
    assert!(ended["error"].as_str().unwrap().contains("is being worked on"), "{ended}");
    assert_eq!(app.operation_ended(&resume).await["state"], "succeeded");
    assert_eq!((asleep.state().await, asleep.cluster.running().len()), (json!("active"), 1));
    asleep.tenant.data.get("/api/contacts").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hibernated_server_holds_is_deleted_without_waking_it() {
    let asleep = Asleep::hibernated().await;
    let app = &asleep.app;
    for (path, body) in [("/resize", Value::Null), ("/drain", json!({}))] {
        let refused = app.api.post(&asleep.path(path), body).await;
        refused.expect_problem(409, "server_hibernated");
    }
    let change = app.api.patch(&asleep.path(""), json!({ "state": "active" })).await;
    change.expect_problem(409, "server_hibernated");
    let lost = app.api.delete(&asleep.path("?lost=true")).await;
    lost.expect_problem(409, "server_hibernated");
    let tenant = format!("/api/v1/tenants/{}", asleep.tenant.slug);
    app.api.delete_and_wait(&tenant).await.expect(200);
    app.api.delete_and_wait(&format!("{tenant}?purge=now")).await.expect(200);
    asleep.cluster.until_empty().await;
    app.assert_nothing_left().await;
    app.api.get(&asleep.path("")).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_being_woken_is_let_in_when_it_answers_and_a_wake_can_be_taken_back() {
    let asleep = Asleep::hibernated().await;
    let app = &asleep.app;
    asleep.cluster.hold(Some("Waiting for the instances to become active"));
    let begun = app.api.post(&asleep.path("/wake"), Value::Null).await.expect(202).json();
    let id = begun["operation"]["id"].as_str().unwrap();
    let waits = app.operation_is(id, "waiting").await;
    assert!(waits["message"].as_str().unwrap().starts_with("Waiting for"), "{waits}");
    assert_eq!(asleep.state().await, "hibernated");
    app.api.post(&format!("/api/v1/operations/{id}/cancel"), json!({})).await.expect(202);
    assert_eq!(app.operation_ended(id).await["state"], "cancelled");
    asleep.cluster.hold(None);
    assert_eq!(asleep.state().await, "hibernated");
    assert!(asleep.cluster.running().is_empty());
    app.api.post_and_wait(&asleep.path("/wake"), Value::Null).await.expect(200);
    asleep.on_tenant("resume").await;
    // The one that was taken back is tried again: what is undone of it stops nothing.
    app.api.post(&format!("/api/v1/operations/{id}/retry"), json!({})).await.expect(202);
    let again = app.operation_ended(id).await;
    assert!(again["error"].as_str().unwrap().contains("is not hibernated"), "{again}");
    assert_eq!(asleep.cluster.running().len(), 1);
    asleep.tenant.data.get("/api/contacts").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_frozen_stops_no_server_that_was_woken_since() {
    let asleep = Asleep::suspended().await;
    let id = asleep.server["id"].as_str().unwrap().parse().unwrap();
    let (late, other) = (asleep.cluster.provider("main"), asleep.cluster.provider("main"));
    asleep.cluster.fail("PATCH", "clusters", Fault::Held, 1);
    let stopping = tokio::spawn(async move { late.hibernate(id, true, 1).await });
    asleep.cluster.until_held().await;
    other.hibernate(id, true, 2).await.unwrap();
    other.hibernate(id, false, 3).await.unwrap();
    asleep.cluster.release();
    stopping.await.unwrap().unwrap_err();
    // Nor does one that looks only now.
    other.hibernate(id, true, 2).await.unwrap_err();
    let annotations = asleep.cluster.objects("clusters")[0]["metadata"]["annotations"].clone();
    assert_eq!(annotations["cnpg.io/hibernation"], "off");
}
