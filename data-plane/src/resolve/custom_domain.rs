//! A host name of the tenant's own: `events.customersite.com`.

use std::borrow::Cow;

use tenantry_domain::domain_name::DomainName;

use super::Name;

/// The host as a custom domain; none where it cannot be one (`my_service.internal`, `a..example.com`): nobody is asked for it.
pub(super) fn name(host: Cow<'_, str>) -> Option<Name<'_>> {
    DomainName::is_one(&host).then_some(Name::Domain(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_container_networks_are_no_domains() {
        for host in ["my_service.internal", ".example.com", "a..example.com", "-.example.com", "a.b-"] {
            assert_eq!(name(host.into()), None, "{host}");
        }
        assert_eq!(name("a.example.com".into()), Some(Name::Domain("a.example.com".into())));
    }
}
