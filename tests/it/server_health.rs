//! Servers that are away, hang, move or lose what was prepared on them.

use std::time::{Duration, Instant};

use futures::future::join_all;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgConnectOptions};
use tenantry_cli::embedded::database_url;
use tenantry_postgres::embedded::{Durability, EmbeddedPostgres};
use tenantry_tests::{TestApp, proxy::Proxy, server, within::within};

/// How a server is away.
#[derive(Debug, Clone, Copy)]
enum Outage {
    /// Connections are refused.
    Stopped,
    /// Connections are taken, and nothing answers.
    Frozen,
}

/// Sends a signal to a server and all its processes.
fn signal(server: u32, name: &str) {
    let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
    for pid in std::iter::once(server.to_string()).chain(children.split_whitespace().map(str::to_owned)) {
        // One that has just ended is gone.
        let _ = std::process::Command::new("kill").args(["-s", name, &pid]).status();
    }
}

async fn begin(server: &mut EmbeddedPostgres, outage: Outage) {
    match outage {
        Outage::Stopped => server.suspend_server().await.unwrap(),
        Outage::Frozen => signal(server.pid().unwrap(), "STOP"),
    }
}

async fn end(server: &mut EmbeddedPostgres, outage: Outage) {
    match outage {
        Outage::Stopped => server.resume_server().await.unwrap(),
        Outage::Frozen => signal(server.pid().unwrap(), "CONT"),
    }
}

async fn health(app: &TestApp, server: &str) -> Value {
    app.api.get(&format!("/api/v1/servers/{server}")).await.expect(200).json()["health"].clone()
}

async fn is_reachable(app: &TestApp, server: &str) -> bool {
    health(app, server).await["reachable"] == true
}

async fn placed_on(app: &TestApp, slug: &str) -> String {
    let query = "SELECT servers.name FROM placements JOIN servers ON servers.id = server_id
                 JOIN tenants ON tenants.id = tenant_id WHERE slug = $1";
    sqlx::query_scalar(query).bind(slug).fetch_one(app.owner()).await.unwrap()
}

/// Asks for a tenant to be suspended; the operation's id.
async fn begin_suspend(app: &TestApp, slug: &str) -> String {
    let begun = app.api.post(&format!("/api/v1/tenants/{slug}/suspend"), json!({})).await.expect(202).json();
    begun["operation"]["id"].as_str().unwrap().to_owned()
}

/// An outage of one of two servers, from the first sign-up that meets it to the first after it.
async fn survive(outage: Outage) {
    let mut other = server::start(Durability::Volatile).await.unwrap();
    let app = TestApp::build()
        .without_daily_quotas()
        // A statement that a hanging server was sent may have been carried out: such a sign-up waits. On a new
        // connection none is sent.
        .worker(|settings| settings.admin.idle_timeout = Duration::from_millis(1))
        .start()
        .await;
    // The first by name takes the first tenant.
    app.add_server("alpha", &other).await;
    let tenant = app.sign_up("before", "basic", "crm").await;
    assert_eq!(placed_on(&app, &tenant.slug).await, "alpha");
    let main = app.sign_up("main", "basic", "crm").await;
    assert_eq!(placed_on(&app, &main.slug).await, "main");

    begin(&mut other, outage).await;
    // These would go to both servers in turn; the first that meets the outage is placed elsewhere too.
    let names: Vec<String> = (0..8).map(|n| format!("during-{n}")).collect();
    let during =
        join_all(names.iter().enumerate().map(async |(n, name)| {
            app.sign_up(name, if n % 2 == 0 { "basic" } else { "premium" }, "crm").await
        }))
        .await;
    for tenant in &during {
        assert_eq!(placed_on(&app, &tenant.slug).await, "main", "{outage:?}");
        // The role has the password of its second placement.
        let url = app.own_url(&tenant.slug).await;
        sqlx::PgConnection::connect(&url).await.unwrap();
    }
    assert!(!is_reachable(&app, "alpha").await);
    assert!(is_reachable(&app, "main").await);
    assert!(health(&app, "alpha").await["error"].as_str().unwrap().contains(&other.port().to_string()));
    within(Duration::from_secs(20), "the metric shows it", async || {
        let metrics = app.admin.get("/metrics").await.text;
        metrics.contains(r#"tenantry_server_reachable{server="alpha"} 0"#)
            && metrics.contains(r#"tenantry_server_reachable{server="main"} 1"#)
    })
    .await;

    // What works on it waits, without a worker, and says what for.
    let suspend = begin_suspend(&app, &tenant.slug).await;
    let waiting = app.operation_is(&suspend, "waiting").await;
    assert!(waiting["message"].as_str().unwrap().contains(&other.port().to_string()), "{waiting}");
    assert_eq!(app.count("SELECT count(*) FROM operations WHERE lease_owner IS NOT NULL").await, 0);
    assert_eq!(app.count("SELECT max(retries)::bigint FROM operations WHERE state = 'waiting'").await, 0);

    end(&mut other, outage).await;
    assert_eq!(app.operation_ended(&suspend).await["state"], "succeeded");
    within(Duration::from_secs(20), "it is known to be back", async || is_reachable(&app, "alpha").await)
        .await;
    let after = app.sign_up("after", "basic", "crm").await;
    assert_eq!(placed_on(&app, &after.slug).await, "alpha");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_is_noticed_shown_and_passed_over_and_its_work_goes_on_when_it_is_back() {
    survive(Outage::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_server_is_noticed_shown_and_passed_over_and_its_work_goes_on_when_it_is_back() {
    survive(Outage::Frozen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ups_on_the_healthy_server_are_not_slowed_by_work_that_waits_for_a_hanging_one() {
    let mut other = server::start(Durability::Volatile).await.unwrap();
    let app = TestApp::build()
        .without_daily_quotas()
        // Each wait is looked at again soon: what is known to be away is not tried.
        .worker(|settings| settings.away_pause = Duration::from_millis(200))
        .start()
        .await;
    app.add_server("alpha", &other).await;
    let cordon = json!({ "state": "cordoned" });
    app.api.patch("/api/v1/servers/main", cordon.clone()).await.expect(200);
    let names: Vec<String> = (0..24).map(|n| format!("old-{n}")).collect();
    let old = join_all(names.iter().map(|name| app.sign_up(name, "basic", "crm"))).await;
    app.api.patch("/api/v1/servers/main", json!({ "state": "active" })).await.expect(200);
    app.api.patch("/api/v1/servers/alpha", cordon).await.expect(200);
    let slowest = async |round: &str| {
        let mut slowest = Duration::ZERO;
        for n in 0..8 {
            let started = Instant::now();
            app.sign_up(&format!("{round}-{n}"), "basic", "crm").await;
            slowest = slowest.max(started.elapsed());
        }
        slowest
    };
    let alive = slowest("alive").await;
    app.api.patch("/api/v1/servers/alpha", json!({ "state": "active" })).await.expect(200);
    begin(&mut other, Outage::Frozen).await;
    let suspends = join_all(old.iter().map(|tenant| begin_suspend(&app, &tenant.slug))).await;
    for id in &suspends {
        app.operation_is(id, "waiting").await;
    }
    let away = slowest("away").await;
    println!("slowest of 8 sign-ups: {alive:?} with both servers, {away:?} with one that hangs");
    // A try of the hanging server takes 4 s.
    assert!(away < alive * 4 + Duration::from_secs(1), "{alive:?} before, {away:?} with a hanging server");
    end(&mut other, Outage::Frozen).await;
    for id in &suspends {
        assert_eq!(app.operation_ended(id).await["state"], "succeeded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_and_is_not_known_to_leaves_slots_to_sign_ups_on_others() {
    let mut other = server::start(Durability::Volatile).await.unwrap();
    let app = TestApp::build()
        .without_daily_quotas()
        .worker(|settings| {
            // Nobody finds out within the test.
            let never = Duration::from_mins(10);
            (settings.probe_every, settings.step_timeout) = (never, never);
            (settings.admin.probe_after, settings.admin.acquire_timeout) = (never, never);
        })
        .start()
        .await;
    app.add_server("alpha", &other).await;
    let (active, cordoned) = (json!({ "state": "active" }), json!({ "state": "cordoned" }));
    app.api.patch("/api/v1/servers/main", cordoned.clone()).await.expect(200);
    let names: Vec<String> = (0..24).map(|n| format!("old-{n}")).collect();
    let old = join_all(names.iter().map(|name| app.sign_up(name, "basic", "crm"))).await;
    app.api.patch("/api/v1/servers/main", active).await.expect(200);
    app.api.patch("/api/v1/servers/alpha", cordoned).await.expect(200);

    begin(&mut other, Outage::Frozen).await;
    let suspends = join_all(old.iter().map(|tenant| begin_suspend(&app, &tenant.slug))).await;
    app.sign_up("quick", "basic", "crm").await;
    assert!(is_reachable(&app, "alpha").await);
    assert_eq!(
        app.count("SELECT count(*) FROM operations WHERE kind = 'suspend' AND finished_at IS NOT NULL").await,
        0
    );
    end(&mut other, Outage::Frozen).await;
    for id in &suspends {
        assert_eq!(app.operation_ended(id).await["state"], "succeeded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_waits_when_no_server_can_be_reached_and_goes_on_when_one_is_back() {
    let mut other = server::start(Durability::Volatile).await.unwrap();
    let app = TestApp::build().without_daily_quotas().start().await;
    app.add_server("alpha", &other).await;
    app.api.patch("/api/v1/servers/main", json!({ "state": "cordoned" })).await.expect(200);
    begin(&mut other, Outage::Stopped).await;
    // The first finds it out, and gives up its placement; the second is not even placed.
    for (slug, plan) in [("first", "premium"), ("second", "basic")] {
        let id = app.begin_sign_up(&app.slug(slug), plan).await;
        let waiting = app.operation_is(&id, "waiting").await;
        assert!(waiting["message"].as_str().unwrap().contains("can be reached"), "{waiting}");
    }
    assert_eq!(app.count("SELECT count(*) FROM placements").await, 0);
    end(&mut other, Outage::Stopped).await;
    app.until_zero("SELECT count(*) FROM tenants WHERE status <> 'active'").await;
    assert_eq!(app.count("SELECT count(*) FROM placements WHERE state = 'serving'").await, 2);
}

/// The connections of a server that becomes full.
const SMALL: u32 = 30;

/// Uses up a server's connections, so that the worker has none: a new one, or one that has prepared the server and
/// loses its connections.
async fn work_on_a_full_server(new_worker: bool) {
    let small = server::start_small(SMALL).await.unwrap();
    let mut app = TestApp::build().without_daily_quotas().start().await;
    app.add_server("alpha", &small).await;
    app.api.patch("/api/v1/servers/main", json!({ "state": "cordoned" })).await.expect(200);
    let old = app.sign_up("old", "premium", "crm").await;
    app.sign_up("older", "basic", "crm").await;
    if new_worker {
        app.stop_worker().await;
    }
    // The data plane's and the worker's are ended, until neither has any.
    let connect = database_url(&small, "postgres").expose_secret().parse::<PgConnectOptions>().unwrap();
    let connect = connect.application_name("taken");
    let mut taken = vec![PgConnection::connect_with(&connect).await.unwrap()];
    within(Duration::from_secs(20), "all connections are taken", async || {
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE backend_type = 'client backend' AND application_name <> 'taken'";
        sqlx::query(end).execute(&mut taken[0]).await.unwrap();
        while let Ok(connection) = PgConnection::connect_with(&connect).await {
            taken.push(connection);
        }
        taken.len() == SMALL as usize
    })
    .await;
    if new_worker {
        app.start_worker(app.worker_settings()).await;
    }
    let mut waiting = vec![begin_suspend(&app, &old.slug).await];
    for (slug, plan) in [("new", "premium"), ("newer", "basic")] {
        waiting.push(app.begin_sign_up(&app.slug(slug), plan).await);
    }
    // Each tries again now and then, so that they are hardly ever all seen to wait at one moment.
    for id in &waiting {
        within(Duration::from_mins(1), "it waits for a connection", async || {
            let operation = app.operation(id).await;
            operation["state"] == "waiting"
                && operation["message"].as_str().is_some_and(|message| message.contains("53300"))
        })
        .await;
    }
    // Once a look has found that it answers.
    within(Duration::from_secs(20), "the server is not away", async || is_reachable(&app, "alpha").await)
        .await;
    drop(taken);
    for id in &waiting {
        let ended = app.operation_ended(id).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_on_a_server_without_free_connections_waits_however_long_that_lasts() {
    work_on_a_full_server(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_becomes_full_is_not_away() {
    work_on_a_full_server(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_whose_answer_is_lost_on_a_dead_connection_is_not_waited_for() {
    let app = TestApp::build()
        .without_daily_quotas()
        .worker(|settings| settings.admin.probe_after = Duration::from_millis(300))
        .start()
        .await;
    let proxy = Proxy::before(app.server()).await;
    app.api.patch("/api/v1/servers/main", json!({ "port": proxy.address.port() })).await.expect(200);
    let tenant = app.sign_up("acme", "basic", "crm").await;

    // The drop waits for somebody's lock. When that is given back, the connection is dead, and no end of it knows.
    let mut busy = server::admin(app.server(), app.shared_database()).await;
    let lock = format!("BEGIN; LOCK TABLE tenant_{}.contacts", tenant.slug.replace('-', "_"));
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut busy).await.unwrap();
    let path = format!("/api/v1/tenants/{}?purge=now", tenant.slug);
    let purge =
        app.api.delete(&path).await.expect(202).json()["operation"]["id"].as_str().unwrap().to_owned();
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    within(Duration::from_secs(10), "the drop waits for the lock", async || {
        sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut busy).await.unwrap() > 0
    })
    .await;
    proxy.silence();
    sqlx::raw_sql("ROLLBACK").execute(&mut busy).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), app.operation_ended(&purge)).await;
    assert_eq!(ended.expect("it is tried again on another connection")["state"], "succeeded");
    assert!(is_reachable(&app, "main").await, "the server answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_address_is_used_at_once_although_the_old_server_answers() {
    let new = server::start(Durability::Volatile).await.unwrap();
    let app = TestApp::build().without_daily_quotas().start().await;
    app.sign_up("before", "basic", "crm").await;
    let body = json!({
        "host": new.host(), "port": new.port(), "adminUser": new.user(),
        "adminPassword": new.password().expose_secret(),
    });
    app.api.patch("/api/v1/servers/main", body).await.expect(200);
    for (name, plan) in [("one", "basic"), ("two", "premium")] {
        let tenant = app.sign_up(name, plan, "crm").await;
        let role = format!("tenant_{}", tenant.slug.replace('-', "_"));
        for (server, expected) in [(&new, 1i64), (app.server(), 0)] {
            let mut connection = server::admin(server, "postgres").await;
            let found = sqlx::query("SELECT count(*) FROM pg_roles WHERE rolname = $1").bind(&role);
            let count: i64 = found.fetch_one(&mut connection).await.unwrap().get(0);
            assert_eq!(count, expected, "{role} on port {}", server.port());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_was_dropped_by_hand_is_made_again_and_no_sign_up_fails() {
    let app = TestApp::build().without_daily_quotas().start().await;
    app.sign_up("before", "basic", "crm").await;
    let gone = app.sign_up("gone", "premium", "crm").await;
    app.api.delete_and_wait(&format!("/api/v1/tenants/{}?purge=now", gone.slug)).await.expect(200);
    // Of tenants with databases of their own each has its own, and another one may have that when its tenant is gone.
    for (name, plan, own) in [("one", "basic", false), ("two", "premium", true), ("three", "basic", false)] {
        let login: String = sqlx::query_scalar("SELECT name FROM server_logins WHERE own = $1")
            .bind(own)
            .fetch_one(app.owner())
            .await
            .unwrap();
        let mut connection = server::admin(app.server(), app.shared_database()).await;
        let drop = format!("DROP OWNED BY {login}; DROP ROLE {login}");
        // In a tenant's own database it has rights too.
        let databases: Vec<String> =
            sqlx::query_scalar("SELECT datname::text FROM pg_database WHERE datname LIKE $1")
                .bind(format!(r"tenant\_%\_{}", app.suffix))
                .fetch_all(&mut connection)
                .await
                .unwrap();
        for database in databases {
            let mut own = server::admin(app.server(), &database).await;
            let owned = format!("DROP OWNED BY {login}");
            sqlx::raw_sql(AssertSqlSafe(owned)).execute(&mut own).await.unwrap();
        }
        sqlx::raw_sql(AssertSqlSafe(format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{login}'"
        )))
        .execute(&mut connection)
        .await
        .unwrap();
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await.unwrap();
        let tenant = app.sign_up(name, plan, "crm").await;
        tenant.data.get("/api/contacts").await.expect(200);
        let known = "SELECT login FROM placements JOIN tenants ON tenants.id = tenant_id WHERE slug = $1";
        let known: String =
            sqlx::query_scalar(known).bind(&tenant.slug).fetch_one(app.owner()).await.unwrap();
        assert_eq!(known, login);
    }
}
