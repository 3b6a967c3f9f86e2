//! Where a tenant's data is.

use serde::{Deserialize, Serialize};

use crate::{
    app::AppVersion,
    ids::{ServerId, TenantId},
    names::ObjectName,
    plan::Tier,
};

/// A number that grows with each change of placement; a stale one is never served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(i32);

impl Epoch {
    /// The epoch of a tenant's first placement.
    pub const FIRST: Self = Self(1);

    /// An epoch that was stored.
    pub const fn from_stored(number: i32) -> Self {
        Self(number)
    }

    /// The bare number.
    pub const fn number(self) -> i32 {
        self.0
    }
}

/// Where a placement is in its life: `preparing`, `serving`, and in a move `cutover`, `fenced`, `retired`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlacementState {
    /// Being made, or being taken down again before it ever served.
    Preparing,
    /// The one that is served.
    Serving,
    /// Still the one that is served, for reads; writes wait, because a move is about to flip.
    Cutover,
    /// No longer served; closed to writes and kept, so that a move can be undone.
    Fenced,
    /// No longer needed; to be dropped.
    Retired,
}

crate::names_of! { PlacementState {
    Preparing = "preparing", Serving = "serving", Cutover = "cutover", Fenced = "fenced", Retired = "retired",
} }

impl PlacementState {
    /// Whether the tenant's data is read there.
    pub const fn serves(self) -> bool {
        matches!(self, Self::Serving | Self::Cutover)
    }

    /// The transition to another state; none if a placement does not go from this one to that. One that retired
    /// stays so.
    pub const fn to(self, next: Self) -> Option<PlacementTransition> {
        use PlacementState as S;
        match (self, next) {
            (S::Preparing | S::Cutover | S::Fenced, S::Serving)
            | (S::Serving, S::Cutover | S::Fenced)
            | (S::Cutover, S::Fenced)
            | (S::Preparing | S::Serving | S::Fenced, S::Retired) => {
                Some(PlacementTransition { from: self, to: next })
            }
            _ => None,
        }
    }

    /// No change, but refused where the placement is in another state, or not there any more.
    #[must_use]
    pub const fn stays(self) -> PlacementTransition {
        PlacementTransition { from: self, to: self }
    }
}

/// A change of a placement's state that there is: made by [`PlacementState::to`] and [`PlacementState::stays`] alone, and carried
/// out only on a placement that is in the state that it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacementTransition {
    from: PlacementState,
    to: PlacementState,
}

impl PlacementTransition {
    /// The state that it leaves.
    pub const fn from(self) -> PlacementState {
        self.from
    }

    /// The state that it leads to.
    pub const fn to(self) -> PlacementState {
        self.to
    }
}

/// Where a tenant's data is: server, database, schema, role, epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Placement {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Grows with each change.
    pub epoch: Epoch,
    /// Whether it may be served.
    pub state: PlacementState,
    /// How it is isolated.
    pub tier: Tier,
    /// On which server.
    pub server_id: ServerId,
    /// In which database.
    pub database: ObjectName,
    /// In which schema; the same name as the role.
    pub schema: ObjectName,
    /// The data plane's login on the server that may become the tenant's role.
    pub login: ObjectName,
    /// The app version that its tables have; none before they are made.
    pub schema_version: Option<AppVersion>,
}

impl Placement {
    /// The role that reads and writes the tenant's data: named as the schema.
    pub fn role(&self) -> &ObjectName {
        &self.schema
    }
}

#[cfg(test)]
mod tests {
    use super::PlacementState as S;

    #[test]
    fn a_placement_that_retired_never_serves_again() {
        for next in S::ALL {
            assert_eq!(S::Retired.to(*next), None, "{next}");
        }
    }

    #[test]
    fn a_move_goes_through_cutover_and_can_be_undone_from_the_fence() {
        for (from, to) in [
            (S::Serving, S::Cutover),
            (S::Cutover, S::Serving),
            (S::Cutover, S::Fenced),
            (S::Fenced, S::Serving),
        ] {
            let transition = from.to(to).unwrap();
            assert_eq!((transition.from(), transition.to()), (from, to));
        }
    }
}
