//! A host name of the tenant's own: `events.customersite.com`.

use std::borrow::Cow;

use tenantry_domain::domain_name::DomainName;

use super::Name;

/// The host as a custom domain; none where it cannot be one (`my_service.internal`).
pub(super) fn name(host: Cow<'_, str>) -> Option<Name<'_>> {
    // Underscores are what a host may hold here and a domain may not; the rest was checked.
    let possible = !host.contains('_') || DomainName::parse(&host).is_ok();
    possible.then_some(Name::Domain(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_container_networks_are_no_domains() {
        assert_eq!(name("my_service.internal".into()), None);
        assert_eq!(name("a.example.com".into()), Some(Name::Domain("a.example.com".into())));
    }
}
