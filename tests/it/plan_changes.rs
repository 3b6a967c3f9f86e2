//! A change that concerns many tenants: what it costs the registry, and who sees it when.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tenantry_data_plane::{CachedRoute, RouteName};
use tenantry_domain::{ids::TenantId, tenant::TenantPhase};
use tenantry_tests::TestApp;
use uuid::Uuid;

const TENANTS: i32 = 2_000;

/// A Tenantry whose data plane hears of changes and trusts what it read until then.
async fn start() -> TestApp {
    let app = TestApp::build()
        .without_daily_quotas()
        .without_worker()
        .data_plane(|settings| settings.route_ttl = Duration::from_hours(1))
        .start()
        .await;
    // From here on the change feed is connected: a connection is a reason to read everything again.
    app.routes_caught_up().await;
    app
}

/// Active tenants of plan `basic`, made behind the API.
async fn tenants(app: &TestApp, count: i32) -> Vec<TenantId> {
    let statement = "INSERT INTO tenants (id, slug, name, status, plan, app, features, limits, settings, data_key,
            created_at, updated_at)
        SELECT gen_random_uuid(), 't' || number, 'T', 'active', 'basic', 'crm', '{}', '{}', '{}', '', now(), now()
        FROM generate_series(1, $1) AS number RETURNING id";
    let ids: Vec<Uuid> = sqlx::query_scalar(statement).bind(count).fetch_all(app.owner()).await.unwrap();
    ids.into_iter().map(TenantId::from_uuid).collect()
}

/// All of them are used at the same moment.
async fn use_all(app: &TestApp, tenants: &[TenantId]) -> Vec<CachedRoute> {
    let routes = app.data_plane.routes();
    let found = join_all(tenants.iter().map(|id| routes.get(RouteName::Id(*id)))).await;
    found.into_iter().map(|route| route.unwrap().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_plan_reads_nothing_until_its_tenants_are_used_and_then_many_at_a_time() {
    let app = start().await;
    let tenants = tenants(&app, TENANTS).await;
    let few = u64::from(TENANTS.unsigned_abs()) / 20;
    let routes = app.data_plane.routes();
    let reads = || routes.registry_reads();
    for round in 0..3 {
        let before = reads();
        use_all(&app, &tenants).await;
        assert!(reads() - before <= few, "{} reads for {TENANTS} tenants", reads() - before);
        assert!(routes.len() >= tenants.len());
        let before = reads();
        use_all(&app, &tenants).await;
        assert_eq!(reads(), before, "what is known is not read again");

        let feature = format!("f{round}");
        app.api.patch("/api/v1/plans/basic", json!({ "features": { &feature: true } })).await.expect(200);
        app.routes_caught_up().await;
        assert_eq!(reads(), before, "a change alone reads nothing");
        // Those that are used are read again, and no other.
        for tenant in &tenants[..2] {
            let route = routes.get(RouteName::Id(*tenant)).await.unwrap().unwrap();
            assert!(route.has_feature(&feature));
        }
        assert_eq!(reads() - before, 2);
        for route in use_all(&app, &tenants).await {
            assert!(route.has_feature(&feature), "an outdated route was used");
        }
        assert!(reads() - before <= few, "{} reads for {TENANTS} tenants", reads() - before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_suspended_while_its_plan_changes_is_not_served_as_it_was() {
    let app = start().await;
    let tenants = tenants(&app, 300).await;
    use_all(&app, &tenants).await;
    for (status, phase) in [("suspended", TenantPhase::Suspended), ("active", TenantPhase::Active)].repeat(3)
    {
        let suspend = sqlx::query("UPDATE tenants SET status = $1").bind(status).execute(app.owner());
        let change = app.api.patch("/api/v1/plans/basic", json!({ "retentionDays": 7 }));
        // Traffic goes on meanwhile.
        let (suspended, changed, _) = tokio::join!(suspend, change, use_all(&app, &tenants));
        suspended.unwrap();
        changed.expect(200);
        app.routes_caught_up().await;
        for route in use_all(&app, &tenants).await {
            assert_eq!(route.phase, phase);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_route_that_cannot_be_read_does_not_keep_the_others() {
    let app = start().await;
    let tenants = tenants(&app, 100).await;
    sqlx::query("UPDATE tenants SET limits = '5' WHERE id = $1")
        .bind(tenants[50].as_uuid())
        .execute(app.owner())
        .await
        .unwrap();
    app.routes_caught_up().await;
    let routes = app.data_plane.routes();
    let found = join_all(tenants.iter().map(|id| routes.get(RouteName::Id(*id)))).await;
    for (id, route) in tenants.iter().zip(found) {
        assert_eq!(route.is_ok(), *id != tenants[50], "{id}");
    }
}
