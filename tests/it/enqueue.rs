//! The control plane's transaction: tenant, operation and job, or none of them.

use secrecy::ExposeSecret;
use tenantry_domain::{
    Clock, Slug, SystemClock,
    ids::{OperationId, TenantId},
    plan::{Features, LimitOverrides, PlanName},
    tenant::{DisplayName, Tenant, TenantStatus},
};
use tenantry_registry::{NewTenant, Part, Registry};
use tenantry_tests::TestApp;

fn new_tenant(slug: &str) -> NewTenant {
    let (now, rng) = (SystemClock.now(), &mut rand::rng());
    NewTenant {
        admin: None,
        tenant: Tenant {
            id: TenantId::generate(now, rng),
            slug: Slug::parse(slug).unwrap(),
            subdomain: None,
            name: DisplayName::parse("Acme").unwrap(),
            status: TenantStatus::Provisioning,
            plan: PlanName::parse("basic").unwrap(),
            app: "crm".parse().unwrap(),
            features: Features::new(),
            limits: LimitOverrides::default(),
            settings: serde_json::Map::new(),
            created_at: now,
            updated_at: now,
        },
        wrapped_data_key: vec![0; 60],
        domain: None,
        operation_id: OperationId::generate(now, rng),
    }
}

async fn assert_counts(app: &TestApp, expected: i64) {
    assert_eq!(app.count("SELECT count(*) FROM tenants").await, expected, "tenants");
    assert_eq!(app.count("SELECT count(*) FROM tenant_labels").await, expected, "labels");
    assert_eq!(app.count("SELECT count(*) FROM operations").await, expected, "operations");
    assert_eq!(app.count("SELECT count(*) FROM operation_events").await, expected, "events");
    assert_eq!(app.count("SELECT count(*) FROM apalis.jobs").await, expected, "jobs");
}

#[tokio::test]
async fn a_rolled_back_sign_up_leaves_neither_tenant_nor_job_and_a_committed_one_leaves_both() {
    let app = TestApp::build().without_worker().start().await;
    let url = app.registry_url().expose_secret();
    let registry = Registry::connect_lazy(url, Part::ControlPlane, 2).unwrap();
    let new = new_tenant(&app.slug("acme"));

    let mut tx = registry.begin().await.unwrap();
    Registry::tenant_create_in_tx(&mut tx, &new).await.unwrap();
    tx.rollback().await.unwrap();
    assert_counts(&app, 0).await;

    let mut tx = registry.begin().await.unwrap();
    Registry::tenant_create_in_tx(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    assert_counts(&app, 1).await;
}

#[tokio::test]
async fn a_sign_up_whose_connection_is_lost_before_the_commit_leaves_nothing() {
    let app = TestApp::build().without_worker().start().await;
    let address = format!("127.0.0.1:{}", app.server().port()).parse().unwrap();
    let proxy = tenantry_tests::proxy::Proxy::start(address).await;
    let url = app.registry_url().expose_secret().replace(&address.to_string(), &proxy.address.to_string());
    let registry = Registry::connect_lazy(&url, Part::ControlPlane, 2).unwrap();

    let mut tx = registry.begin().await.unwrap();
    Registry::tenant_create_in_tx(&mut tx, &new_tenant(&app.slug("acme"))).await.unwrap();
    proxy.cut();
    tx.commit().await.unwrap_err();
    assert_counts(&app, 0).await;
}
