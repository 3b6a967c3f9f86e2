//! Events: what happened, told to webhooks.

use std::{fmt, str::FromStr};

use chrono::{DateTime, SecondsFormat, Utc};
use rand::Rng;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use crate::{
    Invalid,
    envelope::{Key, Unsealable},
    ids::{EventId, TenantId},
    purpose::Purpose,
};

/// What happened: a subject and a verb in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventType {
    /// A tenant signed up; it is not served yet.
    TenantCreated,
    /// It is served for the first time.
    TenantActivated,
    /// It cannot be made, or its making was abandoned.
    TenantFailed,
    /// It is no longer served; its data is kept.
    TenantSuspended,
    /// It is served again.
    TenantResumed,
    /// It is deleted, and can be restored until it is purged.
    TenantDeleted,
    /// Its deletion was taken back.
    TenantRestored,
    /// Its data is dropped.
    TenantPurged,
    /// It is served at another placement.
    TenantMoved,
    /// It has another plan.
    TenantPlanChanged,
    /// It has reached a limit of its plan.
    TenantLimitReached,
    /// A user was invited; has a one-time token.
    UserInvited,
    /// A user was registered.
    UserRegistered,
    /// A user was changed by somebody who looks after users.
    UserUpdated,
    /// A user was deleted.
    UserDeleted,
    /// A user asked to set another password; has a one-time token.
    UserPasswordResetRequested,
    /// A user has another password.
    UserPasswordChanged,
    /// A user asked for another e-mail address; has a one-time token.
    UserEmailChangeRequested,
    /// A user has another e-mail address.
    UserEmailChanged,
    /// Too many wrong passwords: nobody is let in as that user for a while.
    UserLockedOut,
    /// A key was replaced.
    KeyRotated,
    /// An operation failed, and was undone or abandoned.
    OperationFailed,
    /// An operation can go on only with a person's help.
    OperationStuck,
    /// A server was registered.
    ServerAdded,
    /// A server was removed.
    ServerRemoved,
    /// Workers no longer reach a server.
    ServerDisconnected,
    /// Workers reach a server again.
    ServerReconnected,
    /// A version of an app begins to be carried to all tenants.
    RolloutStarted,
    /// A rollout stopped by itself: too many tenants failed.
    RolloutHalted,
    /// Every tenant has a rollout's version.
    RolloutSucceeded,
    /// Every tenant has its former version again.
    RolloutRolledBack,
    /// Somebody ended a rollout where it was.
    RolloutAborted,
    /// Somebody tries a webhook.
    WebhookTest,
}

crate::names_of! { EventType {
    TenantCreated = "tenant.created", TenantActivated = "tenant.activated", TenantFailed = "tenant.failed",
    TenantSuspended = "tenant.suspended", TenantResumed = "tenant.resumed", TenantDeleted = "tenant.deleted",
    TenantRestored = "tenant.restored", TenantPurged = "tenant.purged", TenantMoved = "tenant.moved",
    TenantPlanChanged = "tenant.plan_changed", TenantLimitReached = "tenant.limit_reached",
    UserInvited = "user.invited", UserRegistered = "user.registered", UserUpdated = "user.updated",
    UserDeleted = "user.deleted", UserPasswordResetRequested = "user.password_reset_requested",
    UserPasswordChanged = "user.password_changed", UserEmailChangeRequested = "user.email_change_requested",
    UserEmailChanged = "user.email_changed", UserLockedOut = "user.locked_out", KeyRotated = "key.rotated",
    OperationFailed = "operation.failed", OperationStuck = "operation.stuck", ServerAdded = "server.added",
    ServerRemoved = "server.removed", ServerDisconnected = "server.disconnected",
    ServerReconnected = "server.reconnected", RolloutStarted = "rollout.started", RolloutHalted = "rollout.halted", RolloutSucceeded = "rollout.succeeded",
    RolloutRolledBack = "rollout.rolled_back", RolloutAborted = "rollout.aborted", WebhookTest = "webhook.test",
} }

impl EventType {
    /// What it happened to: `tenant` of `tenant.created`.
    pub fn subject(self) -> &'static str {
        self.as_str().split('.').next().unwrap_or_default()
    }
}

/// Which events a webhook asks for: `*`, `tenant.*` or `tenant.created`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TypePattern {
    /// All.
    All,
    /// All of a subject.
    Of(&'static str),
    /// One type, with one-time tokens where it has any.
    One(EventType),
}

impl fmt::Display for TypePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Of(subject) => write!(f, "{subject}.*"),
            Self::One(kind) => f.write_str(kind.as_str()),
        }
    }
}

impl FromStr for TypePattern {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "*" {
            return Ok(Self::All);
        }
        if let Some(subject) = text.strip_suffix(".*") {
            let known = EventType::ALL.iter().map(|kind| kind.subject()).find(|known| *known == subject);
            return known.map(Self::Of).ok_or_else(|| {
                Invalid::because("must be one of tenant.*, user.*, key.*, operation.*, rollout.*, server.*")
            });
        }
        text.parse().map(Self::One).map_err(|error: Invalid| {
            Invalid::because(format!(
                "must be `*`, a subject with `.*` such as `tenant.*`, or a type: it {error}"
            ))
        })
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id: the same at every endpoint and in every attempt.
    pub id: EventId,
    /// What happened.
    pub kind: EventType,
    /// The tenant that it is about.
    pub tenant_id: Option<TenantId>,
    /// When.
    pub at: DateTime<Utc>,
    /// What else is to be known.
    pub data: Map<String, Value>,
}

impl Event {
    /// What is sent, as Standard Webhooks recommends; with members of `data` that few may see.
    pub fn body(&self, secret: Map<String, Value>) -> Value {
        let mut data = self.data.clone();
        data.extend(secret);
        json!({
            "type": self.kind.as_str(),
            "timestamp": self.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            "data": data,
        })
    }
}

/// An event to tell, besides those that the registry tells by itself.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its id. Told again with the same one, it is told once.
    pub id: EventId,
    /// What happened.
    pub kind: EventType,
    /// To which tenant, or to whose user.
    pub tenant: TenantId,
    /// What else is to be known; no secret. The tenant's id, slug and name are added.
    pub data: Map<String, Value>,
    /// Members of `data` that are secret.
    pub secret: Option<SealedMembers>,
}

/// One-time tokens of an event, as they are kept until they are delivered: only to endpoints that ask for the event's type by
/// name, and at most until they expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedMembers {
    /// Sealed with the key-encryption key.
    pub sealed: Vec<u8>,
    /// When nobody can do anything with them any more.
    pub expires_at: DateTime<Utc>,
}

impl SealedMembers {
    /// Seals members of an event's `data`.
    pub fn seal(
        kek: &Key,
        event: EventId,
        members: &Map<String, Value>,
        expires_at: DateTime<Utc>,
        rng: &mut impl Rng,
    ) -> Self {
        let text = Value::Object(members.clone()).to_string();
        let sealed = kek.seal(&Purpose::EventSecret(event).to_string(), text.as_bytes(), rng);
        Self { sealed, expires_at }
    }

    /// The members.
    ///
    /// # Errors
    /// They were sealed for another event, or with another key.
    pub fn open(&self, kek: &Key, event: EventId) -> Result<Map<String, Value>, Unsealable> {
        let text = kek.open(&Purpose::EventSecret(event).to_string(), &self.sealed)?;
        serde_json::from_slice(text.expose_secret()).map_err(|_| Unsealable)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_pattern_is_all_a_subject_or_a_type() {
        for text in ["*", "tenant.*", "operation.*", "tenant.created", "user.password_reset_requested"] {
            assert_eq!(text.parse::<TypePattern>().unwrap().to_string(), text);
        }
        for text in
            ["", "**", "tenant", "tenant.", "tenants.*", ".*", "tenant.create", "*.created", "TENANT.*"]
        {
            assert!(text.parse::<TypePattern>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_type_is_a_subject_and_a_verb() {
        for kind in EventType::ALL {
            let (subject, verb) = kind.as_str().split_once('.').unwrap();
            assert_eq!(subject, kind.subject());
            assert!(!verb.is_empty() && !verb.contains('.'), "{kind}");
        }
    }

    #[test]
    fn what_is_secret_of_an_event_opens_for_that_event_only() {
        let (mut rng, [event, other]) = (rand::rng(), [1, 2].map(|n| EventId::from_uuid(Uuid::from_u128(n))));
        let kek = Key::generate(&mut rng);
        let members = json!({ "token": "abc" }).as_object().unwrap().clone();
        let sealed = SealedMembers::seal(&kek, event, &members, DateTime::UNIX_EPOCH, &mut rng);
        assert_eq!(sealed.open(&kek, event), Ok(members));
        assert_eq!(sealed.open(&kek, other), Err(Unsealable));
        assert_eq!(sealed.open(&Key::generate(&mut rng), event), Err(Unsealable));
    }
}
