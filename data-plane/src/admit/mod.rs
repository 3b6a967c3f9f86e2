//! Whether a tenant's request may go on: its phase, its key or token, its features. No I/O, and nothing of HTTP.
//!
//! [`admit`] is the one place. What else is to be asked before a request is served (rates, quotas) is asked here.

mod feature;
mod key;
mod phase;

use chrono::{DateTime, Utc};
use tenantry_domain::{api_key::Scope, ids::TenantId, route::Route};
use tenantry_tokens::is_token;

pub(crate) use feature::missing_feature;
pub(crate) use key::KeyRefused;
use key::check_key;
pub(crate) use phase::{PhaseRefused, check_phase};

use crate::{
    serve::Caller,
    tokens::{RevokedSessions, TokenRefused, Verified, verify},
};

/// What a request shows for itself: a key of the tenant, or the token of one of its users.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Credential<'a> {
    /// As it was presented.
    pub(crate) presented: Option<&'a str>,
    /// The tenant that it names itself.
    pub(crate) tenant: Option<TenantId>,
}

/// What a request is about to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Intent<'a> {
    pub(crate) action: Action,
    /// The table or function that it is for.
    pub(crate) resource: Option<&'a str>,
}

/// See [`Intent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Read,
    Write,
    /// A function decides whether it writes.
    Call,
}

/// What a request may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) may_write: bool,
    /// The user whose token it is; none for a key.
    pub(crate) user: Option<Verified>,
}

impl Grant {
    /// For whom it is served.
    pub(crate) fn caller(&self) -> Caller<'_> {
        let user = self.user.as_ref();
        Caller {
            may_write: self.may_write,
            claims: user.map(|user| &*user.claims),
            roles: user.map(|user| &*user.roles),
        }
    }
}

/// Why a request may not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Phase(PhaseRefused),
    Key(KeyRefused),
    Token(TokenRefused),
    /// The table or function belongs to a feature that the tenant does not have.
    Feature(String),
}

impl Refusal {
    /// Whether a newer route may say otherwise: a new key, a plan with the feature, the end of provisioning.
    pub(crate) fn may_be_outdated(&self) -> bool {
        match self {
            Self::Key(refused) => !matches!(refused, KeyRefused::Missing | KeyRefused::OtherTenant),
            // It may be signed with a new key.
            Self::Token(refused) => *refused == TokenRefused::Invalid,
            Self::Phase(_) | Self::Feature(_) => true,
        }
    }
}

/// Whether a request may go on, as far as this route says.
pub(crate) fn admit(
    route: &Route,
    credential: Credential<'_>,
    intent: Intent<'_>,
    now: DateTime<Utc>,
    revoked: &RevokedSessions,
) -> Result<Grant, Refusal> {
    let phase = check_phase(route.phase);
    // As good as not there, whoever asks.
    if phase == Err(PhaseRefused::Gone) {
        return Err(Refusal::Phase(PhaseRefused::Gone));
    }
    let grant = if let Some(token) = credential.presented.filter(|presented| is_token(presented)) {
        let user = check_token(route, token, credential.tenant, now, revoked).map_err(Refusal::Token)?;
        Grant { may_write: true, user: Some(user) }
    } else {
        let scope = match intent.action {
            Action::Read | Action::Call => Scope::DataRead,
            Action::Write => Scope::DataWrite,
        };
        let key = check_key(route, credential.presented, credential.tenant, scope, now);
        Grant { may_write: key.map_err(Refusal::Key)?.allows(Scope::DataWrite), user: None }
    };
    phase.map_err(Refusal::Phase)?;
    if let Some(feature) = intent.resource.and_then(|resource| missing_feature(route, resource)) {
        return Err(Refusal::Feature(feature.to_owned()));
    }
    Ok(grant)
}

/// Checks a user's token. `claimed` is the tenant that it names itself.
fn check_token(
    route: &Route,
    token: &str,
    claimed: Option<TenantId>,
    now: DateTime<Utc>,
    revoked: &RevokedSessions,
) -> Result<Verified, TokenRefused> {
    if claimed.is_some_and(|claimed| claimed != route.tenant_id) {
        return Err(TokenRefused::OtherTenant);
    }
    verify(route, token, now, revoked)
}

#[cfg(test)]
mod tests {
    use tenantry_domain::{
        api_key::{KeyHash, claimed_tenant},
        route::RouteKey,
        tenant::TenantPhase,
    };

    use super::*;
    use crate::routes::tests::route;

    #[test]
    fn a_refusal_knows_whether_a_newer_route_could_change_it() {
        let now = DateTime::UNIX_EPOCH;
        let mut acme = route(1, "acme");
        let key = format!("tnt_{}_secret", acme.tenant_id.as_uuid().simple());
        let with = |key| Credential { presented: key, tenant: key.and_then(claimed_tenant) };
        let intent = |action| Intent { action, resource: None };
        let revoked = RevokedSessions::default();
        let ask = |route: &Route, key, action| admit(route, with(key), intent(action), now, &revoked);
        let missing = ask(&acme, None, Action::Read).unwrap_err();
        assert!(!missing.may_be_outdated());
        let unknown = ask(&acme, Some(&key), Action::Read).unwrap_err();
        assert!(unknown.may_be_outdated());

        acme.keys = [RouteKey { hash: KeyHash::of(&key), read: true, write: false, expires_at: None }].into();
        assert_eq!(ask(&acme, Some(&key), Action::Call), Ok(Grant { may_write: false, user: None }));
        assert!(ask(&acme, Some(&key), Action::Write).is_err());
        acme.phase = TenantPhase::Purged;
        assert_eq!(ask(&acme, None, Action::Read), Err(Refusal::Phase(PhaseRefused::Gone)));
    }
}
