//! Orders of servers, for tests of providers.

use std::time::Duration;

use serde_json::Value;
use tenantry_domain::{
    Clock, SystemClock,
    ids::{OperationId, ServerId},
    server_template::ServerTemplate,
};
use tenantry_worker::providers::{Look, Order, Provider};

use crate::{TestApp, within::within};

/// An order that no operation has made.
pub fn new_order() -> Order {
    let id = ServerId::generate(SystemClock.now(), &mut rand::rng());
    let operation = OperationId::generate(SystemClock.now(), &mut rand::rng());
    Order { id, label: "acme".into(), operation, template: ServerTemplate::default() }
}

/// Waits until a server can be used.
pub async fn until_ready(provider: &dyn Provider, id: ServerId) {
    within(Duration::from_mins(1), "the server is ready", async || {
        matches!(provider.look(id).await.expect("the API answers"), Look::Ready(_))
    })
    .await;
}

impl TestApp {
    /// The server that a tenant is on, as the API shows it.
    ///
    /// # Panics
    /// It is on none.
    pub async fn server_of(&self, slug: &str) -> Value {
        let tenant = self.api.get(&format!("/api/v1/tenants/{slug}")).await.expect(200).json();
        let name = tenant["placement"]["server"].as_str().expect("a server").to_owned();
        self.api.get(&format!("/api/v1/servers/{name}")).await.expect(200).json()
    }
}
