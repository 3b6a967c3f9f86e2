//! What operators look after: plans, servers, apps, and the lists of all there is.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantry_tests::{TestApp, within::within};

fn names(list: &Value, field: &str) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

/// Reads a list to its end in pages of `limit`; answers the values of a field, page by page.
async fn pages(app: &TestApp, list: &str, limit: usize, field: &str) -> Vec<Vec<String>> {
    let (mut pages, mut cursor) = (Vec::new(), None::<String>);
    let joint = if list.contains('?') { '&' } else { '?' };
    loop {
        let cursor_part = cursor.as_ref().map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let page = app.api.get(&format!("{list}{joint}limit={limit}{cursor_part}")).await.expect(200).json();
        pages.push(names(&page, field));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return pages,
        }
    }
}

fn starter() -> Value {
    json!({
        "name": "starter", "tier": "schema", "limits": { "maxUsers": 10, "maxStorage": 1_073_741_824, "apiRequestsPerDay": 100 },
        "features": { "biometric_auth": false, "custom_branding": true }, "defaultConfig": { "session.timeout": 600 },
        "retentionDays": 7, "undoMovesHours": 48, "serverClass": null,
        "database": {
            "weight": 2, "maxConnections": 5, "statementTimeoutSeconds": 60, "lockTimeoutSeconds": null,
            "idleInTransactionTimeoutSeconds": 300, "connection": "shared",
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_made_read_replaced_and_deleted() {
    let app = TestApp::build().without_worker().start().await;
    let made = app.api.post("/api/v1/plans", starter()).await.expect(201);
    assert_eq!(made.header("location").as_deref(), Some("/api/v1/plans/starter"));
    assert_eq!(made.json(), starter());
    assert_eq!(app.api.get("/api/v1/plans/starter").await.expect(200).json(), starter());
    let refused = app.api.post("/api/v1/plans", starter()).await.expect_problem(409, "plan_exists");
    assert_eq!(refused.fields(), ["name"]);

    // What is absent is unlimited, off, or the default.
    let replaced =
        app.api.put("/api/v1/plans/starter", json!({ "tier": "database" })).await.expect(200).json();
    let expected = json!({
        "name": "starter", "tier": "database", "features": {}, "defaultConfig": {}, "retentionDays": 30,
        "undoMovesHours": null, "serverClass": null,
        "limits": { "maxUsers": null, "maxStorage": null, "apiRequestsPerDay": null },
        "database": {
            "weight": 1, "maxConnections": null, "statementTimeoutSeconds": null, "lockTimeoutSeconds": null,
            "idleInTransactionTimeoutSeconds": null, "connection": "shared",
        },
    });
    assert_eq!(replaced, expected);
    assert_eq!(app.api.get("/api/v1/plans/starter").await.json(), expected);

    app.api.delete("/api/v1/plans/starter").await.expect(204);
    app.api.get("/api/v1/plans/starter").await.expect_problem(404, "plan_not_found");
    app.api.delete("/api/v1/plans/starter").await.expect_problem(404, "plan_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_in_use_keeps_its_tier_and_cannot_be_deleted() {
    let app = TestApp::build().without_worker().start().await;
    app.api.post("/api/v1/plans", starter()).await.expect(201);
    let body = json!({ "name": "Acme", "slug": app.slug("acme"), "plan": "starter", "app": "crm" });
    app.api.post("/api/v1/tenants", body).await.expect(202);
    app.api.delete("/api/v1/plans/starter").await.expect_problem(409, "plan_in_use");
    app.api
        .put("/api/v1/plans/starter", json!({ "tier": "database" }))
        .await
        .expect_problem(409, "plan_in_use");
    // Anything else about it may change.
    let body = json!({ "tier": "schema", "retentionDays": 1 });
    assert_eq!(app.api.put("/api/v1/plans/starter", body).await.expect(200).json()["retentionDays"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_plan_holds_for_its_tenants_at_once() {
    let app = TestApp::build().with_apps(&["mis"]).start().await;
    app.api.post("/api/v1/plans", starter()).await.expect(201);
    let tenant = app.sign_up("acme", "starter", "mis").await;
    tenant.data.get("/api/biometric_templates").await.expect_problem(403, "feature_not_enabled");
    let body = json!({ "tier": "schema", "features": { "biometric_auth": true } });
    app.api.put("/api/v1/plans/starter", body).await.expect(200);
    app.routes_caught_up().await;
    tenant.data.get("/api/biometric_templates").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_s_own_sessions_are_held_to_its_plan_and_to_what_it_says_later() {
    let app = TestApp::start().await;
    app.api.post("/api/v1/plans", starter()).await.expect(201);
    let tenant = app.sign_up("acme", "starter", "crm").await;
    let url = app.own_url(&tenant.slug).await;
    // The server may take a moment to end the session of before.
    let connect = async || {
        let mut session = None;
        within(Duration::from_secs(10), "it may have a session", async || {
            session = PgConnection::connect(&url).await.ok();
            session.is_some()
        })
        .await;
        session.unwrap()
    };
    let setting = async |name: &str| -> String {
        let mut session = connect().await;
        let shown =
            sqlx::query_scalar(AssertSqlSafe(format!("SHOW {name}"))).fetch_one(&mut session).await.unwrap();
        session.close().await.unwrap();
        shown
    };
    assert_eq!(setting("statement_timeout").await, "1min");
    assert_eq!(setting("idle_in_transaction_session_timeout").await, "5min");
    assert_eq!(setting("lock_timeout").await, "0");

    let change = json!({ "database": { "statementTimeoutSeconds": null, "lockTimeoutSeconds": 3, "maxConnections": 1 } });
    app.api.patch("/api/v1/plans/starter", change).await.expect(200);
    within(Duration::from_secs(30), "the plan holds", async || setting("lock_timeout").await == "3s").await;
    assert_eq!(setting("statement_timeout").await, "0");
    assert_eq!(setting("idle_in_transaction_session_timeout").await, "5min");
    let _only = connect().await;
    assert!(PgConnection::connect(&url).await.is_err(), "it may have one session");
    // The data plane's are not the tenant's own.
    tenant.data.get("/api/contacts").await.expect(200);

    for (wrong, field) in [
        (json!({ "weight": 0 }), "database.weight"),
        (json!({ "weight": 256 }), "database.weight"),
        (json!({ "lockTimeoutSeconds": 0 }), "database.lockTimeoutSeconds"),
        (json!({ "statementTimeoutSeconds": 2_147_484 }), "database.statementTimeoutSeconds"),
        (json!({ "maxConnections": 262_144 }), "database.maxConnections"),
        (json!({ "connection": "nobody's" }), "database.connection"),
    ] {
        let refused = app.api.patch("/api/v1/plans/starter", json!({ "database": wrong })).await;
        assert_eq!(refused.expect(400).fields(), [field]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_registered_read_changed_and_forgotten_and_its_password_is_never_shown() {
    let app = TestApp::build().without_worker().start().await;
    let body = json!({
        "name": "eu-1", "host": "DB-1.internal", "adminUser": "keeper", "adminPassword": "hunter2-hunter2",
        "capacity": 10, "region": "eu-central",
    });
    let made = app.api.post("/api/v1/servers?check=false", body.clone()).await.expect(201);
    assert_eq!(made.header("location").as_deref(), Some("/api/v1/servers/eu-1"));
    let view = made.json();
    for (field, value) in [
        ("host", json!("db-1.internal")),
        ("port", json!(5432)),
        ("state", json!("active")),
        ("provider", json!("static")),
        ("tiers", json!(["schema", "database"])),
        ("maxConnections", json!(50)),
        ("tenants", json!(0)),
        ("region", json!("eu-central")),
    ] {
        assert_eq!(view[field], value, "{field}");
    }
    assert_eq!(
        app.api
            .post("/api/v1/servers?check=false", body.clone())
            .await
            .expect_problem(409, "server_exists")
            .fields(),
        ["name"]
    );
    let mut same_address = body;
    same_address["name"] = json!("eu-2");
    let refused = app
        .api
        .post("/api/v1/servers?check=false", same_address)
        .await
        .expect_problem(409, "server_address_taken");
    assert_eq!(refused.fields(), ["host"]);

    let change = json!({ "host": "db-2.internal", "capacity": 20, "state": "cordoned", "adminPassword": "hunter3-hunter3" });
    let changed = app.api.put("/api/v1/servers/eu-1?check=false", change).await.expect(200);
    assert_eq!(changed.json()["state"], "cordoned");
    let read = app.api.get("/api/v1/servers/eu-1").await.expect(200);
    assert_eq!(read.json(), changed.json());
    let listed = app.api.get("/api/v1/servers").await.expect(200);
    assert_eq!(names(&listed.json(), "name"), ["eu-1", "main"]);
    for answer in [&made, &changed, &read, &listed] {
        for secret in ["hunter", "keeper", "adminPassword", "adminUser"] {
            assert!(!answer.text.contains(secret), "{secret} in {}", answer.text);
        }
    }
    let stored: Vec<u8> = sqlx::query_scalar("SELECT admin_password FROM servers WHERE name = 'eu-1'")
        .fetch_one(app.owner())
        .await
        .unwrap();
    assert!(!stored.windows(6).any(|window| window == b"hunter"), "the password is stored as it is");

    app.api
        .put("/api/v1/servers/eu-1", json!({ "host": "a", "capacity": 1, "sharedDatabase": "other" }))
        .await
        .expect_problem(400, "invalid_field");
    app.api
        .put("/api/v1/servers/eu-1", json!({ "host": "a", "capacity": 1, "adminUser": "x" }))
        .await
        .expect_problem(400, "invalid_field");
    app.api.delete("/api/v1/servers/eu-1").await.expect(204);
    app.api.get("/api/v1/servers/eu-1").await.expect_problem(404, "server_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_holds_a_tenant_cannot_be_forgotten() {
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    app.api.delete("/api/v1/servers/main").await.expect_problem(409, "server_in_use");
    assert_eq!(app.api.get("/api/v1/servers/main").await.json()["tenants"], 1);
    app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", tenant.slug)).await.expect(200);
    assert_eq!(app.api.get("/api/v1/servers/main").await.json()["tenants"], 0);
    app.api.delete("/api/v1/servers/main").await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cordoned_server_keeps_its_tenants_and_takes_no_more() {
    let app = TestApp::start().await;
    let tenant = app.sign_up("acme", "basic", "crm").await;
    let server = app.api.get("/api/v1/servers/main").await.expect(200).json();
    let body = json!({ "host": server["host"], "port": server["port"], "capacity": 100, "state": "cordoned", "maxConnections": 16 });
    app.api.put("/api/v1/servers/main", body).await.expect(200);
    tenant.data.get("/api/contacts").await.expect(200);
    let body = json!({ "name": "Other", "slug": app.slug("other"), "plan": "basic", "app": "crm" });
    app.api.post_and_wait("/api/v1/tenants", body).await.expect_problem(422, "operation_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_version_never_changes_once_pushed_and_comes_after_the_last() {
    let app = TestApp::build().without_worker().with_apps(&[]).start().await;
    // Without a server nothing can be tried, and nothing is asked of a worker.
    app.api.delete("/api/v1/servers/main").await.expect(204);
    let put = app
        .api
        .put("/api/v1/apps/shop", json!({ "manifest": { "description": "A shop" } }))
        .await
        .expect(200)
        .json();
    assert_eq!((&put["latestVersion"], &put["versions"]), (&Value::Null, &json!([])));
    let version = |version: i64, up: &str| json!({ "version": version, "name": "items", "up": up, "down": "DROP TABLE items" });
    let push = async |body: Value| app.api.post("/api/v1/apps/shop/versions", body).await;

    let mut first = push(version(20, "CREATE TABLE items (id int)")).await.expect(201).json();
    assert_eq!(first["trial"]["tried"], false);
    first["trial"] = Value::Null;
    assert_eq!((&first["version"], &first["reversible"]), (&json!(20), &json!(true)));
    // Pushed again it is the same; with other content it is refused, whichever part is other.
    assert_eq!(push(version(20, "CREATE TABLE items (id int)")).await.expect(200).json(), first);
    push(version(20, "CREATE TABLE items (id bigint)")).await.expect_problem(409, "version_differs");
    let mut other = version(20, "CREATE TABLE items (id int)");
    other["down"] = json!("DROP TABLE items CASCADE");
    push(other).await.expect_problem(409, "version_differs");
    let early = push(version(10, "SELECT 1")).await.expect_problem(409, "version_out_of_order");
    assert_eq!(early.json()["latestVersion"], 20);
    push(json!({ "version": 30, "name": "one way", "up": "SELECT 1" })).await.expect(201);

    let shop = app.api.get("/api/v1/apps/shop").await.expect(200).json();
    assert_eq!(shop["latestVersion"], 30);
    for of_the_push in ["trial", "findings"] {
        first.as_object_mut().unwrap().remove(of_the_push);
    }
    assert_eq!(shop["versions"][0], first);
    assert_eq!(shop["versions"][1]["reversible"], false);
    assert!(!shop.to_string().contains("CREATE TABLE"), "the list of versions is without their SQL");
    let listed = app.api.get("/api/v1/apps").await.expect(200).json();
    assert_eq!(listed["items"][0]["versions"], 2);
    assert_eq!(app.count("SELECT count(*) FROM app_versions").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_app_s_migration_makes_is_what_a_new_tenant_has() {
    let app = TestApp::build().with_apps(&[]).start().await;
    app.api
        .put("/api/v1/apps/shop", json!({ "seed": "INSERT INTO items (name) VALUES ('sample')" }))
        .await
        .expect(200);
    for (version, up) in [
        (1, "CREATE TABLE items (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)"),
        (2, "ALTER TABLE items ADD COLUMN name text"),
    ] {
        let body = json!({ "version": version, "name": "items", "up": up });
        app.api.post("/api/v1/apps/shop/versions", body).await.expect(201);
    }
    for plan in ["basic", "premium"] {
        // The only app there is need not be named.
        let body = json!({ "name": plan, "slug": app.slug(plan), "plan": plan });
        let made = app.api.post_and_wait("/api/v1/tenants", body).await.expect(201).json();
        assert_eq!(
            (&made["tenant"]["app"], &made["tenant"]["placement"]["schemaVersion"]),
            (&json!("shop"), &json!(2))
        );
        let slug = app.slug(plan);
        let data = app.data.with_host(format!("{slug}.localhost")).with_key(app.data_key(&slug).await);
        assert_eq!(data.get("/api/items").await.expect(200).json(), json!([{ "id": 1, "name": "sample" }]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_tenants_in_pages_of_three_are_all_there_and_none_twice() {
    let app = TestApp::build().without_worker().start().await;
    let mut newest_first = Vec::new();
    for number in 0..7 {
        let slug = app.slug(&format!("t{number}"));
        let body = json!({ "name": slug, "slug": slug, "plan": "basic", "app": "crm" });
        app.api.post("/api/v1/tenants", body).await.expect(202);
        newest_first.insert(0, slug);
    }
    let read = pages(&app, "/api/v1/tenants", 3, "slug").await;
    assert_eq!(read.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    assert_eq!(read.concat(), newest_first);
    // A page that is exactly full is the last, and a filter holds on every page.
    assert_eq!(pages(&app, "/api/v1/tenants", 7, "slug").await.len(), 1);
    assert_eq!(
        pages(&app, "/api/v1/tenants?status=provisioning&plan=basic", 2, "slug").await.concat(),
        newest_first
    );
    assert_eq!(pages(&app, "/api/v1/tenants?status=active", 2, "slug").await.concat(), Vec::<String>::new());

    // What comes in between two pages neither repeats nor hides anything of the older ones.
    let first = app.api.get("/api/v1/tenants?limit=3").await.expect(200).json();
    let body = json!({ "name": "late", "slug": app.slug("late"), "plan": "basic", "app": "crm" });
    app.api.post("/api/v1/tenants", body).await.expect(202);
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = app.api.get(&format!("/api/v1/tenants?limit=200&cursor={cursor}")).await.expect(200).json();
    assert_eq!([names(&first, "slug"), names(&second, "slug")].concat(), newest_first);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_read_in_pages() {
    let app = TestApp::build().without_worker().start().await;
    let slug = app.slug("acme");
    let body = json!({ "name": "Acme", "slug": slug, "plan": "basic", "app": "crm" });
    app.api.post("/api/v1/tenants", body).await.expect(202);
    let tenant = format!("/api/v1/tenants/{slug}");
    for number in 0..4 {
        let name = format!("n{number}");
        app.api.post("/api/v1/keys", json!({ "name": name, "scopes": ["tenants:read"] })).await.expect(201);
        app.api.post(&format!("{tenant}/keys"), json!({ "name": name })).await.expect(201);
        app.api
            .post(&format!("{tenant}/domains"), json!({ "domain": format!("{name}.{slug}.example.com") }))
            .await
            .expect(201);
        app.api.put(&format!("/api/v1/apps/{name}"), json!({})).await.expect(200);
        let body =
            json!({ "name": name, "host": name, "adminUser": "a", "adminPassword": "b", "capacity": 1 });
        app.api.post("/api/v1/servers?check=false", body).await.expect(201);
        app.api.post("/api/v1/plans", json!({ "name": name, "tier": "schema" })).await.expect(201);
    }
    for (list, field, count) in [
        ("/api/v1/plans", "name", 8),
        ("/api/v1/servers", "name", 5),
        ("/api/v1/apps", "name", 6),
        ("/api/v1/keys", "id", 5),
        (&format!("{tenant}/keys"), "id", 4),
        (&format!("{tenant}/domains"), "domain", 4),
    ] {
        let read = pages(&app, list, 3, field).await;
        assert!(read.iter().all(|page| page.len() <= 3), "{list}: {read:?}");
        let read = read.concat();
        assert_eq!(read.len(), count, "{list}: {read:?}");
        assert_eq!(read.iter().collect::<BTreeSet<_>>().len(), count, "{list}: {read:?}");
        assert!(read.is_sorted(), "{list}: {read:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_found_by_status_plan_app_tier_server_and_text() {
    let app = TestApp::start().await;
    let small = app.sign_up("small", "basic", "crm").await;
    let large = app.sign_up("large", "premium", "salesflow").await;
    let gone = app.sign_up("gone", "basic", "crm").await;
    app.api.post_and_wait(&format!("/api/v1/tenants/{}/suspend", large.slug), json!({})).await.expect(200);
    app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", gone.slug)).await.expect(200);
    let found = async |query: &str| {
        let list = app.api.get(&format!("/api/v1/tenants?{query}")).await.expect(200).json();
        names(&list, "slug").into_iter().collect::<BTreeSet<_>>()
    };
    let (small, large, gone) = (small.slug.as_str(), large.slug.as_str(), gone.slug.as_str());
    // Of a purged tenant only the record is left, which is shown only when asked for.
    let all: &[&str] = &[small, large];
    for (query, expected) in [
        ("", all),
        ("status=active", &[small]),
        ("status=suspended", &[large]),
        ("status=purged", &[gone]),
        ("plan=basic", &[small]),
        ("plan=premium", &[large]),
        ("app=crm", &[small]),
        ("app=salesflow", &[large]),
        ("tier=schema", &[small]),
        ("tier=database", &[large]),
        ("tier=instance", &[]),
        ("server=main", all),
        ("server=other", &[]),
        ("q=SMALL", &[small]),
        ("q=arg", &[large]),
        ("q=%25", &[]),
        ("q=_", &[]),
        ("q='", &[]),
        ("q=", all),
        ("plan=basic&app=salesflow", &[]),
        ("plan=premium&status=suspended&tier=database&server=main&q=large", &[large]),
    ] {
        let expected = expected.iter().map(|&slug| slug.to_owned()).collect();
        assert_eq!(found(query).await, expected, "?{query}");
    }
    let operations = app.api.get("/api/v1/operations?kind=suspend").await.expect(200).json();
    assert_eq!(names(&operations, "state"), ["succeeded"]);
    let purges = app.api.get(&format!("/api/v1/operations?tenant={large}")).await.expect(200).json();
    assert_eq!(names(&purges, "kind"), ["suspend", "provision"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_changed_and_goes_back_to_its_plan_s_limits() {
    let app = TestApp::build().without_worker().start().await;
    let slug = app.slug("acme");
    let body = json!({
        "name": "Acme", "slug": slug, "plan": "basic", "app": "crm", "maxUsers": 5, "maxStorage": 1000,
        "settings": { "a": 1 }, "features": { "x": true },
    });
    app.api.post("/api/v1/tenants", body).await.expect(202);
    let path = format!("/api/v1/tenants/{slug}");
    let before = app.api.get(&path).await.expect(200).json();
    // Nothing said, nothing changed.
    assert_eq!(app.api.patch(&path, json!({})).await.expect(200).json()["name"], "Acme");
    let changed = app
        .api
        .patch(&path, json!({ "name": "Acme Ltd", "maxUsers": null, "settings": {} }))
        .await
        .expect(200)
        .json();
    assert_eq!(changed["name"], "Acme Ltd");
    assert_eq!(changed["maxUsers"], Value::Null);
    assert_eq!(changed["settings"], json!({}));
    for field in ["id", "slug", "plan", "app", "maxStorage", "features", "createdAt", "status"] {
        assert_eq!(changed[field], before[field], "{field}");
    }
    let changed = app
        .api
        .patch(&path, json!({ "features": { "y": false }, "maxStorage": 2000 }))
        .await
        .expect(200)
        .json();
    assert_eq!((&changed["features"], &changed["maxStorage"]), (&json!({ "y": false }), &json!(2000)));
    assert_eq!(
        app.api.get(&format!("/api/v1/tenants/{}", before["id"].as_str().unwrap())).await.json(),
        changed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_of_a_plan_changes_what_is_given_and_nothing_else() {
    let app = TestApp::build().without_worker().start().await;
    app.api.post("/api/v1/plans", starter()).await.expect(201);
    let patch = async |body: Value| app.api.patch("/api/v1/plans/starter", body).await;
    assert_eq!(patch(json!({})).await.expect(200).json(), starter());
    let mut expected = starter();
    for (change, path, value) in [
        (json!({ "retentionDays": 14 }), "/retentionDays", json!(14)),
        (json!({ "undoMovesHours": 72 }), "/undoMovesHours", json!(72)),
        (json!({ "undoMovesHours": null }), "/undoMovesHours", json!(null)),
        (json!({ "limits": { "maxUsers": 20 } }), "/limits/maxUsers", json!(20)),
        (json!({ "limits": { "maxStorage": null } }), "/limits/maxStorage", Value::Null),
        (json!({ "features": { "x": true } }), "/features", json!({ "x": true })),
        (json!({ "defaultConfig": {} }), "/defaultConfig", json!({})),
        (json!({ "tier": "database" }), "/tier", json!("database")),
        (json!({ "database": { "connection": "own" } }), "/database/connection", json!("own")),
    ] {
        *expected.pointer_mut(path).unwrap() = value;
        assert_eq!(patch(change).await.expect(200).json(), expected, "{path}");
        assert_eq!(app.api.get("/api/v1/plans/starter").await.json(), expected);
    }
    for (change, field) in [
        (json!({ "retentionDays": 3651 }), "retentionDays"),
        (json!({ "undoMovesHours": 8761 }), "undoMovesHours"),
        (json!({ "name": "other" }), "name"),
        (json!({ "limits": { "users": 1 } }), "limits.users"),
        (json!({ "features": { "a b": true } }), "features.a b"),
    ] {
        assert_eq!(patch(change).await.expect(400).fields(), [field]);
    }
    let body = json!({ "name": "Acme", "slug": app.slug("acme"), "plan": "starter", "app": "crm" });
    app.api.post("/api/v1/tenants", body).await.expect(202);
    patch(json!({ "tier": "schema" })).await.expect_problem(409, "plan_in_use");
    patch(json!({ "tier": "database" })).await.expect(200);
    app.api.patch("/api/v1/plans/none", json!({})).await.expect_problem(404, "plan_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_patches_at_once_do_not_undo_each_other() {
    let app = TestApp::build().without_worker().start().await;
    app.api.post("/api/v1/plans", starter()).await.expect(201);
    for n in 1..=10 {
        let (plan, server) = ("/api/v1/plans/starter", "/api/v1/servers/main");
        let (a, b, c, d) = tokio::join!(
            app.api.patch(plan, json!({ "retentionDays": n })),
            app.api.patch(plan, json!({ "limits": { "maxUsers": n } })),
            app.api.patch(server, json!({ "capacity": n })),
            app.api.patch(server, json!({ "maxConnections": n })),
        );
        for answer in [a, b, c, d] {
            answer.expect(200);
        }
        let (plan, server) = (app.api.get(plan).await.json(), app.api.get(server).await.json());
        assert_eq!((&plan["retentionDays"], &plan["limits"]["maxUsers"]), (&json!(n), &json!(n)));
        assert_eq!((&server["capacity"], &server["maxConnections"]), (&json!(n), &json!(n)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_answers_to_its_id_as_to_its_name_and_a_patch_changes_one_field() {
    let app = TestApp::build().without_worker().start().await;
    let body = json!({
        "name": "eu-1", "host": "db-1.internal", "adminUser": "keeper", "adminPassword": "hunter2-hunter2",
        "capacity": 10, "region": "eu-central", "port": 6432, "maxConnections": 7, "tiers": ["database"],
    });
    let made = app.api.post("/api/v1/servers?check=false", body).await.expect(201).json();
    let by_id = format!("/api/v1/servers/{}", made["id"].as_str().unwrap());
    assert_eq!(app.api.get(&by_id).await.expect(200).json(), made);
    let mut expected = made.clone();
    for (path, change, field) in [
        (by_id.as_str(), json!({ "state": "cordoned" }), "state"),
        ("/api/v1/servers/eu-1", json!({ "capacity": 20 }), "capacity"),
        (&by_id, json!({ "host": "db-2.internal" }), "host"),
        (&by_id, json!({ "region": "us" }), "region"),
        (&by_id, json!({ "tiers": ["schema"] }), "tiers"),
        (&by_id, json!({ "name": "eu-1", "port": 5432 }), "port"),
    ] {
        expected[field] = change[field].clone();
        let unchecked = format!("{path}?check=false");
        assert_eq!(app.api.patch(&unchecked, change).await.expect(200).json(), expected, "{field}");
        assert_eq!(app.api.get("/api/v1/servers/eu-1").await.json(), expected);
    }
    let password = async || -> Vec<u8> {
        let query = "SELECT admin_password FROM servers WHERE name = 'eu-1'";
        sqlx::query_scalar(query).fetch_one(app.owner()).await.unwrap()
    };
    let before = password().await;
    let unchecked = format!("{by_id}?check=false");
    app.api.patch(&unchecked, json!({ "adminPassword": "hunter3-hunter3" })).await.expect(200);
    assert_ne!(password().await, before);
    for (change, field) in [
        (json!({ "name": "other" }), "name"),
        (json!({ "state": "lost" }), "state"),
        (json!({ "sharedDatabase": "other" }), "sharedDatabase"),
        (json!({ "adminUser": "other" }), "adminPassword"),
        (json!({ "host": "a b" }), "host"),
        (json!({ "port": 0 }), "port"),
        (json!({ "tiers": [] }), "tiers"),
        (json!({ "maxConnections": 0 }), "maxConnections"),
    ] {
        assert_eq!(app.api.patch(&by_id, change).await.expect(400).fields(), [field]);
    }
    // PUT replaces all of it, by id too.
    let replaced =
        app.api.put(&unchecked, json!({ "host": "db-3.internal", "capacity": 1 })).await.expect(200).json();
    assert_eq!((&replaced["name"], &replaced["region"]), (&json!("eu-1"), &json!("default")));
    app.api.delete(&by_id).await.expect(204);
    for path in
        [by_id.as_str(), "/api/v1/servers/eu-1", "/api/v1/servers/019a0000-0000-7000-8000-000000000000"]
    {
        app.api.get(path).await.expect_problem(404, "server_not_found");
        app.api.patch(path, json!({})).await.expect_problem(404, "server_not_found");
        app.api.delete(path).await.expect_problem(404, "server_not_found");
    }
}
