//! Drift: what a tenant's schema has that its app's version does not say, and the other way round.

use serde::{Deserialize, Serialize};

use crate::{
    app::AppVersion,
    ids::{ServerId, TenantId},
    names::ObjectName,
};

/// A tenant whose schema is to be compared with its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantToVerify {
    /// Which.
    pub id: TenantId,
    /// The server that it is on.
    pub server: ServerId,
    /// The database there.
    pub database: ObjectName,
    /// Its schema.
    pub schema: ObjectName,
    /// The version that it has.
    pub version: AppVersion,
}

/// What became of tenants that were to be compared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TenantsVerified {
    /// How many were compared, those that differ among them.
    pub compared: u64,
    /// Those that differ.
    pub drifted: Vec<TenantDrift>,
    /// Those that could not be compared.
    pub not_compared: Vec<NotCompared>,
}

/// A tenant whose schema is not as its version says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantDrift {
    /// Which.
    pub tenant: TenantId,
    /// All that differs.
    pub differences: Vec<Difference>,
    /// The SQL that mends it, to be run as the owner role with its schema first on the search path. What it leaves undone it says
    /// in comments. None where no SQL can.
    pub mend: Option<String>,
}

/// An object that is not as the version says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it is, and how it is called.
    pub object: String,
    /// What is so, and what the version says.
    pub difference: String,
}

/// A tenant that could not be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotCompared {
    /// Which.
    pub tenant: TenantId,
    /// Why, for a person.
    pub reason: String,
}
