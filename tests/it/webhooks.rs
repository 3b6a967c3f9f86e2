//! Events as webhooks: receivers that take them, and receivers that do not.

mod addresses;
mod order;
pub(crate) mod receiver;
mod signatures;
mod telling;
mod tokens;
mod workers;

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tenantry_domain::{
    Clock, SystemClock,
    event::{EventType, NewEvent},
    ids::{EventId, TenantId},
};
use tenantry_registry::{Part, Registry};
use tenantry_tests::{TestApp, within::within};

use receiver::{Received, Receiver, Reply};

/// A webhook that is told of these types; its id and its secret.
async fn webhook(app: &TestApp, receiver: &Receiver, types: &[&str]) -> (String, String) {
    let body = json!({ "url": receiver.url(), "types": types });
    let made = app.api.post("/api/v1/webhooks", body).await.expect(201).json();
    (made["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
}

/// A tenant that is not made yet, as no worker is needed for.
async fn tenant(app: &TestApp, name: &str) -> TenantId {
    let body = json!({ "name": name, "slug": app.slug(name), "plan": "basic", "app": "crm" });
    let begun = app.api.post("/api/v1/tenants", body).await.expect(202).json();
    begun["tenant"]["id"].as_str().unwrap().parse().unwrap()
}

/// The registry as a data plane sees it.
fn as_data_plane(app: &TestApp) -> Registry {
    Registry::connect_lazy(app.registry_url().expose_secret(), Part::DataPlane, 2).unwrap()
}

fn event(tenant: TenantId, kind: EventType, data: &Value) -> NewEvent {
    let id = EventId::generate(SystemClock.now(), &mut rand::rng());
    NewEvent { id, kind, tenant, data: data.as_object().unwrap().clone(), secret: None }
}

/// Tells of so many registrations of users of a tenant, numbered from 1.
async fn tell(app: &TestApp, tenant: TenantId, count: u64) {
    let registry = as_data_plane(app);
    for number in 1..=count {
        let event = event(tenant, EventType::UserRegistered, &json!({ "number": number }));
        registry.events_append(&[event]).await.unwrap();
    }
    registry.close().await;
}

/// The numbers of the registrations that came, of a tenant.
fn numbers(requests: &[Received], tenant: &str) -> Vec<u64> {
    let of_tenant = requests.iter().filter(|request| request.tenant() == tenant);
    of_tenant.filter_map(|request| request.event()["data"]["number"].as_u64()).collect()
}

async fn deliveries(app: &TestApp, webhook: &str, state: &str) -> Vec<Value> {
    let path = format!("/api/v1/webhooks/{webhook}/deliveries?state={state}&limit=200");
    app.api.get(&path).await.expect(200).json()["items"].as_array().unwrap().clone()
}

/// Waits until a webhook has so many deliveries in a state; they.
async fn has_deliveries(app: &TestApp, webhook: &str, state: &str, count: usize) -> Vec<Value> {
    let so_many = async || deliveries(app, webhook, state).await.len() == count;
    within(Duration::from_mins(1), &format!("{count} deliveries are {state}"), so_many).await;
    deliveries(app, webhook, state).await
}

/// Looks for what is due so often that a test need not wait for it.
fn eager(settings: &mut tenantry_worker::Settings) {
    settings.webhooks.poll_interval = Duration::from_millis(50);
}
