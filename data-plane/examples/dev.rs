//! throw-away
use tenantry_data_plane::*;
use tenantry_domain::{SystemClock, envelope};
use tenantry_registry::{Part, Registry};
#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().with_env_filter(std::env::args().nth(2).unwrap_or("info".into())).init();
    let url = std::env::args().nth(3).unwrap_or("postgres://tenantry@127.0.0.1:54329/registry_dp".into());
    let kek = envelope::Key::from_base64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    if std::env::args().nth(1).as_deref() == Some("setup") {
        Registry::migrate(&url).await.unwrap();
        struct Zero;
        let sealed =
            kek.seal("server:00000000-0000-0000-0000-0000000000aa:login:dp_login_1", b"pw", &mut rand::rng());
        let hex: String = sealed.iter().map(|b| format!("{b:02x}")).collect();
        println!("{hex}");
        let _ = Zero;
        return;
    }
    let registry = Registry::connect_lazy(&url, Part::DataPlane, 5).unwrap();
    let mut settings = Settings::default();
    if let Some(t) = std::env::args().nth(5) {
        settings.single_tenant = Some(tenantry_domain::Slug::parse(&t).unwrap());
    }
    let plane = DataPlane::new(registry, kek, SystemClock::shared(), settings);
    let port: u16 = std::env::args().nth(4).map_or(18081, |p| p.parse().unwrap());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let s = stop.clone();
    tokio::spawn(async move {
        tokio::signal::ctrl_c().await.unwrap();
        s.cancel()
    });
    plane.serve(listener, stop).await.unwrap();
}
