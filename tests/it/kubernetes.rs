//! Servers as clusters of CloudNativePG: against an API server that can answer all that a real one does, with a real PostgreSQL
//! per cluster.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tenantry_tests::{
    TestApp,
    kubernetes::{Fault, KubernetesCluster},
    orders::{new_order, until_ready},
    rds::RdsRegion,
    within::within,
};
use tenantry_worker::providers::{Look, Provider, ProviderError, Providers};

const PATIENCE: Duration = Duration::from_mins(1);

/// A Tenantry whose servers of tier instance are clusters there.
async fn app_on(cluster: &KubernetesCluster) -> TestApp {
    let mut app = TestApp::build().without_daily_quotas().with_apps(&["crm"]).without_worker().start().await;
    start_worker(&mut app, cluster).await;
    app
}

async fn start_worker(app: &mut TestApp, cluster: &KubernetesCluster) {
    let mut settings = app.worker_settings();
    settings.providers = Providers::new(vec![cluster.provider(app.label())]);
    app.start_worker(settings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_a_cluster_of_its_own_from_sign_up_to_purge() {
    let cluster = KubernetesCluster::start().await;
    let app = app_on(&cluster).await;
    let tenant = app.sign_up("acme", "enterprise", "crm").await;
    tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
    let server = app.server_of(&tenant.slug).await;
    assert_eq!(
        (&server["provider"], &server["sslMode"], &server["tenants"]),
        (&json!("kubernetes"), &json!("verify-full"), &json!(1))
    );
    let clusters = cluster.objects("clusters");
    let labels = &clusters[0]["metadata"]["labels"];
    assert_eq!((clusters.len(), &labels["tenantry.io/for"]), (1, &json!(tenant.slug)));
    assert_eq!(labels["tenantry.io/server"], server["id"]);
    app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", tenant.slug)).await.expect(200);
    cluster.until_empty().await;
    app.assert_nothing_left().await;
    assert_eq!(cluster.provider(app.label()).list().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_upgraded_to_a_cluster_while_it_is_written_to() {
    let cluster = KubernetesCluster::start().await;
    let app = app_on(&cluster).await;
    let tenant = app.sign_up("acme", "premium", "crm").await;
    let (data, slug) = (tenant.data.clone(), tenant.slug.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let writer = tokio::spawn(async move {
        let mut stopped = stopped;
        let mut written = 0;
        while stopped.try_recv().is_err() {
            let body = json!({ "email": format!("{written}@example.com") });
            data.post("/api/contacts", body).await.expect(201);
            written += 1;
        }
        written
    });
    let upgraded = json!({ "targetPlan": "enterprise" });
    app.api.post_and_wait(&format!("/api/v1/tenants/{slug}/migrate"), upgraded).await.expect(200);
    stop.send(()).unwrap();
    let written: usize = writer.await.unwrap();
    assert_eq!(app.server_of(&slug).await["provider"], "kubernetes");
    let counted = tenant.data.get("/api/contacts?select=count()").await.expect(200).json();
    assert_eq!(counted, json!([{ "count": written }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_another_provider_leaves_an_order_to_the_one_that_was_asked() {
    let (cluster, region) = (KubernetesCluster::start().await, RdsRegion::start().await);
    let mut app = app_on(&cluster).await;
    cluster.hold(Some("Setting up primary"));
    let (cancelled, slug) = (app.slug("cancelled"), app.slug("acme"));
    let begun =
        [app.begin_sign_up(&cancelled, "enterprise").await, app.begin_sign_up(&slug, "enterprise").await];
    for operation in &begun {
        app.operation_is(operation, "waiting").await;
    }
    app.stop_worker().await;
    let mut settings = app.worker_settings();
    settings.providers = Providers::new(vec![region.provider(app.label(), &app.kek)]);
    app.start_worker(settings).await;
    let told = async || {
        let messages = begun.iter().map(async |operation| app.operation(operation).await["message"].clone());
        futures::future::join_all(messages)
            .await
            .iter()
            .all(|message| message == "waits for a worker that is set up with provider kubernetes")
    };
    within(PATIENCE, "both orders wait for their provider", told).await;
    // Nor does it give back what it has not ordered.
    let [to_cancel, to_finish] = begun;
    app.api.post(&format!("/api/v1/operations/{to_cancel}/cancel"), json!({})).await.expect(202);
    let undone = "SELECT count(*) FROM operations WHERE undoing AND state = 'waiting'";
    within(PATIENCE, "the cancelled one waits too", async || app.count(undone).await == 1).await;
    app.stop_worker().await;
    // Looking for its own servers changes nothing there.
    let changes: Vec<_> = region.actions().into_iter().filter(|call| !call.starts_with("Describe")).collect();
    assert!(changes.is_empty(), "{changes:?}");
    cluster.hold(None);
    start_worker(&mut app, &cluster).await;
    assert_eq!(app.operation_ended(&to_finish).await["state"], "succeeded");
    assert_eq!(app.server_of(&slug).await["provider"], "kubernetes");
    assert_eq!(app.operation_ended(&to_cancel).await["state"], "cancelled");
    app.api.delete_and_wait(&format!("/api/v1/tenants/{slug}?purge=now")).await.expect(200);
    cluster.until_empty().await;
    app.assert_nothing_left().await;
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!({}), |inner, _| json!({ "a": inner }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_of_clusters_keeps_room_and_its_servers_are_what_it_says() {
    let cluster = KubernetesCluster::start().await;
    let app = app_on(&cluster).await;
    app.api.patch("/api/v1/servers/main", json!({ "state": "cordoned" })).await.expect(200);
    let class = json!({
        "name": "small", "provider": "kubernetes", "region": "eu-test", "capacity": 5, "minFree": 3, "maxServers": 1,
        "version": 17, "size": { "cpu": "2", "memory": "4Gi", "storage": "50Gi", "instances": 2 },
        "parameters": { "work_mem": "9MB" }, "spec": { "backup": { "retentionPolicy": "30d" } },
    });
    let made = app.api.post("/api/v1/server-classes", class.clone()).await.expect(201).json();
    assert_eq!((&made["size"], &made["spec"]), (&class["size"], &class["spec"]));
    let tenant = app.sign_up("acme", "basic", "crm").await;
    tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
    let server = app.server_of(&tenant.slug).await;
    assert_eq!((&server["class"], &server["region"]), (&json!("small"), &json!("eu-test")));
    let spec = &cluster.objects("clusters")[0]["spec"];
    assert_eq!((&spec["instances"], &spec["storage"]["size"]), (&json!(2), &json!("50Gi")));
    assert_eq!(spec["backup"]["retentionPolicy"], "30d");
    assert_eq!(spec["postgresql"]["parameters"]["work_mem"], "9MB");
    // And what it says later, once it is asked for.
    let mut larger = class.clone();
    larger["size"]["cpu"] = "4".into();
    larger["spec"] = json!({});
    app.api.put("/api/v1/server-classes/small", larger).await.expect(200);
    let resize = format!("/api/v1/servers/{}/resize", server["name"].as_str().unwrap());
    app.api.post_and_wait(&resize, Value::Null).await.expect(200);
    let spec = &cluster.objects("clusters")[0]["spec"];
    assert_eq!((&spec["resources"]["limits"]["cpu"], &spec["backup"]), (&json!("4"), &Value::Null));
    tenant.data.post("/api/contacts", json!({ "email": "b@example.com" })).await.expect(201);
    for (change, field) in [
        (json!({ "spec": { "envFrom": [] } }), "spec.envFrom"),
        (json!({ "spec": { "bootstrap": {} } }), "spec.bootstrap"),
        (json!({ "size": { "storage": "9 Gi" } }), "size.storage"),
        (json!({ "size": { "instances": 0 } }), "size.instances"),
        (json!({ "size": { "instanceClass": "db.m7g.large" } }), "size.instanceClass"),
        (json!({ "size": { "disk": "1Gi" } }), "size.disk"),
        (json!({ "size": { "cpu": 2 } }), "size.cpu"),
        (json!({ "version": 9 }), "version"),
        (json!({ "spec": nested(40) }), "spec"),
        (json!({ "provider": "local" }), "version"),
    ] {
        let mut body = class.clone();
        body["name"] = "other".into();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = app.api.post("/api/v1/server-classes", body).await;
        assert_eq!(refused.status, 400, "{change}");
        assert_eq!(refused.fields()[0], field, "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_a_deletion_outlast_whatever_the_api_server_does() {
    let cluster = KubernetesCluster::start().await;
    let faults = [
        Fault::Status(409),
        Fault::Status(429),
        Fault::Status(500),
        Fault::Status(503),
        Fault::LostRequest,
        Fault::LostAnswer,
    ];
    let mut app = TestApp::build().without_daily_quotas().with_apps(&["crm"]).without_worker().start().await;
    for fault in faults {
        for (method, path) in
            [("POST", "configmaps"), ("PATCH", "clusters"), ("GET", "clusters"), ("GET", "secrets")]
        {
            cluster.fail(method, path, fault, 1);
        }
    }
    let mut worker = app.worker_settings();
    worker.step_tries = 100;
    worker.retry_base = Duration::from_millis(5);
    worker.retry_cap = Duration::from_millis(50);
    worker.providers = Providers::new(vec![cluster.provider(app.label())]);
    app.start_worker(worker).await;
    let tenant = app.sign_up("acme", "enterprise", "crm").await;
    tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
    cluster.mend();
    for fault in faults {
        for (method, path) in [("POST", "configmaps"), ("DELETE", "configmaps"), ("DELETE", "clusters")] {
            cluster.fail(method, path, fault, 1);
        }
    }
    app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", tenant.slug)).await.expect(200);
    cluster.until_empty().await;
    app.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_noted_even_by_a_watch_that_was_too_late() {
    let cluster = KubernetesCluster::start().await;
    let app = app_on(&cluster).await;
    let tenant = app.sign_up("acme", "enterprise", "crm").await;
    let name = cluster.objects("clusters")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let ca = async || app.server_of(&tenant.slug).await["sslRootCert"].clone();
    // In turn: a watch that hears of it, one whose connection was cut, and one that is told 410 Gone.
    for disturb in [0, 1, 2] {
        let before = ca().await;
        match disturb {
            0 => {}
            1 => cluster.cut_connections(),
            _ => cluster.forget_history(),
        }
        cluster.renew_certificate(&name).await;
        within(PATIENCE, "the registry has the new CA", async || ca().await != before).await;
        let served = async || tenant.data.get("/api/contacts").await.status == 200;
        within(PATIENCE, "the tenant is served", served).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_deleted_is_made_by_nobody_who_wakes_up_late() {
    for (method, path) in [("POST", "configmaps"), ("GET", "-deleted"), ("PATCH", "clusters")] {
        let cluster = KubernetesCluster::start().await;
        let (late, other) = (cluster.provider("main"), cluster.provider("main"));
        let order = new_order();
        let id = order.id;
        cluster.fail(method, path, Fault::Held, 1);
        let ordering = tokio::spawn(async move { late.order(&order).await });
        cluster.until_held().await;
        other.delete(id).await.unwrap();
        cluster.release();
        let ordered = ordering.await.unwrap();
        if method != "PATCH" {
            assert!(matches!(ordered, Err(ProviderError::Permanent(_))), "{method} {path}: {ordered:?}");
        }
        cluster.until_empty().await;
        other.sweep().await.unwrap();
        assert!(matches!(other.look(id).await.unwrap(), Look::Deleted), "{method} {path}");
        assert_eq!(other.list().await.unwrap(), [], "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_takes_away_what_was_made_late_and_leaves_other_registries_alone() {
    let cluster = KubernetesCluster::start().await;
    let (ours, theirs) = (cluster.provider("ours"), cluster.provider("theirs"));
    let (one, other) = (new_order(), new_order());
    ours.order(&one).await.unwrap();
    theirs.order(&other).await.unwrap();
    until_ready(ours.as_ref(), one.id).await;
    assert_eq!(ours.list().await.unwrap(), [one.id]);
    assert_eq!(theirs.list().await.unwrap(), [other.id]);
    // Ordered twice is ordered once.
    ours.order(&one).await.unwrap();
    assert_eq!(cluster.objects("clusters").len(), 2);
    ours.delete(one.id).await.unwrap();
    ours.delete(one.id).await.unwrap();
    assert!(matches!(ours.order(&one).await, Err(ProviderError::Permanent(_))));
    assert_eq!(ours.list().await.unwrap(), []);
    assert_eq!(theirs.list().await.unwrap(), [other.id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_an_order_deletes_nothing_and_a_late_one_changes_nothing() {
    let cluster = KubernetesCluster::start().await;
    let (provider, order) = (cluster.provider("main"), new_order());
    provider.order(&order).await.unwrap();
    until_ready(provider.as_ref(), order.id).await;
    let mut copy = cluster.objects("configmaps").remove(0);
    copy["metadata"]["name"] = "a-copy".into();
    cluster.add("configmaps", copy);
    provider.sweep().await.unwrap();
    assert_eq!(cluster.objects("clusters").len(), 1);
    assert_eq!(provider.list().await.unwrap(), [order.id]);
    let mut larger = order.clone();
    larger.template.size.instances = Some(3);
    provider.resize(&larger).await.unwrap();
    // Whoever ordered it first wakes up.
    provider.order(&order).await.unwrap();
    assert_eq!(cluster.objects("clusters")[0]["spec"]["instances"], 3);
    // A class without a version leaves it at the one that it has, and none makes it another.
    larger.template.version = Some(17);
    assert!(matches!(provider.resize(&larger).await, Err(ProviderError::Permanent(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_hangs_holds_up_one_operation_at_a_time() {
    let cluster = KubernetesCluster::start().await;
    let mut app = TestApp::build().without_daily_quotas().with_apps(&["crm"]).without_worker().start().await;
    let mut settings = app.worker_settings();
    settings.providers = Providers::new(vec![cluster.provider(app.label())]);
    settings.concurrency.interactive = 2;
    app.start_worker(settings).await;
    cluster.fail("GET", "", Fault::Held, 10_000);
    let slugs: Vec<String> = (0..6).map(|number| app.slug(&format!("own{number}"))).collect();
    let mut operations = Vec::new();
    for slug in &slugs {
        operations.push(app.begin_sign_up(slug, "enterprise").await);
    }
    cluster.until_held().await;
    // The first ones are given up after ten seconds. From then on there is room for others.
    let held = async || {
        let message = async |id: &String| {
            let operation = app.api.get(&format!("/api/v1/operations/{id}")).await.json();
            operation["message"].as_str().is_some_and(|message| message.contains("has not answered"))
        };
        let told = futures::future::join_all(operations.iter().map(message)).await;
        told.into_iter().all(|told| told)
    };
    within(PATIENCE, "all know that it hangs", held).await;
    let began = std::time::Instant::now();
    for number in 0..5 {
        app.sign_up(&format!("shared{number}"), "basic", "crm").await;
    }
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    cluster.mend();
    cluster.release();
    for operation in &operations {
        assert_eq!(app.operation_ended(operation).await["state"], "succeeded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cluster_waits_for_and_what_the_worker_may_not_do_are_said() {
    let cluster = KubernetesCluster::start().await;
    let provider: Arc<dyn Provider> = cluster.provider("main");
    cluster.hold(Some("Unable to create required cluster objects"));
    let order = new_order();
    assert!(matches!(provider.look(order.id).await.unwrap(), Look::Unknown));
    provider.order(&order).await.unwrap();
    let waits = async || match provider.look(order.id).await.unwrap() {
        Look::Making(message) => message == "Unable to create required cluster objects",
        _ => false,
    };
    within(PATIENCE, "the phase is told", waits).await;
    cluster.fail("GET", "clusters", Fault::Status(403), 1);
    let Err(ProviderError::Permanent(message)) = provider.look(order.id).await else { panic!("it may not") };
    assert!(message.contains("service account"), "{message}");
    cluster.fail("PATCH", "clusters", Fault::Status(404), 1);
    let other = provider.order(&new_order()).await;
    let Err(ProviderError::Permanent(message)) = other else { panic!("it is not there") };
    assert!(message.contains("CloudNativePG"), "{message}");
    cluster.hold(None);
    until_ready(provider.as_ref(), order.id).await;
}
