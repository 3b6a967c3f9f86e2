//! What is told of users to the tenant's webhooks.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tenantry_domain::event::EventType;

use crate::{events::object, routes::CachedRoute, state::Plane};

/// A user as events show him.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ToldUser {
    id: i64,
    username: String,
    email: String,
}

/// SQL of it, from a row of users.
macro_rules! told_user {
    () => {
        "json_build_object('id', id, 'username', username, 'email', email)"
    };
}
pub(super) use told_user;

impl ToldUser {
    pub(super) fn new(id: i64, username: &str, email: &str) -> Self {
        Self { id, username: username.to_owned(), email: email.to_owned() }
    }

    pub(super) fn id(&self) -> i64 {
        self.id
    }

    pub(super) fn data(&self) -> Map<String, Value> {
        object(json!({ "user": { "id": self.id, "username": self.username, "email": self.email } }))
    }
}

/// Tells that something happened to a user.
pub(super) fn tell(plane: &Plane, route: &CachedRoute, kind: EventType, user: &ToldUser) {
    plane.events.tell(route.tenant_id, kind, user.data(), plane.clock.now());
}
