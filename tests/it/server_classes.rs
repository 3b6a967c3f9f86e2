//! Servers that are made from server classes, by provider `local`.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tenantry_tests::{TestApp, local_servers, within::within};

/// An app whose only server of its own takes no tenants.
async fn app() -> TestApp {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    app.api.patch("/api/v1/servers/main", json!({ "state": "cordoned" })).await.expect(200);
    app
}

async fn add_class(app: &TestApp, more: Value) {
    let mut body = json!({ "name": "standard", "provider": "local", "region": "eu-test" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    app.api.post("/api/v1/server-classes", body).await.expect(201);
}

/// Servers of a class with their tenants and capacity, by name.
async fn servers(app: &TestApp) -> BTreeMap<String, (u64, u64)> {
    let servers = app.api.get("/api/v1/servers").await.expect(200).json();
    let of_class = servers["items"].as_array().unwrap().iter().filter(|server| !server["class"].is_null());
    let row = |server: &Value| {
        let count = |name: &str| server[name].as_u64().unwrap();
        (server["name"].as_str().unwrap().to_owned(), (count("tenants"), count("capacity")))
    };
    of_class.map(row).collect()
}

fn free(servers: &BTreeMap<String, (u64, u64)>) -> u64 {
    servers.values().map(|(tenants, capacity)| capacity - tenants).sum()
}

async fn orders(app: &TestApp) -> Vec<Value> {
    let orders = app.api.get("/api/v1/server-orders").await.expect(200).json();
    orders["items"].as_array().unwrap().clone()
}

async fn until_free(app: &TestApp, least: u64) {
    within(Duration::from_mins(1), "servers have room", async || free(&servers(app).await) >= least).await;
}

/// `count` sign-ups, `beside` at a time, onto servers of a class that keeps room for as many as come while one is made; none
/// waits for a server, and none is overfilled.
async fn sign_ups_never_wait(count: usize, beside: usize, class: Value) {
    let app = app().await;
    let (capacity, min_free) = (class["capacity"].as_u64().unwrap(), class["minFree"].as_u64().unwrap());
    add_class(&app, class).await;
    until_free(&app, min_free).await;
    let names: Vec<String> = (0..count).map(|n| format!("t{n}")).collect();
    stream::iter(&names)
        .for_each_concurrent(beside, async |name| drop(app.sign_up(name, "basic", "crm").await))
        .await;
    let waited: Vec<String> = sqlx::query_scalar(
        "SELECT operation_events.message FROM operation_events JOIN operations ON operations.id = operation_id
        WHERE operations.kind = 'provision' AND operation_events.kind = 'waiting'",
    )
    .fetch_all(app.owner())
    .await
    .unwrap();
    assert!(waited.is_empty(), "{waited:?}");
    let servers = servers(&app).await;
    assert!(servers.values().all(|(tenants, capacity)| tenants <= capacity), "{servers:?}");
    assert_eq!(servers.values().map(|(tenants, _)| tenants).sum::<u64>(), count as u64);
    assert!(servers.len() as u64 >= (count as u64).div_ceil(capacity), "{servers:?}");
    until_free(&app, min_free).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_server_is_ordered_before_the_last_one_is_full() {
    let class =
        json!({ "capacity": 10, "minFree": 30, "maxServers": 20, "parameters": { "work_mem": "7MB" } });
    sign_ups_never_wait(25, 1, class).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the long form: 500 sign-ups on servers with room for 50"]
async fn five_hundred_sign_ups_never_wait_for_a_server() {
    let class = json!({ "capacity": 50, "minFree": 300, "maxServers": 20 });
    sign_ups_never_wait(500, 4, class).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_what_its_class_says() {
    let app = app().await;
    let parameters = json!({ "work_mem": "7MB", "autovacuum_naptime": "61s" });
    add_class(
        &app,
        json!({ "capacity": 7, "minFree": 1, "maxConnections": 12, "parameters": parameters, "cost": "3 EUR" }),
    )
    .await;
    until_free(&app, 1).await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let placed = app.api.get(&format!("/api/v1/tenants/{}", tenant.slug)).await.expect(200).json();
    let name = placed["placement"]["server"].as_str().unwrap();
    let server = app.api.get(&format!("/api/v1/servers/{name}")).await.expect(200).json();
    assert!(name.starts_with("standard-"), "{name}");
    for (member, value) in [
        ("class", json!("standard")),
        ("region", json!("eu-test")),
        ("provider", json!("local")),
        ("capacity", json!(7)),
        ("maxConnections", json!(12)),
        ("tiers", json!(["schema", "database"])),
    ] {
        assert_eq!(server[member], value, "{member}");
    }
    let mut admin = local_servers::admin(app.label(), server["port"].as_u64().unwrap(), "postgres").await;
    for (setting, value) in [("work_mem", "7MB"), ("autovacuum_naptime", "61s"), ("wal_level", "logical")] {
        let set: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&mut admin)
            .await
            .unwrap();
        assert_eq!(set, value, "{setting}");
    }
    let elsewhere = json!({ "provider": "static" });
    app.api.patch(&format!("/api/v1/servers/{name}"), elsewhere).await.expect_problem(400, "invalid_field");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_provider_fails_sign_ups_say_so_and_go_on_afterwards() {
    let app = app().await;
    let folder = local_servers::folder(app.label());
    // Where the provider would make its folders there is a file.
    std::fs::remove_dir_all(&folder).ok();
    std::fs::write(&folder, "").unwrap();
    add_class(&app, json!({ "capacity": 5, "minFree": 2 })).await;
    let slug = app.slug("acme");
    let sign_up = app.begin_sign_up(&slug, "basic").await;
    within(Duration::from_secs(30), "the sign-up says what it waits for", async || {
        let operation = app.api.get(&format!("/api/v1/operations/{sign_up}")).await.expect(200).json();
        let message = operation["message"].as_str().unwrap_or_default();
        operation["state"] == "waiting"
            && message.contains("no server has room")
            && message.contains("its provider fails: ")
    })
    .await;
    let failing = orders(&app).await;
    assert_eq!((failing.len(), &failing[0]["state"]), (1, &json!("failing")), "{failing:?}");
    assert!(!failing[0]["message"].as_str().unwrap().is_empty());
    assert!(servers(&app).await.is_empty());
    std::fs::remove_file(&folder).unwrap();
    let ended = app.operation_ended(&sign_up).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(servers(&app).await.values().next(), Some(&(1, 5)));
    within(Duration::from_secs(30), "nothing is ordered any more", async || orders(&app).await.is_empty())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_cancelled_is_given_back_and_not_made_again() {
    let app = app().await;
    let folder = local_servers::folder(app.label());
    std::fs::remove_dir_all(&folder).ok();
    std::fs::write(&folder, "").unwrap();
    add_class(&app, json!({ "capacity": 5, "minFree": 1 })).await;
    within(Duration::from_secs(30), "it fails", async || {
        orders(&app).await.first().is_some_and(|order| order["state"] == "failing")
    })
    .await;
    let operation = orders(&app).await[0]["operation"].as_str().unwrap().to_owned();
    let class = "/api/v1/server-classes/standard";
    app.api.put(class, json!({ "provider": "local", "capacity": 5, "minFree": 0 })).await.expect(200);
    std::fs::remove_file(&folder).unwrap();
    app.api.post(&format!("/api/v1/operations/{operation}/cancel"), json!({})).await;
    let ended = app.operation_ended(&operation).await;
    // It may have been made just before.
    if ended["state"] == "cancelled" {
        assert!(servers(&app).await.is_empty());
        assert!(local_servers::existing(app.label()).is_empty());
        app.api.post(&format!("/api/v1/operations/{operation}/retry"), json!({})).await.expect(202);
        let again = app.operation_ended(&operation).await;
        assert_eq!(again["state"], "failed", "{again}");
        assert!(again["error"].as_str().unwrap().contains("has deleted the server"), "{again}");
        app.api.delete(class).await.expect(204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_tenants_is_not_deleted_though_the_request_saw_none() {
    let app = app().await;
    add_class(&app, json!({ "capacity": 5, "minFree": 1 })).await;
    until_free(&app, 1).await;
    let name = servers(&app).await.into_keys().next().unwrap();
    let tenant = app.sign_up("acme", "basic", "crm").await;
    // As if it had been placed after the request had looked.
    sqlx::query("UPDATE servers SET tenants = 0 WHERE name = $1")
        .bind(&name)
        .execute(app.owner())
        .await
        .unwrap();
    let path = format!("/api/v1/servers/{name}");
    let refused = app.api.delete_and_wait(&path).await.expect_problem(422, "operation_failed").json();
    assert!(refused["detail"].as_str().unwrap().contains("holds tenants"), "{refused}");
    assert_eq!(app.api.get(&path).await.expect(200).json()["state"], "draining");
    tenant.data.get("/api/contacts").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_hold_tenants_is_not_let_in_and_no_other_is_ordered() {
    let app = app().await;
    // More than the server has.
    add_class(&app, json!({ "capacity": 5, "minFree": 1, "maxConnections": 5000 })).await;
    within(Duration::from_secs(30), "it says what is wrong", async || {
        orders(&app).await.first().is_some_and(|order| {
            order["state"] == "failing"
                && order["message"].as_str().unwrap().contains("it cannot hold tenants: ")
        })
    })
    .await;
    assert_eq!(orders(&app).await.len(), 1);
    assert!(servers(&app).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_never_more_servers_than_the_class_says_and_then_a_sign_up_fails_and_says_what_to_do() {
    let app = app().await;
    add_class(&app, json!({ "capacity": 1, "minFree": 5, "maxServers": 2 })).await;
    until_free(&app, 2).await;
    for name in ["one", "two"] {
        app.sign_up(name, "basic", "crm").await;
    }
    let body = json!({ "name": "three", "slug": app.slug("three"), "plan": "basic", "app": "crm" });
    let failed = app.api.post_and_wait("/api/v1/tenants", body).await.expect_problem(422, "operation_failed");
    assert!(failed.json()["detail"].as_str().unwrap().contains("no active server has room"), "{failed:?}");
    assert_eq!(servers(&app).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_server_of_a_class_that_does_not_hold_his_tier() {
    let app = app().await;
    add_class(&app, json!({ "capacity": 5, "minFree": 10, "tiers": ["schema"] })).await;
    let body = json!({ "name": "acme", "slug": app.slug("acme"), "plan": "premium", "app": "crm" });
    let failed = app.api.post_and_wait("/api/v1/tenants", body).await.expect_problem(422, "operation_failed");
    assert!(failed.json()["detail"].as_str().unwrap().contains("no active server has room"), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_server_of_a_class_is_deleted_at_its_provider_and_one_with_tenants_is_not() {
    let app = app().await;
    add_class(&app, json!({ "capacity": 3, "minFree": 1 })).await;
    until_free(&app, 1).await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let name = servers(&app).await.into_keys().next().unwrap();
    let (class, server) = ("/api/v1/server-classes/standard", format!("/api/v1/servers/{name}"));
    app.api.delete(class).await.expect_problem(409, "server_class_in_use");
    app.api.delete(&server).await.expect_problem(409, "server_in_use");
    // So that no other one is ordered.
    app.api.put(class, json!({ "provider": "local", "capacity": 3, "minFree": 0 })).await.expect(200);
    app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", tenant.slug)).await.expect(200);
    let deleted = app.api.delete_and_wait(&server).await.expect(200).json();
    assert_eq!(deleted["operation"]["state"], "succeeded", "{deleted}");
    app.api.get(&server).await.expect(404);
    assert!(local_servers::existing(app.label()).is_empty());
    app.api.delete(class).await.expect(204);
    app.api.get(class).await.expect_problem(404, "server_class_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_of_tier_instance_takes_a_server_that_its_class_keeps_ready() {
    let app = app().await;
    add_class(&app, json!({ "tiers": ["instance"], "capacity": 1, "minFree": 1, "maxServers": 3 })).await;
    until_free(&app, 1).await;
    let tenant = app.sign_up("acme", "enterprise", "crm").await;
    let placed = app.api.get(&format!("/api/v1/tenants/{}", tenant.slug)).await.expect(200).json();
    assert!(placed["placement"]["server"].as_str().unwrap().starts_with("standard-"), "{placed}");
    until_free(&app, 1).await;
    assert_eq!(servers(&app).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_a_tenants_own_is_made_from_the_class_that_its_plan_names() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    let instance = json!({ "tiers": ["instance"], "capacity": 1, "parameters": { "work_mem": "9MB" } });
    add_class(&app, instance).await;
    // Free, and of another class.
    let other =
        json!({ "name": "other", "provider": "local", "tiers": ["instance"], "capacity": 1, "minFree": 1 });
    app.api.post("/api/v1/server-classes", other).await.expect(201);
    until_free(&app, 1).await;
    let plan = "/api/v1/plans/enterprise";
    app.api.patch(plan, json!({ "serverClass": "standard" })).await.expect(200);
    let class = "/api/v1/server-classes/standard";
    app.api.delete(class).await.expect_problem(409, "server_class_in_use");
    for (refused, plan) in [("none", "enterprise"), ("standard", "basic")] {
        let refused =
            app.api.patch(&format!("/api/v1/plans/{plan}"), json!({ "serverClass": refused })).await;
        assert_eq!(refused.expect_problem(400, "invalid_field").fields(), ["serverClass"]);
    }
    let signed_up = app.sign_up("signed", "enterprise", "crm").await;
    let moved = app.sign_up("moved", "premium", "crm").await;
    let migrate = format!("/api/v1/tenants/{}/migrate", moved.slug);
    app.api.post_and_wait(&migrate, json!({ "targetPlan": "enterprise" })).await.expect(200);
    for slug in [&signed_up.slug, &moved.slug] {
        let tenant = app.api.get(&format!("/api/v1/tenants/{slug}")).await.expect(200).json();
        let name = tenant["placement"]["server"].as_str().unwrap();
        let server = app.api.get(&format!("/api/v1/servers/{name}")).await.expect(200).json();
        assert_eq!((&server["class"], &server["region"]), (&json!("standard"), &json!("eu-test")), "{slug}");
        let port = server["port"].as_u64().unwrap();
        let mut admin = local_servers::admin(app.label(), port, "postgres").await;
        let set: String = sqlx::query_scalar("SHOW work_mem").fetch_one(&mut admin).await.unwrap();
        assert_eq!(set, "9MB", "{slug}");
    }
    for slug in [&signed_up.slug, &moved.slug] {
        app.api.delete_and_wait(&format!("/api/v1/tenants/{slug}?purge=now")).await.expect(200);
    }
    app.api.patch(plan, json!({ "serverClass": null })).await.expect(200);
    app.api.delete(class).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_a_tenants_own_that_cannot_hold_it_is_given_back_and_the_sign_up_says_why() {
    let app = TestApp::build().with_apps(&["crm"]).start().await;
    // More connections than the server has.
    let instance = json!({ "tiers": ["instance"], "capacity": 1, "maxConnections": 5000 });
    add_class(&app, instance).await;
    app.api.patch("/api/v1/plans/enterprise", json!({ "serverClass": "standard" })).await.expect(200);
    let body = json!({ "name": "acme", "slug": app.slug("acme"), "plan": "enterprise", "app": "crm" });
    let failed = app.api.post_and_wait("/api/v1/tenants", body).await.expect_problem(422, "operation_failed");
    let detail = failed.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("it cannot hold tenants: ") && detail.contains("max_connections"), "{detail}");
    assert!(servers(&app).await.is_empty());
    assert!(local_servers::existing(app.label()).is_empty());
    app.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_cannot_be_is_refused_by_the_field() {
    let app = TestApp::build().without_worker().start().await;
    let good = json!({ "name": "standard", "provider": "local", "capacity": 10 });
    for (change, field) in [
        (json!({ "name": "No Name" }), "name"),
        (json!({ "provider": "static" }), "provider"),
        (json!({ "region": "" }), "region"),
        (json!({ "capacity": 0 }), "capacity"),
        (json!({ "maxConnections": 0 }), "maxConnections"),
        (json!({ "minFree": 1_000_001 }), "minFree"),
        (json!({ "maxServers": 1001 }), "maxServers"),
        (json!({ "tiers": [] }), "tiers"),
        (json!({ "tiers": ["instance", "schema"] }), "tiers"),
        (json!({ "tiers": ["instance"] }), "capacity"),
        (json!({ "cost": "a\nb" }), "cost"),
        (json!({ "parameters": { "archive_command": "sh" } }), "parameters.archive_command"),
        (json!({ "parameters": { "work_mem": "1\n" } }), "parameters.work_mem"),
        (json!({ "surprise": 1 }), "surprise"),
    ] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = app.api.post("/api/v1/server-classes", body).await;
        assert_eq!(refused.status, 400, "{change}");
        assert_eq!(refused.fields(), [field], "{change}");
    }
    assert_eq!(app.count("SELECT count(*) FROM server_classes").await, 0);
    app.api.post("/api/v1/server-classes", good.clone()).await.expect(201);
    app.api.post("/api/v1/server-classes", good).await.expect_problem(409, "server_class_exists");
}
