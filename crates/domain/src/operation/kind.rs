//! Kinds of operations, and the lanes they run in.

use serde::{Deserialize, Serialize};

/// What an operation does. One file each under `worker/src/operations/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Makes a tenant's role, schema or database, tables and default data, and begins to serve it.
    Provision,
    /// Stops serving a tenant, keeps its data.
    Suspend,
    /// Serves a suspended tenant again.
    Resume,
    /// Deletes a tenant so that it can still be restored.
    Deactivate,
    /// Takes a deletion back.
    Restore,
    /// Drops a tenant's data for good.
    Purge,
    /// Moves a tenant to another placement while it is being served, and gives it another plan with that.
    Move,
    /// Moves tenants off a server, all or some.
    DrainServer,
    /// Removes a server that is lost for good, with the tenants it held.
    RemoveLostServer,
    /// Has a server made by the provider of its class.
    OrderServer,
    /// Deletes an empty server at its provider.
    DeleteServer,
    /// Has a server changed by its provider into what its class is now.
    ResizeServer,
    /// Has a tenant's own server stopped by its provider for as long as the tenant is suspended.
    HibernateServer,
    /// Has a hibernated server started again.
    WakeServer,
    /// Carries a version of an app to all of its tenants, or back.
    Rollout,
}

crate::names_of! { OperationKind {
    Provision = "provision", Suspend = "suspend", Resume = "resume", Deactivate = "deactivate",
    Restore = "restore", Purge = "purge", Move = "move", DrainServer = "drain_server",
    RemoveLostServer = "remove_lost_server", OrderServer = "order_server", DeleteServer = "delete_server",
    ResizeServer = "resize_server", HibernateServer = "hibernate_server", WakeServer = "wake_server",
    Rollout = "rollout",
} }

impl OperationKind {
    /// The queue that it waits in.
    pub const fn lane(self) -> Lane {
        match self {
            Self::Provision | Self::Suspend | Self::Resume | Self::Deactivate | Self::Restore => {
                Lane::Interactive
            }
            Self::Purge
            | Self::Move
            | Self::RemoveLostServer
            | Self::OrderServer
            | Self::DeleteServer
            | Self::ResizeServer
            | Self::HibernateServer
            | Self::WakeServer => Lane::Long,
            Self::DrainServer | Self::Rollout => Lane::Fleet,
        }
    }

    /// Whether one of this kind is asked to stop by a more urgent one on the same subject, which is possible when it was
    /// undone: a restore that is undone leaves a deactivated tenant, which nobody can suspend.
    pub const fn gives_way_to(self, urgent: Self) -> bool {
        match self {
            Self::Provision => matches!(urgent, Self::Deactivate | Self::Purge),
            Self::Resume => matches!(urgent, Self::Suspend | Self::Deactivate | Self::Purge),
            Self::Restore => matches!(urgent, Self::Deactivate | Self::Purge),
            Self::Move => matches!(urgent, Self::Suspend | Self::Deactivate | Self::Purge),
            Self::DrainServer | Self::ResizeServer => matches!(urgent, Self::RemoveLostServer),
            _ => false,
        }
    }
}

/// A queue with a concurrency of its own, so that short work never waits behind long work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// What somebody waits for: sign-up, suspend, resume.
    Interactive,
    /// Purges, moves, calls of providers.
    Long,
    /// Work on many tenants, each of which has an operation of its own or is done by the way.
    Fleet,
    /// Pools and sampling, when there is nothing else to do.
    Idle,
}

crate::names_of! { Lane { Interactive = "interactive", Long = "long", Fleet = "fleet", Idle = "idle" } }
