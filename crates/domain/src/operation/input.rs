//! What each kind of operation is given.

use serde::{Deserialize, Serialize};

use super::OperationKind;
use crate::{
    ids::ServerId,
    plan::{PlanName, Tier},
    server::Provider,
    server_class::ServerClassName,
    tenant::TenantStatus,
    user::FirstOwner,
};

/// What an operation was asked to do. `was` is the tenant's status when it was asked for: what undoing
/// goes back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OperationInput {
    /// See [`OperationKind::Provision`].
    Provision {
        /// Who is invited to be its first user.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        admin: Option<Box<FirstOwner>>,
    },
    /// See [`OperationKind::Suspend`].
    Suspend {
        /// See [`OperationInput`].
        was: TenantStatus,
    },
    /// See [`OperationKind::Resume`].
    Resume {
        /// See [`OperationInput`].
        was: TenantStatus,
    },
    /// See [`OperationKind::Deactivate`].
    Deactivate {
        /// See [`OperationInput`].
        was: TenantStatus,
        /// Days until the data is dropped, counted by the registry's clock.
        retention_days: u16,
    },
    /// See [`OperationKind::Restore`].
    Restore {
        /// See [`OperationInput`].
        was: TenantStatus,
    },
    /// See [`OperationKind::Purge`].
    Purge {
        /// See [`OperationInput`].
        was: TenantStatus,
        /// Why.
        reason: PurgeReason,
    },
    /// See [`OperationKind::Move`].
    Move {
        /// How the tenant's data is isolated afterwards.
        tier: Tier,
        /// The server that it goes to; none: the one with most room.
        #[serde(default)]
        server: Option<ServerId>,
        /// The plan that it has from the moment on in which it is served from there; none: the one that it has.
        #[serde(default)]
        plan: Option<PlanName>,
        /// Writes wait for as long as it takes, however much there is to copy.
        #[serde(default)]
        offline: bool,
        /// It takes the tenant back to where it was before its last move.
        #[serde(default)]
        undoes: bool,
        /// For how long the old placement is kept, and kept up to date, so that the move can be undone at once.
        #[serde(default)]
        undo_window_seconds: u32,
    },
    /// See [`OperationKind::DrainServer`].
    DrainServer {
        /// Tenants that stay; none: all go, and the server takes no new ones.
        #[serde(default)]
        keep: Option<u32>,
        /// Moves at a time.
        at_once: u16,
    },
    /// See [`OperationKind::RemoveLostServer`].
    RemoveLostServer,
    /// See [`OperationKind::OrderServer`].
    OrderServer {
        /// What it is made from.
        class: ServerClassName,
    },
    /// See [`OperationKind::DeleteServer`].
    DeleteServer {
        /// Who made it.
        provider: Provider,
    },
    /// See [`OperationKind::ResizeServer`].
    ResizeServer {
        /// What it was made from.
        class: ServerClassName,
    },
    /// See [`OperationKind::HibernateServer`].
    HibernateServer {
        /// Who made it.
        provider: Provider,
    },
    /// See [`OperationKind::WakeServer`].
    WakeServer {
        /// Who made it.
        provider: Provider,
    },
    /// See [`OperationKind::Rollout`].
    Rollout,
    /// What is stored cannot be read by this release. Never stored, never begun; the operation can be looked at
    /// and abandoned.
    #[serde(skip)]
    Unreadable(OperationKind),
}

/// Why a tenant's data is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurgeReason {
    /// Somebody asked for it now.
    Asked,
    /// Its retention is over; looked at again when the purge starts.
    RetentionOver,
}

impl OperationInput {
    /// The kind of operation.
    pub const fn kind(&self) -> OperationKind {
        match self {
            Self::Provision { .. } => OperationKind::Provision,
            Self::Suspend { .. } => OperationKind::Suspend,
            Self::Resume { .. } => OperationKind::Resume,
            Self::Deactivate { .. } => OperationKind::Deactivate,
            Self::Restore { .. } => OperationKind::Restore,
            Self::Purge { .. } => OperationKind::Purge,
            Self::Move { .. } => OperationKind::Move,
            Self::DrainServer { .. } => OperationKind::DrainServer,
            Self::RemoveLostServer => OperationKind::RemoveLostServer,
            Self::OrderServer { .. } => OperationKind::OrderServer,
            Self::DeleteServer { .. } => OperationKind::DeleteServer,
            Self::ResizeServer { .. } => OperationKind::ResizeServer,
            Self::HibernateServer { .. } => OperationKind::HibernateServer,
            Self::WakeServer { .. } => OperationKind::WakeServer,
            Self::Rollout => OperationKind::Rollout,
            Self::Unreadable(kind) => *kind,
        }
    }

    /// The same with another status to go back to.
    #[must_use]
    pub fn asked_when(self, status: TenantStatus) -> Self {
        match self {
            Self::Provision { .. }
            | Self::Move { .. }
            | Self::DrainServer { .. }
            | Self::RemoveLostServer
            | Self::OrderServer { .. }
            | Self::DeleteServer { .. }
            | Self::ResizeServer { .. }
            | Self::HibernateServer { .. }
            | Self::WakeServer { .. }
            | Self::Rollout
            | Self::Unreadable(_) => self,
            Self::Suspend { .. } => Self::Suspend { was: status },
            Self::Resume { .. } => Self::Resume { was: status },
            Self::Deactivate { retention_days, .. } => Self::Deactivate { was: status, retention_days },
            Self::Restore { .. } => Self::Restore { was: status },
            Self::Purge { reason, .. } => Self::Purge { was: status, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn an_input_is_stored_with_its_kind_and_read_back() {
        let was = TenantStatus::Deactivated { purge_at: DateTime::UNIX_EPOCH };
        for input in [
            OperationInput::Provision { admin: None },
            OperationInput::Deactivate { was: TenantStatus::Active, retention_days: 30 },
            OperationInput::Purge { was, reason: PurgeReason::RetentionOver },
            OperationInput::Move {
                tier: Tier::Database,
                server: None,
                plan: None,
                offline: false,
                undoes: false,
                undo_window_seconds: 60,
            },
        ] {
            let stored = serde_json::to_value(&input).unwrap();
            assert_eq!(stored["kind"], input.kind().as_str());
            assert_eq!(serde_json::from_value::<OperationInput>(stored).unwrap(), input);
        }
    }
}
