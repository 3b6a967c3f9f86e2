//! Servers as instances of Amazon RDS: against an API that can answer all that Amazon's does, with a real PostgreSQL per instance,
//! and against moto, which others wrote.

use std::{process::Stdio, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tenantry_domain::{envelope::Key, ids::ServerId};
use tenantry_tests::{
    TestApp,
    clients::Workshop,
    orders::{new_order, until_ready},
    rds::{Fault, REGION, RdsRegion, SUBNET_GROUP, provider_at},
    tls::Authority,
    within::{in_time, within},
};
use tenantry_worker::providers::{Look, Order, Provider, ProviderError, Providers};
use tokio::io::{AsyncBufReadExt, BufReader};

const PATIENCE: Duration = Duration::from_mins(1);

/// A Tenantry whose servers of tier instance are instances there.
async fn app_on(region: &RdsRegion) -> TestApp {
    let mut app = TestApp::build().with_apps(&["crm"]).without_worker().start().await;
    let mut settings = app.worker_settings();
    settings.providers = Providers::new(vec![region.provider(app.label(), &app.kek)]);
    app.start_worker(settings).await;
    app
}

fn provider(region: &RdsRegion) -> Arc<dyn Provider> {
    region.provider("main", &Key::generate(&mut rand::rng()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_an_instance_of_its_own_from_sign_up_to_purge() {
    let region = RdsRegion::start().await;
    let app = app_on(&region).await;
    let tenant = app.sign_up("acme", "enterprise", "crm").await;
    tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
    let server = app.server_of(&tenant.slug).await;
    assert_eq!(
        (&server["provider"], &server["sslMode"], &server["region"]),
        (&json!("rds"), &json!("verify-full"), &json!("eu-central-1"))
    );
    let path = format!("/api/v1/tenants/{}", tenant.slug);
    app.api.post_and_wait(&format!("{path}/suspend"), json!({})).await.expect(200);
    app.api.post_and_wait(&format!("{path}/resume"), json!({})).await.expect(200);
    let instance = region.instances().remove(0);
    app.api.delete_and_wait(&format!("{path}?purge=now")).await.expect(200);
    region.until_empty().await;
    assert_eq!(region.snapshots(), [format!("{instance}-final")]);
    app.assert_nothing_left().await;
    assert_eq!(region.provider(app.label(), &app.kek).list().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_upgraded_to_an_instance_while_it_is_written_to_and_back() {
    let region = RdsRegion::start().await;
    let app = app_on(&region).await;
    let tenant = app.sign_up("acme", "premium", "crm").await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let data = tenant.data.clone();
    let writer = tokio::spawn(async move {
        let mut written = 0;
        while stopped.try_recv().is_err() {
            let body = json!({ "email": format!("{written}@example.com") });
            data.post("/api/contacts", body).await.expect(201);
            written += 1;
        }
        written
    });
    let migrate = format!("/api/v1/tenants/{}/migrate", tenant.slug);
    app.api.post_and_wait(&migrate, json!({ "targetPlan": "enterprise" })).await.expect(200);
    assert_eq!(app.server_of(&tenant.slug).await["provider"], "rds");
    app.api.post_and_wait(&migrate, json!({ "targetPlan": "premium" })).await.expect(200);
    stop.send(()).unwrap();
    let written: usize = writer.await.unwrap();
    let counted = tenant.data.get("/api/contacts?select=count()").await.expect(200).json();
    assert_eq!(counted, json!([{ "count": written }]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_what_its_class_says() {
    let region = RdsRegion::start().await;
    let app = app_on(&region).await;
    app.api.patch("/api/v1/servers/main", json!({ "state": "cordoned" })).await.expect(200);
    let class = json!({
        "name": "large", "provider": "rds", "region": "eu-central-1", "capacity": 5, "minFree": 1, "maxServers": 1,
        "version": 16, "parameters": { "work_mem": "9MB" },
        "size": { "instanceClass": "db.m7g.large", "storage": "500Gi", "storageClass": "gp2", "instances": 2 },
    });
    app.api.post("/api/v1/server-classes", class).await.expect(201);
    app.sign_up("acme", "basic", "crm").await;
    let instance = region.instances().remove(0);
    for (parameter, value) in [
        ("EngineVersion", "16"),
        ("DBInstanceClass", "db.m7g.large"),
        ("AllocatedStorage", "500"),
        ("StorageType", "gp2"),
        ("MultiAZ", "true"),
        ("StorageEncrypted", "true"),
        ("PubliclyAccessible", "false"),
        ("VpcSecurityGroupIds.VpcSecurityGroupId.1", "sg-1"),
    ] {
        assert_eq!(region.made_with(&instance, parameter).as_deref(), Some(value), "{parameter}");
    }
    for (setting, value) in [("work_mem", "9216"), ("rds.logical_replication", "1")] {
        assert_eq!(region.group_setting(&instance, setting).as_deref(), Some(value), "{setting}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_resized_to_what_its_class_is_now() {
    let region = RdsRegion::start().await;
    let app = app_on(&region).await;
    app.api.patch("/api/v1/servers/main", json!({ "state": "cordoned" })).await.expect(200);
    let class = |size: Value, version: u16| {
        json!({ "name": "large", "provider": "rds", "capacity": 5, "minFree": 1, "maxServers": 1,
            "version": version, "size": size, "parameters": { "work_mem": "9MB" } })
    };
    let small = json!({ "instanceClass": "db.m7g.large", "storage": "100Gi" });
    app.api.post("/api/v1/server-classes", class(small, 16)).await.expect(201);
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let name = app.server_of(&tenant.slug).await["name"].as_str().unwrap().to_owned();
    let instance = region.instances().remove(0);
    let resize = format!("/api/v1/servers/{name}/resize");
    // A disk never becomes smaller: that is left out.
    for (storage, is) in [("200Gi", "200"), ("150Gi", "200")] {
        let size = json!({ "instanceClass": "db.m7g.xlarge", "storage": storage, "instances": 2 });
        app.api.put("/api/v1/server-classes/large", class(size, 16)).await.expect(200);
        app.api.post_and_wait(&resize, Value::Null).await.expect(200);
        for (parameter, value) in
            [("DBInstanceClass", "db.m7g.xlarge"), ("AllocatedStorage", is), ("MultiAZ", "true")]
        {
            assert_eq!(region.made_with(&instance, parameter).as_deref(), Some(value), "{parameter}");
        }
    }
    tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
    app.api.put("/api/v1/server-classes/large", class(json!({}), 17)).await.expect(200);
    let refused = app.api.post_and_wait(&resize, Value::Null).await.expect_problem(422, "operation_failed");
    assert!(refused.json()["detail"].as_str().unwrap().contains("version 17"), "{}", refused.json());
    let main = app.api.post("/api/v1/servers/main/resize", Value::Null).await;
    main.expect_problem(409, "server_has_no_class");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_and_a_deletion_outlast_throttling_errors_and_lost_answers() {
    let region = RdsRegion::start().await;
    let mut app = TestApp::build().with_apps(&["crm"]).without_worker().start().await;
    let mut settings = app.worker_settings();
    settings.step_tries = 100;
    settings.retry_base = Duration::from_millis(5);
    settings.retry_cap = Duration::from_millis(50);
    settings.providers = Providers::new(vec![region.provider(app.label(), &app.kek)]);
    // Each more often than the SDK itself tries again.
    let faults = [Fault::Refused("Throttling"), Fault::Status(500), Fault::Status(503), Fault::LostAnswer];
    let disturb = |actions: &[&'static str]| {
        for fault in faults {
            for action in actions {
                region.fail(action, fault, 4);
            }
        }
    };
    disturb(&["CreateDBParameterGroup", "ModifyDBParameterGroup", "CreateDBInstance", "DescribeDBInstances"]);
    app.start_worker(settings).await;
    let tenant = app.sign_up("acme", "enterprise", "crm").await;
    tenant.data.post("/api/contacts", json!({ "email": "a@example.com" })).await.expect(201);
    region.mend();
    assert_eq!(region.instances().len(), 1);
    disturb(&["CreateDBParameterGroup", "DeleteDBInstance", "DescribeDBInstances"]);
    app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", tenant.slug)).await.expect(200);
    region.until_empty().await;
    app.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_amazon_refuses_is_said_and_leaves_nothing() {
    for (code, hint) in [("InstanceQuotaExceeded", "quota"), ("InvalidParameterValue", "the test says so")] {
        let region = RdsRegion::start().await;
        let app = app_on(&region).await;
        region.fail("CreateDBInstance", Fault::Refused(code), 1_000);
        let body = json!({ "name": "acme", "slug": app.slug("acme"), "plan": "enterprise", "app": "crm" });
        let failed = app.api.post_and_wait("/api/v1/tenants", body).await;
        let detail =
            failed.expect_problem(422, "operation_failed").json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(code) && detail.contains(hint), "{detail}");
        app.assert_nothing_left().await;
        assert!(region.instances().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_takes_long_is_waited_for_and_one_that_fails_is_given_up() {
    let region = RdsRegion::start().await;
    let provider = provider(&region);
    let order = new_order();
    assert!(matches!(provider.look(order.id).await.unwrap(), Look::Unknown));
    provider.order(&order).await.unwrap();
    for status in ["creating", "modifying", "rebooting"] {
        region.hold(Some(status));
        let Look::Making(message) = provider.look(order.id).await.unwrap() else { panic!("it is {status}") };
        assert!(message.contains(status), "{message}");
    }
    for status in ["failed", "incompatible-parameters", "storage-full", "insufficient-capacity"] {
        region.hold(Some(status));
        let Err(ProviderError::Permanent(message)) = provider.look(order.id).await else {
            panic!("{status}")
        };
        assert!(message.contains(status), "{message}");
    }
    region.hold(Some("stopped"));
    assert!(matches!(provider.look(order.id).await, Err(ProviderError::Transient(_))));
    region.hold(None);
    until_ready(provider.as_ref(), order.id).await;
    region.protect(true);
    let Err(ProviderError::Permanent(message)) = provider.delete(order.id).await else { panic!("protected") };
    assert!(message.contains("deletion protection"), "{message}");
    region.protect(false);
    provider.delete(order.id).await.unwrap();
    assert!(matches!(provider.look(order.id).await.unwrap(), Look::Deleted));
}

/// An hour by what an operation knows of time: it is looked at as often as in an hour, once in ten seconds, and its times are put
/// back by a minute after every six looks. The looks follow each other faster here; how long one waits is not what is tried.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_takes_an_hour_is_waited_for_and_no_try_is_used_up() {
    const LOOKS_IN_A_MINUTE: usize = 6;
    let region = RdsRegion::start().await;
    let mut app = TestApp::build().with_apps(&["crm"]).without_worker().start().await;
    let mut settings = app.worker_settings();
    let provider = region.provider_that_looks(Duration::from_millis(1), app.label(), &app.kek);
    settings.providers = Providers::new(vec![provider]);
    app.start_worker(settings).await;
    region.hold(Some("creating"));
    let operation = app.begin_sign_up(&app.slug("acme"), "enterprise").await;
    let calls = |action: &str| region.actions().iter().filter(|called| *called == action).count();
    let put_back = "UPDATE operations SET created_at = created_at - interval '1 minute',
        started_at = started_at - interval '1 minute', enqueued_at = enqueued_at - interval '1 minute'";
    for minute in 1..=60 {
        let looked = async || calls("DescribeDBInstances") >= minute * LOOKS_IN_A_MINUTE;
        within(PATIENCE, "a minute's looks", looked).await;
        sqlx::query(put_back).execute(app.owner()).await.unwrap();
    }
    let waits = app.operation(&operation).await;
    assert!(!["failed", "stuck", "undoing"].contains(&waits["state"].as_str().unwrap()), "{waits}");
    assert_eq!(calls("CreateDBInstance"), 1, "it was ordered once");
    assert_eq!(app.count("SELECT sum(retries)::bigint FROM operations").await, 0);
    region.hold(None);
    let ended = app.operation_ended(&operation).await;
    assert_eq!((&ended["state"], &ended["error"]), (&json!("succeeded"), &Value::Null), "{ended}");
    // Whoever watches it is told once that it waits, not at every look.
    let told = "SELECT count(*) FROM operation_events WHERE kind IN ('waiting', 'retrying')";
    assert!(app.count(told).await < 5);
    let hour = "SELECT count(*) FROM operations WHERE created_at < now() - interval '1 hour'";
    assert_eq!(app.count(hour).await, 1);
    assert_eq!(calls("CreateDBInstance"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_was_never_of_use_is_deleted_without_a_snapshot() {
    let region = RdsRegion::start().await;
    let (provider, order) = (provider(&region), new_order());
    region.hold(Some("failed"));
    provider.order(&order).await.unwrap();
    provider.delete(order.id).await.unwrap();
    assert!(region.instances().is_empty() && region.snapshots().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_cannot_be_deleted_now_is_deleted_by_a_sweep() {
    let region = RdsRegion::start().await;
    let (provider, orders) = (provider(&region), [new_order(), new_order()]);
    for order in &orders {
        provider.order(order).await.unwrap();
        until_ready(provider.as_ref(), order.id).await;
    }
    region.hold(Some("backing-up"));
    for order in &orders {
        provider.delete(order.id).await.unwrap();
        assert!(matches!(provider.look(order.id).await.unwrap(), Look::Deleted));
    }
    provider.sweep().await.unwrap();
    assert_eq!(region.instances().len(), 2);
    region.hold(None);
    // Of two, one that is refused holds up no other.
    region.fail("DeleteDBInstance", Fault::Refused("AccessDenied"), 1);
    provider.sweep().await.unwrap();
    assert_eq!(region.instances().len(), 1);
    region.fail("DeleteDBInstance", Fault::Refused("DBSnapshotAlreadyExists"), 1);
    provider.sweep().await.unwrap();
    assert!(region.instances().is_empty());
    assert_eq!(region.snapshots().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amazon_that_is_away_longer_than_a_step_is_tried_fails_nothing() {
    let region = RdsRegion::start().await;
    let app = app_on(&region).await;
    region.fail("DescribeDBParameterGroups", Fault::Status(503), 1_000);
    let operation = app.begin_sign_up(&app.slug("acme"), "enterprise").await;
    let tried = async || region.actions().len() > 100 || region.failed("DescribeDBParameterGroups") > 60;
    within(PATIENCE, "it was tried more often than steps are", tried).await;
    region.mend();
    let ended = app.operation_ended(&operation).await;
    assert_eq!((&ended["state"], &ended["failures"]), (&json!("succeeded"), &Value::Null), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_deleted_is_made_by_nobody_who_wakes_up_late() {
    for action in
        ["CreateDBParameterGroup", "DescribeDBParameterGroups", "ModifyDBParameterGroup", "CreateDBInstance"]
    {
        let region = RdsRegion::start().await;
        let (late, other) = (provider(&region), provider(&region));
        let order = new_order();
        let id = order.id;
        region.fail(action, Fault::Held, 1);
        let ordering = tokio::spawn(async move { late.order(&order).await });
        region.until_held().await;
        other.delete(id).await.unwrap();
        region.release();
        let ordered = ordering.await.unwrap();
        assert!(matches!(ordered, Err(ProviderError::Permanent(_))), "{action}: {ordered:?}");
        assert!(region.instances().is_empty(), "{action}");
        other.sweep().await.unwrap();
        assert_eq!(other.list().await.unwrap(), [], "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_names_the_servers_of_its_own_registry_page_by_page() {
    let region = RdsRegion::start().await;
    let key = Key::generate(&mut rand::rng());
    let (ours, theirs) = (region.provider("ours", &key), region.provider("theirs", &key));
    let mut orders: Vec<Order> = (0..3).map(|_| new_order()).collect();
    for order in &orders {
        ours.order(order).await.unwrap();
        // Ordered twice is ordered once.
        ours.order(order).await.unwrap();
    }
    let other = new_order();
    theirs.order(&other).await.unwrap();
    orders.sort_by_key(|order| order.id);
    let ids: Vec<ServerId> = orders.iter().map(|order| order.id).collect();
    assert_eq!(ours.list().await.unwrap(), ids);
    ours.delete(ids[0]).await.unwrap();
    ours.delete(ids[0]).await.unwrap();
    assert!(matches!(ours.order(&orders[0]).await, Err(ProviderError::Permanent(_))));
    assert_eq!(ours.list().await.unwrap(), ids[1..]);
    assert_eq!(theirs.list().await.unwrap(), [other.id]);
}

/// It knows the protocol from Amazon's own descriptions. It makes no PostgreSQL, and an instance at once.
#[tokio::test(flavor = "multi_thread")]
async fn moto_understands_every_call() {
    let Some(workshop) = Workshop::with_python() else { return };
    let mut program = workshop.python("python", &["moto_rds.py", REGION, SUBNET_GROUP]);
    // It ends when its standard input does.
    let mut moto =
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(moto.stdout.take().unwrap()).lines();
    let url = in_time("moto starts", lines.next_line()).await.unwrap().expect("its URL");
    let key = Key::generate(&mut rand::rng());
    let ca = Authority::new("nobody").pem();
    let provider = provider_at(&url, "main", &key, &ca);
    let mut orders = [new_order(), new_order()];
    orders[1].template.parameters.insert("work_mem".into(), "9MB".into());
    for order in &orders {
        assert!(matches!(provider.look(order.id).await.unwrap(), Look::Unknown));
        provider.order(order).await.unwrap();
        provider.order(order).await.unwrap();
        let Look::Ready(endpoint) = provider.look(order.id).await.unwrap() else {
            panic!("it is there at once")
        };
        assert!(endpoint.host.starts_with(&format!("tenantry-{}.", order.id)), "{}", endpoint.host);
        assert!(endpoint.host.ends_with(&format!("{REGION}.rds.amazonaws.com")), "{}", endpoint.host);
    }
    let mut ids: Vec<ServerId> = orders.iter().map(|order| order.id).collect();
    ids.sort_unstable();
    let mut listed = provider.list().await.unwrap();
    listed.sort_unstable();
    assert_eq!(listed, ids);
    assert_eq!(provider_at(&url, "other", &key, &ca).list().await.unwrap(), []);
    for order in &orders {
        provider.delete(order.id).await.unwrap();
        provider.delete(order.id).await.unwrap();
        assert!(matches!(provider.look(order.id).await.unwrap(), Look::Deleted));
        assert!(matches!(provider.order(order).await, Err(ProviderError::Permanent(_))));
    }
    assert_eq!(provider.list().await.unwrap(), []);
}
