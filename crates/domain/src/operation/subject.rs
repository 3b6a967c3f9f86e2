//! What an operation works on.

use crate::ids::{RolloutId, ServerId, TenantId};

/// The kind of a [`Subject`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A tenant.
    Tenant,
    /// A server.
    Server,
    /// A rollout.
    Rollout,
}

crate::names_of! { SubjectKind { Tenant = "tenant", Server = "server", Rollout = "rollout" } }

/// What an operation works on. At most one unfinished operation works on it at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A tenant.
    Tenant(TenantId),
    /// A server.
    Server(ServerId),
    /// A rollout.
    Rollout(RolloutId),
}

impl Subject {
    /// A subject that was stored.
    pub const fn from_stored(kind: SubjectKind, id: uuid::Uuid) -> Self {
        match kind {
            SubjectKind::Tenant => Self::Tenant(TenantId::from_uuid(id)),
            SubjectKind::Server => Self::Server(ServerId::from_uuid(id)),
            SubjectKind::Rollout => Self::Rollout(RolloutId::from_uuid(id)),
        }
    }

    /// Its kind.
    pub const fn kind(self) -> SubjectKind {
        match self {
            Self::Tenant(_) => SubjectKind::Tenant,
            Self::Server(_) => SubjectKind::Server,
            Self::Rollout(_) => SubjectKind::Rollout,
        }
    }

    /// The bare id, for storage.
    pub const fn as_uuid(self) -> uuid::Uuid {
        match self {
            Self::Tenant(id) => id.as_uuid(),
            Self::Server(id) => id.as_uuid(),
            Self::Rollout(id) => id.as_uuid(),
        }
    }

    /// The tenant, if it is one.
    pub const fn tenant(self) -> Option<TenantId> {
        if let Self::Tenant(id) = self { Some(id) } else { None }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind(), self.as_uuid())
    }
}
