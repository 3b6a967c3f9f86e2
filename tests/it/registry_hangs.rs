//! Connections to the registry that are dead without being closed: nothing waits for them for long.

use std::time::{Duration, Instant};

use futures::{StreamExt, future::join_all};
use secrecy::ExposeSecret;
use tenantry_domain::{
    Clock, SystemClock,
    plan::{Plan, PlanName},
};
use tenantry_registry::{
    ConnectSettings, Part, Registry, RegistryError,
    feed::{Change, OperationNews},
};
use tenantry_tests::{TestApp, app::random_suffix, proxy::Proxy, server};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_millis(600);
const CONNECTIONS: u32 = 4;

/// A registry that is reached through a proxy.
async fn behind_a_proxy(part: Part) -> (Registry, Proxy) {
    let url = server::fresh_registry(&format!("registry_{}", random_suffix())).await;
    let address = format!("127.0.0.1:{}", server::shared().await.port());
    let proxy = Proxy::start(address.parse().unwrap()).await;
    let url = url.expose_secret().replace(&address, &proxy.address.to_string());
    let settings = ConnectSettings { max_connections: CONNECTIONS, answer_timeout: LIMIT };
    (Registry::connect_with(&url, part, settings).unwrap(), proxy)
}

/// As many queries at once as there are connections.
async fn query_on_all(registry: &Registry) -> Vec<Result<(), RegistryError>> {
    join_all((0..CONNECTIONS).map(async |_| registry.plan_list().await.map(drop))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_on_connections_that_hang_end_in_time_and_the_next_ones_succeed() {
    let (registry, proxy) = behind_a_proxy(Part::ControlPlane).await;
    for _ in 0..3 {
        query_on_all(&registry).await.into_iter().for_each(Result::unwrap);
        proxy.silence();
        let silenced = Instant::now();
        for answer in query_on_all(&registry).await {
            // A connection that was tried before use is replaced: that query may succeed.
            assert!(answer.as_ref().err().is_none_or(RegistryError::is_unavailable), "{answer:?}");
        }
        assert!(silenced.elapsed() < 3 * LIMIT, "{:?}", silenced.elapsed());
        // None of them went back to the pool, and none keeps its place in it.
        query_on_all(&registry).await.into_iter().for_each(Result::unwrap);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_idle_is_tried_before_it_is_used() {
    let (registry, proxy) = behind_a_proxy(Part::ControlPlane).await;
    query_on_all(&registry).await.into_iter().for_each(Result::unwrap);
    proxy.silence();
    tokio::time::sleep(Duration::from_millis(550)).await;
    query_on_all(&registry).await.into_iter().for_each(Result::unwrap);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_connection_hangs_ends_in_time() {
    let (registry, proxy) = behind_a_proxy(Part::ControlPlane).await;
    for _ in 0..2 * CONNECTIONS {
        let statement = registry.begin().await.unwrap();
        let mut commit = registry.begin().await.unwrap();
        proxy.silence();
        let silenced = Instant::now();
        let mut statement = statement;
        let basic = PlanName::parse("basic").unwrap();
        let tried = sqlx::query("SELECT 1 FROM plans WHERE name = $1")
            .bind(basic.as_str())
            .execute(&mut *statement)
            .await;
        assert!(RegistryError::from(tried.unwrap_err()).is_unavailable());
        // What follows on it does not wait again.
        sqlx::query("SELECT 1").execute(&mut *statement).await.unwrap_err();
        assert!(silenced.elapsed() < 2 * LIMIT, "{:?}", silenced.elapsed());
        let committing = Instant::now();
        sqlx::query("SELECT 1").execute(&mut *commit).await.unwrap_err();
        commit.commit().await.unwrap_err();
        assert!(committing.elapsed() < 2 * LIMIT, "{:?}", committing.elapsed());
    }
    registry.plan_list().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_nobody_waits_for_any_more_does_not_keep_a_dead_connection_in_the_pool() {
    let (registry, proxy) = behind_a_proxy(Part::ControlPlane).await;
    query_on_all(&registry).await.into_iter().for_each(Result::unwrap);
    proxy.silence();
    // Given up before the limit, as a request is whose client has gone.
    let _ = timeout(LIMIT / 6, query_on_all(&registry)).await;
    tokio::time::sleep(2 * LIMIT).await;
    query_on_all(&registry).await.into_iter().for_each(Result::unwrap);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_cannot_be_rolled_back_in_time_does_not_go_back_to_the_pool() {
    let (registry, _proxy) = behind_a_proxy(Part::ControlPlane).await;
    let mut given_up = registry.begin().await.unwrap();
    // It runs for longer than the rolling back waits.
    let sleep = sqlx::query("SELECT pg_sleep($1)").bind((2 * LIMIT).as_secs_f64()).execute(&mut *given_up);
    timeout(LIMIT / 6, sleep).await.unwrap_err();
    drop(given_up);
    tokio::time::sleep(3 * LIMIT).await;
    let after = registry.now().await.unwrap();
    let mut transactions = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut begun = registry.begin().await.unwrap();
        let at = sqlx::query_scalar::<_, chrono::DateTime<chrono::Utc>>("SELECT now()");
        let at = at.fetch_one(&mut *begun).await.unwrap();
        assert!(at >= after, "it goes on with what was given up: {at} is before {after}");
        transactions.push(begun);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_whose_connection_hangs_is_begun_anew_and_says_so() {
    let (registry, proxy) = behind_a_proxy(Part::ControlPlane).await;
    let (mut routes, mut operations) = (registry.route_feed(), registry.operation_feed());
    assert_eq!(routes.next().await, Some(Change::Reconnected));
    assert_eq!(operations.next().await, Some(OperationNews::Reconnected));
    proxy.silence();
    let limit = Duration::from_secs(10);
    assert_eq!(timeout(limit, routes.next()).await, Ok(Some(Change::Reconnected)));
    assert_eq!(timeout(limit, operations.next()).await, Ok(Some(OperationNews::Reconnected)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_feed_goes_on_hearing() {
    let (registry, _proxy) = behind_a_proxy(Part::ControlPlane).await;
    let mut routes = registry.route_feed();
    assert_eq!(routes.next().await, Some(Change::Reconnected));
    // Long enough for it to have asked for a sign of life.
    timeout(3 * LIMIT, routes.next()).await.unwrap_err();
    let plan = Plan::built_in().into_iter().next().unwrap();
    registry.plan_create(&plan, SystemClock.now()).await.unwrap();
    let change = |mut plan: Plan, _| {
        plan.retention_days = plan.retention_days.wrapping_add(1);
        Ok::<_, tenantry_registry::RegistryError>(plan)
    };
    registry.plan_change(&plan.name, SystemClock.now(), change).await.unwrap();
    let heard = timeout(Duration::from_secs(10), routes.next()).await.unwrap();
    assert_eq!(heard, Some(Change::Plan(plan.name)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_answers_in_time_while_its_connections_hang_and_then_as_before() {
    let proxy = Proxy::before(server::shared().await).await;
    // Time enough for a dozen log-ins on a machine that is busy with other tests.
    let limit = Duration::from_secs(2);
    let app = TestApp::build()
        .without_daily_quotas()
        .without_worker()
        .with_control_plane_registry_proxy(proxy.address)
        .with_registry_timeout(limit)
        .start()
        .await;
    let get = async || app.api.get("/api/v1/tenants").await.status.as_u16();
    assert_eq!(join_all((0..12).map(async |_| get().await)).await, [200; 12]);
    proxy.silence();
    let silenced = Instant::now();
    for status in join_all((0..12).map(async |_| get().await)).await {
        assert!([200, 503].contains(&status), "{status}");
    }
    assert!(silenced.elapsed() < 4 * limit, "{:?}", silenced.elapsed());
    assert_eq!(join_all((0..12).map(async |_| get().await)).await, [200; 12]);
}
