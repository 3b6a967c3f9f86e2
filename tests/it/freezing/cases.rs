//! What a worker is frozen in.

use std::fmt;

use tenantry_domain::{operation::OperationKind, plan::Tier};
use tenantry_tests::probe::point_to_text;
use tenantry_worker::{
    engine::{Moment, Point},
    operations::outlines,
};

/// An operation on a tenant of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) kind: OperationKind,
    pub(super) tier: Tier,
    /// A sign-up takes a warm tenant.
    pub(super) warm: bool,
    pub(super) undo: Option<Undo>,
    pub(super) window: Window,
}

/// A move's undo window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    /// The move keeps nothing of where the tenant was.
    None,
    /// It has one.
    Opens,
    /// The tenant goes back by that of its last move.
    Takes,
}

/// Why an operation is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undo {
    /// Its last step that can be undone fails when it has run. Another worker's does not.
    Failed,
    /// Its first worker ran all that can be undone and died; then it was cancelled.
    Cancelled,
}

impl Case {
    pub(super) fn plan(self) -> &'static str {
        if self.tier == Tier::Schema { "basic" } else { "premium" }
    }

    /// When its last step that can be undone has run, as text.
    pub(super) fn last_undone(self) -> Option<String> {
        let outline = outlines()
            .into_iter()
            .find(|(tier, outline)| outline.kind == self.kind && tier.is_none_or(|tier| tier == self.tier))
            .unwrap()
            .1;
        let step = outline.steps[..outline.no_return].last()?;
        Some(point_to_text(Point { kind: self.kind, step, moment: Moment::Ran }))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warm = if self.warm { ", warm" } else { "" };
        let window = match self.window {
            Window::None => "",
            Window::Opens => ", with an undo window",
            Window::Takes => ", back by an undo window",
        };
        write!(f, "{} ({}{warm}{window})", self.kind, self.tier)?;
        match self.undo {
            None => Ok(()),
            Some(Undo::Failed) => f.write_str(" that fails"),
            Some(Undo::Cancelled) => f.write_str(" that is cancelled"),
        }
    }
}

/// All that need no warm tenants and no lost server; those of undo windows only as far as a tenant goes up a tier and nothing is
/// taken back.
pub(super) fn cold() -> Vec<Case> {
    let mut cases = everything();
    cases.retain(|case| {
        !case.warm
            && case.kind != OperationKind::RemoveLostServer
            && (case.window == Window::None || (case.tier == Tier::Schema && case.undo.is_none()))
    });
    cases
}

/// All that need warm tenants.
pub(super) fn warm() -> Vec<Case> {
    let mut cases = everything();
    cases.retain(|case| case.warm);
    cases
}

/// All of a kind, without warm tenants and undo windows.
pub(super) fn of(kind: OperationKind) -> Vec<Case> {
    let mut cases = everything();
    cases.retain(|case| !case.warm && case.kind == kind && case.window == Window::None);
    cases
}

/// All of undo windows.
pub(super) fn windows() -> Vec<Case> {
    let mut cases = everything();
    cases.retain(|case| case.window != Window::None);
    cases
}

fn everything() -> Vec<Case> {
    let mut cases = Vec::new();
    // Draining a server has no effect there: what it writes is in the registry, under its lease. A server of a tenant's own
    // is made by its provider, which is asked for the same one whoever asks; in its database all is as in tier database. So are
    // those of server classes.
    let elsewhere = |kind: OperationKind| {
        matches!(
            kind,
            OperationKind::DrainServer
                | OperationKind::OrderServer
                | OperationKind::DeleteServer
                | OperationKind::ResizeServer
                | OperationKind::HibernateServer
                | OperationKind::WakeServer
                // Tested by itself: workers claim tenants.
                | OperationKind::Rollout
        )
    };
    for (of, outline) in
        outlines().into_iter().filter(|(of, outline)| !elsewhere(outline.kind) && *of != Some(Tier::Instance))
    {
        let tiers = match of {
            Some(tier) => vec![tier],
            // What it does differs by tier.
            None if matches!(outline.kind, OperationKind::Purge | OperationKind::Move) => {
                vec![Tier::Schema, Tier::Database]
            }
            None => vec![Tier::Schema],
        };
        for tier in tiers {
            let mut undos = vec![None];
            if outline.no_return > 0 {
                undos.extend([Some(Undo::Failed), Some(Undo::Cancelled)]);
            }
            let warms: &[bool] = match (outline.kind, tier) {
                (OperationKind::Provision, Tier::Schema) => &[false, true],
                _ => &[false],
            };
            // What a tenant has left is kept where it was copied while it was written to.
            let windows: &[Window] = match (outline.kind, tier) {
                (OperationKind::Move, _) => &[Window::None, Window::Opens, Window::Takes],
                _ => &[Window::None],
            };
            for (warm, window) in
                warms.iter().flat_map(|warm| windows.iter().map(move |window| (warm, window)))
            {
                let case = |undo: &Option<Undo>| Case {
                    kind: outline.kind,
                    tier,
                    warm: *warm,
                    undo: *undo,
                    window: *window,
                };
                cases.extend(undos.iter().map(case));
            }
        }
    }
    cases
}
