//! What the steps of each kind of operation write down for the steps after them. Members are only ever
//! added, with a default: a worker of another release reads them too.

use serde::{Deserialize, Serialize};

use crate::names::ObjectName;

/// For operations whose steps need nothing but their subject.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoState {}

/// Of [`super::OperationKind::Provision`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProvisionState {
    /// The warm tenant that becomes this one: the name of its role and of its schema or database until then.
    pub warm: Option<ObjectName>,
}

/// Of [`super::OperationKind::RemoveLostServer`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RemoveLostServerState {
    /// Tenants whose data is given up so far.
    pub tenants: u64,
}
