//! As whom the data plane logs in for a tenant.

use serde::{Deserialize, Serialize};

use crate::{app::App, database_share::DatabaseShare, plan::Tier};

/// As whom the data plane logs in for a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// As a login that many tenants share, and that becomes one of them for a transaction.
    Shared,
    /// As a login of the tenant's own, which can become nobody else, whatever SQL runs on it.
    Own,
}

crate::names_of! { Connection { Shared = "shared", Own = "own" } }

impl Connection {
    /// That of an app's tenants in a tier whose plan has this share. In the shared database the app or the plan may ask for an
    /// own one. Tenants with databases of their own always have one: they share no connections anyway.
    pub fn of(app: &App, tier: Tier, share: &DatabaseShare) -> Self {
        match (tier, share.connection) {
            (Tier::Schema, Self::Shared) => app.connection(),
            (Tier::Schema, Self::Own) | (Tier::Database | Tier::Instance, _) => Self::Own,
        }
    }
}
