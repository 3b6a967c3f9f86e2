//! What is told, and to whom.

use secrecy::ExposeSecret;
use tenantry_tests::cli::Cli;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn all_that_happens_to_a_tenant_is_told_once_and_in_order() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let (id, _) = webhook(&app, &receiver, &["tenant.*"]).await;
    let acme = app.sign_up("acme", "basic", "crm").await;
    let path = format!("/api/v1/tenants/{}", acme.id);
    for step in ["suspend", "resume"] {
        app.api.post_and_wait(&format!("{path}/{step}"), json!({})).await.expect(200);
    }
    app.api.delete_and_wait(&path).await.expect(200);
    app.api.post_and_wait(&format!("{path}/restore"), json!({})).await.expect(200);
    app.api.delete_and_wait(&format!("{path}?purge=now")).await.expect(200);
    let expected = [
        "tenant.created",
        "tenant.activated",
        "tenant.suspended",
        "tenant.resumed",
        "tenant.deleted",
        "tenant.restored",
        "tenant.purged",
    ];
    let requests = receiver.has(expected.len()).await;
    assert_eq!(receiver.types_of("acme"), expected);
    let first = requests[0].event();
    let tenant = json!({ "id": acme.id, "slug": acme.slug, "name": "acme" });
    let data = json!({ "tenant": tenant, "status": "provisioning", "plan": "basic", "app": "crm" });
    assert_eq!(first["data"], data);
    assert!(requests[4].event()["data"]["purgeAt"].as_str().unwrap().ends_with('Z'));

    // The same is listed, the last first, and filtered by type and tenant.
    let list = async |query: &str| app.api.get(&format!("/api/v1/events?{query}")).await.expect(200).json();
    let listed = list(&format!("tenant={}&type=tenant.*", acme.id)).await;
    let types: Vec<_> =
        listed["items"].as_array().unwrap().iter().rev().map(|event| event["type"].clone()).collect();
    assert_eq!(types, expected);
    assert_eq!(listed["items"][6]["timestamp"], first["timestamp"]);
    assert_eq!(list("type=tenant.purged").await["items"].as_array().unwrap().len(), 1);
    let page = list(&format!("tenant={}&limit=4", acme.id)).await;
    let rest =
        list(&format!("tenant={}&limit=4&cursor={}", acme.id, page["nextCursor"].as_str().unwrap())).await;
    assert_eq!((&rest["items"][2]["type"], &rest["nextCursor"]), (&json!("tenant.created"), &Value::Null));
    has_deliveries(&app, &id, "delivered", expected.len()).await;
    assert_eq!(app.count("SELECT count(*) FROM webhook_queues").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_a_new_signing_key_and_an_operation_that_fails_are_told() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let acme = app.sign_up("acme", "basic", "salesflow").await;
    webhook(&app, &receiver, &["tenant.moved", "tenant.plan_changed", "key.rotated", "operation.*"]).await;
    app.api.post(&format!("/api/v1/tenants/{}/signing-keys", acme.id), json!({})).await.expect(201);
    receiver.has(1).await;
    let path = format!("/api/v1/tenants/{}/migrate", acme.id);
    app.api.post_and_wait(&path, json!({ "targetPlan": "premium" })).await.expect(200);
    let requests = receiver.has(3).await;
    assert_eq!(requests[0].kind(), "key.rotated");
    let of =
        |kind: &str| requests.iter().find(|request| request.kind() == kind).unwrap().event()["data"].clone();
    assert_eq!(of("tenant.moved")["from"], json!({ "server": "main", "tier": "schema" }));
    assert_eq!(of("tenant.moved")["to"], json!({ "server": "main", "tier": "database" }));
    assert_eq!(of("tenant.plan_changed")["formerPlan"], "basic");
    let stuck = "UPDATE operations SET state = 'stuck', error = 'the disk is full' WHERE kind = 'move'";
    sqlx::query(stuck).execute(app.owner()).await.unwrap();
    let told = receiver.has(4).await[3].event();
    assert_eq!(
        (&told["type"], &told["data"]["operation"]["error"]),
        (&json!("operation.stuck"), &json!("the disk is full"))
    );
    assert_eq!(told["data"]["tenant"]["id"], acme.id.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_told_what_it_asks_for_of_the_tenant_it_asks_for_while_it_is_enabled() {
    let app = TestApp::build().without_worker().start().await;
    let [all, users, ones, off] = [(); 4].map(|()| Receiver::start());
    let (all, users, ones, off) = tokio::join!(all, users, ones, off);
    let (one, other) = (tenant(&app, "one").await, tenant(&app, "other").await);
    assert_eq!(app.count("SELECT count(*) FROM webhook_deliveries").await, 0, "nobody asks");
    webhook(&app, &all, &["*"]).await;
    webhook(&app, &users, &["user.registered", "user.*"]).await;
    let body =
        json!({ "url": ones.url(), "types": ["user.*"], "tenant": app.slug("one"), "description": "one's" });
    let made = app.api.post("/api/v1/webhooks", body).await.expect(201).json();
    assert_eq!((&made["tenantId"], &made["description"]), (&json!(one.to_string()), &json!("one's")));
    let (off_id, _) = webhook(&app, &off, &["*"]).await;
    let off_path = format!("/api/v1/webhooks/{off_id}");
    app.api.patch(&off_path, json!({ "enabled": false })).await.expect(200);

    tell(&app, one, 1).await;
    tell(&app, other, 2).await;
    let third = tenant(&app, "third").await;
    let worker = app.second_worker();
    let told = async || {
        let requests = all.requests();
        let created =
            requests.iter().any(|request| request.kind() == "tenant.created" && request.tenant() == "third");
        created && numbers(&requests, "one") == [1] && numbers(&requests, "other") == [1, 2]
    };
    within(Duration::from_mins(1), "all is told", told).await;
    assert_eq!(users.has(3).await.len(), 3);
    assert_eq!(numbers(&ones.has(1).await, "one"), [1]);
    assert!(off.requests().is_empty());
    // From now on.
    app.api.patch(&off_path, json!({ "enabled": true, "types": ["user.*"] })).await.expect(200);
    tell(&app, third, 1).await;
    assert_eq!(numbers(&off.has(1).await, "third"), [1]);
    app.api.delete(&off_path).await.expect(204);
    app.api.get(&off_path).await.expect_problem(404, "webhook_not_found");
    tell(&app, third, 1).await;
    users.has(5).await;
    assert_eq!((ones.requests().len(), off.requests().len()), (1, 1));
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_makes_no_sense_is_refused_and_its_secret_is_shown_once() {
    let app = TestApp::build().without_worker().start().await;
    let good = json!({ "url": "https://example.com/hooks", "types": ["tenant.*"] });
    for (field, value) in [
        ("url", json!("example.com")),
        ("url", json!("ftp://example.com")),
        ("url", json!("https://user:secret@example.com")),
        ("types", json!([])),
        ("types", json!(["tenant"])),
        ("types", json!(["tenant.*", "nothing.*"])),
        ("tenant", json!("a b")),
        ("description", json!("x".repeat(201))),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let answer =
            app.api.post("/api/v1/webhooks", body.clone()).await.expect_problem(400, "invalid_field");
        assert_eq!(answer.fields(), [field], "{body}");
    }
    let mut body = good.clone();
    body["tenant"] = "nobody".into();
    app.api.post("/api/v1/webhooks", body).await.expect_problem(404, "tenant_not_found");

    let made = app.api.post("/api/v1/webhooks", good).await.expect(201);
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"));
    for path in
        ["/api/v1/webhooks".to_owned(), format!("/api/v1/webhooks/{}", made.json()["id"].as_str().unwrap())]
    {
        assert!(!app.api.get(&path).await.expect(200).text.contains("whsec_"), "{path}");
    }
    let stored: Vec<u8> =
        sqlx::query_scalar("SELECT secret FROM webhooks").fetch_one(app.owner()).await.unwrap();
    assert!(!stored.windows(6).any(|window| window == b"whsec_"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_makes_tests_and_lists_webhooks() {
    let app = TestApp::start().await;
    let receiver = Receiver::start().await;
    let cli = Cli::new(env!("CARGO_BIN_EXE_tenantry-under-test"))
        .env("TENANTRY_URL", app.api.address().to_string())
        .env("TENANTRY_API_KEY", app.key.expose_secret());
    let line = ["webhooks", "create", &receiver.url(), "--type", "tenant.*", "--quiet"];
    assert!(cli.run(&line).await.succeeded().starts_with("whsec_"));
    let listed = app.api.get("/api/v1/webhooks").await.json();
    let id = listed["items"][0]["id"].as_str().unwrap();
    assert!(cli.run(&["webhooks", "list"]).await.succeeded().contains(id));
    assert!(cli.run(&["webhooks", "test", id]).await.succeeded().contains("taken it: 204"));
    assert_eq!(receiver.has(1).await[0].kind(), "webhook.test");
    receiver.answers(|_| Reply::Status(400));
    assert!(cli.run(&["webhooks", "test", id]).await.failed().contains("answered 400 Bad Request"));
    assert!(
        cli.run(&["webhooks", "deliveries", id, "--state", "pending"])
            .await
            .succeeded()
            .contains("webhook.test")
    );
    assert!(
        cli.run(&["events", "list", "--type", "webhook.test"]).await.succeeded().contains("webhook.test")
    );
    app.api.patch(&format!("/api/v1/webhooks/{id}"), json!({ "enabled": false })).await.expect(200);
    let refused = cli.run(&["webhooks", "test", id]).await.failed();
    assert!(refused.contains("--enabled true"), "{refused}");
    assert!(cli.run(&["webhooks", "replay", id]).await.succeeded().contains("0 events"));
    cli.run(&["webhooks", "delete", id]).await.succeeded();
}
