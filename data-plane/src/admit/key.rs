//! The key must be one of the tenant's, live, and allow what is asked.

use tenantry_domain::{
    api_key::{KeyHash, Scope},
    ids::TenantId,
    route::{Route, RouteKey},
};

/// Why a key does not open the tenant's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyRefused {
    /// There is none.
    #[error("there is no key")]
    Missing,
    /// It is none of the tenant's, or was one.
    #[error("the key is not valid")]
    Invalid,
    /// It is another tenant's.
    #[error("the key is another tenant's")]
    OtherTenant,
    /// It may do other things.
    #[error("the key lacks scope {0}")]
    Scope(Scope),
}

/// Checks a presented key. `claimed` is the tenant that it names itself.
pub(super) fn check_key<'r>(
    route: &'r Route,
    key: Option<&str>,
    claimed: Option<TenantId>,
    scope: Scope,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<&'r RouteKey, KeyRefused> {
    let key = key.ok_or(KeyRefused::Missing)?;
    if claimed.is_some_and(|claimed| claimed != route.tenant_id) {
        return Err(KeyRefused::OtherTenant);
    }
    let known = route.key(&KeyHash::of(key), now).ok_or(KeyRefused::Invalid)?;
    if known.allows(scope) { Ok(known) } else { Err(KeyRefused::Scope(scope)) }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use tenantry_domain::{api_key::claimed_tenant, route::RouteKey};
    use uuid::Uuid;

    use super::*;
    use crate::routes::tests::route;

    #[test]
    fn only_a_live_key_of_the_tenant_with_the_scope_opens_it() {
        let now = DateTime::UNIX_EPOCH;
        let mut acme = route(1, "acme");
        let key = format!("tnt_{}_secret", acme.tenant_id.as_uuid().simple());
        let mut known = RouteKey { hash: KeyHash::of(&key), read: true, write: false, expires_at: None };
        acme.keys = [known.clone()].into();
        let check = |route: &Route, key: Option<&str>, scope| {
            check_key(route, key, key.and_then(claimed_tenant), scope, now).map(drop)
        };
        assert_eq!(check(&acme, Some(&key), Scope::DataRead), Ok(()));
        assert_eq!(check(&acme, Some(&key), Scope::DataWrite), Err(KeyRefused::Scope(Scope::DataWrite)));
        assert_eq!(check(&acme, None, Scope::DataRead), Err(KeyRefused::Missing));
        assert_eq!(check(&acme, Some("tnt_operator"), Scope::DataRead), Err(KeyRefused::Invalid));
        let forged = format!("tnt_{}_other", acme.tenant_id.as_uuid().simple());
        assert_eq!(check(&acme, Some(&forged), Scope::DataRead), Err(KeyRefused::Invalid));
        let other = format!("tnt_{}_secret", Uuid::from_u128(2).simple());
        assert_eq!(check(&acme, Some(&other), Scope::DataRead), Err(KeyRefused::OtherTenant));
        known.expires_at = Some(now);
        acme.keys = [known].into();
        assert_eq!(check(&acme, Some(&key), Scope::DataRead), Err(KeyRefused::Invalid));
    }
}
