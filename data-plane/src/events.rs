//! Events of tenants and their users: told to the registry, which tells webhooks.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tenantry_domain::{
    envelope,
    event::{EventType, NewEvent, SealedMembers},
    ids::{EventId, TenantId},
};

use crate::outbox::Outbox;

/// Takes events. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Events {
    pub(crate) outbox: Outbox<NewEvent>,
    kek: Arc<envelope::Key>,
}

impl Events {
    /// `kek` seals one-time tokens.
    pub(crate) fn new(kek: envelope::Key) -> Self {
        Self { outbox: Outbox::new(), kek: Arc::new(kek) }
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
        self.outbox.put(NewEvent { id, kind, tenant, data, secret: None });
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
        self.outbox.put(NewEvent { id, kind, tenant, data, secret: Some(secret) });
    }

    /// A tenant has reached a limit; told once a day, whoever finds it.
    pub(crate) fn limit_reached(&self, tenant: TenantId, limit: &str, day: NaiveDate) {
        let hash = Sha256::digest(format!("{tenant} {limit} {day}"));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        let id = EventId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid());
        let data = object(json!({ "limit": limit }));
        self.outbox.put(NewEvent { id, kind: EventType::TenantLimitReached, tenant, data, secret: None });
    }
}

/// The members of an object.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
