//! What the steps of each kind of operation write down for the steps after them. Members are only ever
//! added, with a default: a worker of another release reads them too.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    ids::{OperationId, ServerId, TenantId},
    names::ObjectName,
    placement::Epoch,
    plan::{PlanName, Tier},
    server::Provider,
    server_class::{ServerClass, ServerClassName},
};

/// For operations whose steps need nothing but their subject.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoState {}

/// A server of a tenant's own that its operation has ordered, written down before its provider hears of it. The members have
/// these names in the states, where the registry looks for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OwnServerOrder {
    /// Which; also what the provider knows it by. None: none is ordered.
    #[serde(rename = "own_server")]
    pub server: Option<ServerId>,
    /// What it is made from.
    #[serde(rename = "own_server_class")]
    pub class: Option<ServerClassName>,
    /// Who makes it. An earlier release did not write it down.
    #[serde(rename = "own_server_provider")]
    pub provider: Option<Provider>,
}

/// Of [`super::OperationKind::Provision`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProvisionState {
    /// The warm tenant that becomes this one: the name of its role and of its schema or database until then.
    pub warm: Option<ObjectName>,
    /// What that was made from.
    pub warm_fingerprint: Option<String>,
    /// The server that is made for it.
    #[serde(flatten)]
    pub own: OwnServerOrder,
}

/// Of [`super::OperationKind::Move`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MoveState {
    /// The placement that the tenant leaves.
    pub from: Option<Epoch>,
    /// The one that it goes to.
    pub to: Option<Epoch>,
    /// The server that is made for it.
    #[serde(flatten)]
    pub own: OwnServerOrder,
    /// Bytes that its tables took before.
    pub bytes: u64,
    /// It is copied while it is written to, because it is too much to be copied while writes wait.
    pub live: bool,
    /// The replication slot that keeps its changes meanwhile.
    pub slot: Option<String>,
    /// A digest of what its tables are like, when they were compared with those at the new placement.
    pub shape: Option<String>,
    /// What each table held when it was copied: its name, rows and the sum of their hashes, the same at both ends.
    pub verified: Vec<(String, i64, String)>,
    /// Where it was before, once it is served from its new placement.
    pub left: Option<LeftPlacement>,
    /// The replication slot at the new placement that keeps what is written there, for the undo window.
    pub undo_slot: Option<String>,
    /// Why there is no undo window, where one was wanted.
    pub no_undo_window: Option<String>,
    /// The move that this one undoes by its undo window: its old placement was kept up to date.
    pub undone: Option<OperationId>,
    /// Since when writes wait.
    pub held_at: Option<DateTime<Utc>>,
    /// For how long writes waited, in microseconds, but for the time that the registry took to record the change.
    pub pause_us: Option<u64>,
}

/// Where a tenant was before it was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftPlacement {
    /// How it was isolated.
    pub tier: Tier,
    /// On which server; none: one of its own, which is deleted.
    pub server: Option<ServerId>,
    /// The plan that it had; none: it has it still.
    pub plan: Option<PlanName>,
}

/// Of [`super::OperationKind::DrainServer`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DrainServerState {
    /// Moves that are on their way.
    pub moving: Vec<OperationId>,
    /// Tenants that were moved.
    pub moved: u32,
    /// Tenants that could not be moved.
    pub failed: Vec<FailedMove>,
}

/// A tenant that could not be moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedMove {
    /// Which.
    pub tenant: TenantId,
    /// Its slug.
    pub slug: String,
    /// Why.
    pub error: String,
}

/// Of [`super::OperationKind::RemoveLostServer`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RemoveLostServerState {
    /// Tenants whose data is given up so far.
    pub tenants: u64,
}

/// Of [`super::OperationKind::OrderServer`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrderServerState {
    /// What it is made from, as that was when it was ordered.
    pub class: Option<ServerClass>,
    /// Why the provider could not do it when it was last asked; it is asked again.
    pub failing: Option<String>,
}

/// Of [`super::OperationKind::ResizeServer`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResizeServerState {
    /// What it is to be, as its class was when that was asked for.
    pub class: Option<ServerClass>,
    /// When the provider was asked.
    pub asked_at: Option<DateTime<Utc>>,
    /// It was seen to change.
    pub changes: bool,
}
