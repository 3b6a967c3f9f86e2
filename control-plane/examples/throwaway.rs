//! x
use std::sync::Arc;
use tenantry_control_plane::*;
use tenantry_domain::*;
use tenantry_registry::*;
#[tokio::main]
async fn main() {
    let url = "postgres://tenantry@127.0.0.1:54329/registry_cp";
    Registry::migrate(url).await.unwrap();
    let registry = Registry::connect_lazy(url, Part::ControlPlane, 10).unwrap();
    let kek = envelope::Key::from_base64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    let signup = SignupSettings {
        per_minute: 2.try_into().unwrap(),
        plan: plan::PlanName::parse("basic").unwrap(),
        app: None,
    };
    let cp = ControlPlane::new(
        registry,
        kek,
        SystemClock::shared(),
        Settings { signup: Some(signup), ..Settings::default() },
    );
    cp.install_bootstrap_key(&"tnt_boot".into()).await.unwrap();
    cp.install_bootstrap_key(&"tnt_boot".into()).await.unwrap();
    cp.install_built_in_plans().await.unwrap();
    let l = tokio::net::TcpListener::bind("127.0.0.1:18999").await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let s2 = stop.clone();
    tokio::spawn(async move {
        tokio::signal::ctrl_c().await.unwrap();
        s2.cancel();
    });
    let _ = Arc::new(());
    cp.serve(l, stop).await.unwrap();
}
