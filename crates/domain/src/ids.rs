//! Every id of the system, made in one place: a newtype over UUIDv7 per entity, so that no
//! signature takes one kind of id for another.

use chrono::{DateTime, Utc};
use rand::Rng;
use uuid::Uuid;

use crate::Invalid;

/// A UUIDv7 from a time and a source of randomness (both given, so that tests can fix them).
pub fn uuid_v7(now: DateTime<Utc>, rng: &mut impl Rng) -> Uuid {
    let mut random = [0u8; 10];
    rng.fill_bytes(&mut random);
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

macro_rules! typed_ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, sorted by time of creation.
            pub fn generate(now: DateTime<Utc>, rng: &mut impl Rng) -> Self {
                Self(uuid_v7(now, rng))
            }

            /// An id that was stored.
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The bare value, for storage.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                Uuid::try_parse(text).map(Self).map_err(|_| Invalid::because("must be a UUID"))
            }
        }
    )*};
}

typed_ids! {
    /// One customer organisation.
    TenantId,
    /// One durable piece of work on a subject.
    OperationId,
    /// One PostgreSQL server that holds tenants.
    ServerId,
    /// One app version on its way to many tenants.
    RolloutId,
    /// One question to the workers.
    InquiryId,
    /// Samples of usage that a data plane appends together.
    UsageBatchId,
    /// Something that happened, told to webhooks.
    EventId,
    /// A row of the audit log.
    AuditId,
    /// An endpoint that is told of events.
    WebhookId,
    /// One API key of an operator, a SaaS back end or a tenant.
    ApiKeyId,
    /// One log-in of a user, with all tokens that came of it.
    SessionId,
}
