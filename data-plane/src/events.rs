//! Events of tenants and their users: told to the registry, which tells webhooks. Nobody waits for it; while the registry is
//! away they are kept, as many as there is room for.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tenantry_domain::{
    envelope,
    event::{EventType, NewEvent, SealedMembers},
    ids::{EventId, TenantId},
};
use tenantry_registry::Registry;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

/// Events that wait.
const ROOM: usize = 10_000;
/// Of one statement.
const BATCH: usize = 100;
/// How often the registry is told again what it could not be told.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// At the end, the registry may be gone already.
const LAST_TELLING: Duration = Duration::from_secs(3);

/// Takes events. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Events {
    sender: mpsc::Sender<NewEvent>,
    waiting: Arc<Mutex<Waiting>>,
    kek: Arc<envelope::Key>,
}

struct Waiting {
    receiver: mpsc::Receiver<NewEvent>,
    /// Taken, and not known to be in the registry.
    untold: Vec<NewEvent>,
}

impl Events {
    /// `kek` seals one-time tokens.
    pub(crate) fn new(kek: envelope::Key) -> Self {
        let (sender, receiver) = mpsc::channel(ROOM);
        let waiting = Waiting { receiver, untold: Vec::new() };
        Self { sender, waiting: Arc::new(Mutex::new(waiting)), kek: Arc::new(kek) }
    }

    /// Something happened to a tenant or one of its users.
    pub(crate) fn tell(
        &self,
        tenant: TenantId,
        kind: EventType,
        data: Map<String, Value>,
        now: DateTime<Utc>,
    ) {
        let id = EventId::generate(now, &mut rand::rng());
        self.send(NewEvent { id, kind, tenant, data, secret: None });
    }

    /// The same, with members of `data` that are secret.
    pub(crate) fn tell_secret(
        &self,
        tenant: TenantId,
        kind: EventType,
        data: Map<String, Value>,
        secret: &Map<String, Value>,
        (now, expires_at): (DateTime<Utc>, DateTime<Utc>),
    ) {
        let mut rng = rand::rng();
        let id = EventId::generate(now, &mut rng);
        let secret = SealedMembers::seal(&self.kek, id, secret, expires_at, &mut rng);
        self.send(NewEvent { id, kind, tenant, data, secret: Some(secret) });
    }

    /// A tenant has reached a limit; told once a day, whoever finds it.
    pub(crate) fn limit_reached(&self, tenant: TenantId, limit: &str, day: NaiveDate) {
        let hash = Sha256::digest(format!("{tenant} {limit} {day}"));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        let id = EventId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid());
        let data = object(json!({ "limit": limit }));
        self.send(NewEvent { id, kind: EventType::TenantLimitReached, tenant, data, secret: None });
    }

    fn send(&self, event: NewEvent) {
        if let Err(error) = self.sender.try_send(event) {
            let event = error.into_inner();
            metrics::counter!("tenantry_events_lost_total").increment(1);
            tracing::error!(tenant.id = %event.tenant, event = %event.kind, "an event is lost: too many wait for the registry");
        }
    }

    /// Tells the registry until told to stop.
    pub(crate) async fn report(self, registry: Registry, stop: CancellationToken) {
        let mut waiting = self.waiting.lock().await;
        let Waiting { receiver, untold } = &mut *waiting;
        while stop.run_until_cancelled(receiver.recv_many(untold, BATCH)).await.is_some() {
            while let Err(error) = registry.events_append(untold).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "events wait for the registry: {error}"
                );
                if stop.run_until_cancelled(tokio::time::sleep(TELL_AGAIN_AFTER)).await.is_none() {
                    return;
                }
            }
            untold.clear();
        }
    }

    /// What is left, after the last request.
    pub(crate) async fn report_last(&self, registry: &Registry) {
        let told = async {
            let mut waiting = self.waiting.lock().await;
            let Waiting { receiver, untold } = &mut *waiting;
            while let Ok(event) = receiver.try_recv() {
                untold.push(event);
            }
            if !untold.is_empty() && registry.events_append(untold).await.is_ok() {
                untold.clear();
            }
        };
        let _ = tokio::time::timeout(LAST_TELLING, told).await;
    }
}

/// The members of an object.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
