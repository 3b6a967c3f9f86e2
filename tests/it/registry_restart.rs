//! A restart of the registry's server: requests after it do not meet the connections from before.

use futures::future::join_all;
use secrecy::ExposeSecret;
use tenantry_cli::{
    compose::{self, Patience, Process, RegistryConfig, control_plane::ControlPlaneConfig},
    embedded::database_url,
};
use tenantry_domain::{SystemClock, api_key::NewKey, envelope::Key};
use tenantry_postgres::embedded::Durability;
use tenantry_registry::{ConnectSettings, Registry};
use tenantry_tests::{Api, server};
use tokio_util::sync::CancellationToken;

#[tokio::test(flavor = "multi_thread")]
async fn no_request_after_a_restart_of_the_registry_meets_a_dead_connection() {
    let mut postgres = server::start(Durability::Volatile).await.unwrap();
    let url = database_url(&postgres, "registry");
    Registry::create_database(url.expose_secret()).await.unwrap();
    Registry::migrate(url.expose_secret()).await.unwrap();
    let process = Process::new(SystemClock::shared(), Patience::Once).unwrap();
    let key = NewKey::operator(&mut rand::rng()).key;
    let config = ControlPlaneConfig {
        registry: RegistryConfig { url, connect: ConnectSettings::default() },
        kek: Key::generate(&mut rand::rng()),
        addr: ([127, 0, 0, 1], 0).into(),
        api_key: Some(key.clone()),
        apps: Vec::new(),
        tenant_server: None,
        settings: tenantry_control_plane::Settings::default(),
        resolver: None,
    };
    let stop = CancellationToken::new();
    let plane = Box::pin(compose::control_plane::start(&process, config, stop.clone())).await.unwrap();
    let api = Api::new(plane.address).with_key(key);
    let get_twelve =
        async || join_all((0..12).map(async |_| api.get("/api/v1/tenants").await.status.as_u16())).await;
    assert_eq!(get_twelve().await, [200; 12]);
    for _ in 0..2 {
        postgres.restart().await.unwrap();
        assert_eq!(get_twelve().await, [200; 12]);
    }
    stop.cancel();
    plane.task.await.unwrap().unwrap();
    postgres.stop().await.unwrap();
}
