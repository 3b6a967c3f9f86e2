//! Which tenant a request is for, as far as the request itself says. One file per way to say it;
//! here they are read together. No look-ups: names may turn out to be nobody's.

mod custom_domain;
mod header;
mod host;
mod key;
mod label;
mod path;
mod query;
mod subdomain;

use std::borrow::Cow;

use axum::http::{self, HeaderMap, HeaderName, request::Parts};
use tenantry_domain::{Invalid, Slug, api_key, ids::TenantId};

use self::host::Host;
use crate::routes::RouteName;

/// By what a request may name its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// A host name of the tenant's own.
    CustomDomain,
    /// The label below the base domain.
    Subdomain,
    /// `X-Tenant-ID` or `X-Tenant-Slug`.
    Header,
    /// `/t/{slug}/...`.
    Path,
    /// `?tenant=` or `?tenant_id=`.
    Query,
    /// The tenant's key, or the token of one of its users.
    Key,
}

tenantry_domain::names_of! { Method {
    CustomDomain = "custom-domain", Subdomain = "subdomain", Header = "header", Path = "path", Query = "query",
    Key = "key",
} }

/// A set of [`Method`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Methods(u8);

impl Methods {
    /// All of them.
    pub fn all() -> Self {
        Method::ALL.iter().copied().collect()
    }

    /// Whether a method is on.
    pub const fn has(self, method: Method) -> bool {
        self.0 & (1 << method as u8) != 0
    }
}

impl FromIterator<Method> for Methods {
    fn from_iter<I: IntoIterator<Item = Method>>(methods: I) -> Self {
        Self(methods.into_iter().fold(0, |set, method| set | 1 << method as u8))
    }
}

/// The configured part of resolving.
#[derive(Debug)]
pub(crate) struct Rules {
    base_domain: String,
    methods: Methods,
    single_tenant: Option<Slug>,
}

impl Rules {
    pub(crate) fn new(base_domain: &str, methods: Methods, single_tenant: Option<Slug>) -> Self {
        Self { base_domain: base_domain.trim_matches('.').to_ascii_lowercase(), methods, single_tenant }
    }

    /// The one tenant that is served, if it is one.
    pub(crate) fn single_tenant(&self) -> Option<&Slug> {
        self.single_tenant.as_ref()
    }

    pub(crate) fn has(&self, method: Method) -> bool {
        self.methods.has(method)
    }
}

/// One thing that names a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name<'r> {
    /// A tenant's id.
    Id(TenantId),
    /// A slug or subdomain, normalised.
    Label(Cow<'r, str>),
    /// A host name, normalised.
    Domain(Cow<'r, str>),
    /// Well formed and certainly nobody's, such as two labels below the base domain.
    Nobody,
}

impl Name<'_> {
    /// The name by which to look the route up; none for what is nobody's.
    pub(crate) fn as_route_name(&self) -> Option<RouteName<'_>> {
        match self {
            Self::Id(id) => Some(RouteName::Id(*id)),
            Self::Label(label) => Some(RouteName::Label(label)),
            Self::Domain(domain) => Some(RouteName::Domain(domain)),
            Self::Nobody => None,
        }
    }
}

/// What a host name by itself names; none if it can be no tenant's here.
pub(crate) fn of_host<'r>(host: &'r str, rules: &Rules) -> Option<Name<'r>> {
    match host::read(host, &rules.base_domain).ok()? {
        Host::Below(left) if rules.has(Method::Subdomain) => Some(subdomain::name(left)),
        Host::Foreign(host) if rules.has(Method::CustomDomain) => custom_domain::name(host),
        _ => None,
    }
}

/// What a request says of its tenant.
#[derive(Debug)]
pub(crate) struct Asked<'r> {
    /// Everything that names a tenant, but for its key and a foreign host.
    pub(crate) names: Vec<Name<'r>>,
    /// A host that may be a custom domain, or some name of a proxy's that means nothing.
    pub(crate) foreign_host: Option<Name<'r>>,
    /// The key or token, as it was presented.
    pub(crate) key: Option<&'r str>,
    /// The tenant that it claims to belong to.
    pub(crate) key_tenant: Option<TenantId>,
    /// Whether it may name the tenant when nothing else does.
    pub(crate) key_names: bool,
    /// The query string without what named the tenant; none when there was nothing to take out.
    pub(crate) query: Option<String>,
}

/// A request that cannot be understood, or contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResolveError {
    /// A header, parameter or path segment is no identifier.
    #[error("`{field}` {reason}")]
    Malformed {
        /// What the client calls it.
        field: &'static str,
        /// What is wrong with it.
        reason: Invalid,
    },
    /// The same header came with two values.
    #[error("`{0}` came twice with different values")]
    Twice(&'static str),
}

/// Reads everything that names a tenant.
pub(crate) fn identify<'r>(parts: &'r Parts, rules: &'r Rules) -> Result<Asked<'r>, ResolveError> {
    let mut names = Vec::with_capacity(2);
    let mut foreign_host = None;
    if let Some(slug) = &rules.single_tenant {
        names.push(Name::Label(slug.as_str().into()));
    }
    if rules.has(Method::Subdomain) || rules.has(Method::CustomDomain) {
        match host::of_request(parts, &rules.base_domain)? {
            Host::Below(left) if rules.has(Method::Subdomain) => names.push(subdomain::name(left)),
            Host::Foreign(host) if rules.has(Method::CustomDomain) => {
                foreign_host = custom_domain::name(host);
            }
            _ => {}
        }
    }
    if rules.has(Method::Header) {
        header::names(&parts.headers, &mut names)?;
    }
    if rules.has(Method::Path) {
        names.extend(path::name(parts.uri.path())?);
    }
    let mut query = None;
    if rules.has(Method::Query)
        && let Some(text) = parts.uri.query()
    {
        query = query::names(text, &mut names)?;
    }
    let key = key::presented(&parts.headers)?;
    let key_tenant = key.and_then(|key| {
        if tenantry_tokens::is_token(key) {
            tenantry_tokens::claimed_tenant(key)
        } else {
            api_key::claimed_tenant(key)
        }
    });
    Ok(Asked { names, foreign_host, key, key_tenant, key_names: rules.has(Method::Key), query })
}

/// A header's value; refuses two different ones and what is not text.
fn one_value<'r>(
    headers: &'r HeaderMap,
    name: &HeaderName,
    field: &'static str,
) -> Result<Option<&'r str>, ResolveError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.any(|other| other != value) {
        return Err(ResolveError::Twice(field));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(malformed(field, Invalid::because("holds characters that are not ASCII"))),
    }
}

fn malformed(field: &'static str, reason: Invalid) -> ResolveError {
    ResolveError::Malformed { field, reason }
}

/// An id in its hyphenated form, or a slug. A slug that looks like an id is not reachable this way,
/// so that no tenant can be mistaken for another by choosing its slug.
pub(crate) fn id_or_slug<'r>(
    text: impl Into<Cow<'r, str>>,
    field: &'static str,
) -> Result<Name<'r>, ResolveError> {
    let text = text.into();
    if text.len() == uuid::fmt::Hyphenated::LENGTH
        && let Ok(id) = text.parse()
    {
        return Ok(Name::Id(id));
    }
    slug(text, field)
}

fn slug<'r>(text: impl Into<Cow<'r, str>>, field: &'static str) -> Result<Name<'r>, ResolveError> {
    label::normalise(text.into()).map(Name::Label).map_err(|reason| malformed(field, reason))
}

const HOST: &HeaderName = &http::header::HOST;

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn rules() -> Rules {
        Rules::new("localhost", Methods::all(), None)
    }

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn names(uri: &str, headers: &[(&str, &str)]) -> Result<Vec<String>, ResolveError> {
        let (parts, rules) = (parts(uri, headers), rules());
        let asked = identify(&parts, &rules)?;
        Ok(asked
            .names
            .iter()
            .chain(&asked.foreign_host)
            .map(|name| match name {
                Name::Id(id) => format!("id {id}"),
                Name::Label(label) => format!("label {label}"),
                Name::Domain(host) => format!("domain {host}"),
                Name::Nobody => "nobody".to_owned(),
            })
            .collect())
    }

    #[test]
    fn each_method_names_a_tenant() {
        let id = "019a0000-0000-7000-8000-000000000001";
        for (uri, headers, expected) in [
            ("/api/x", vec![("host", "acme.localhost:8081")], "label acme"),
            ("/api/x", vec![("host", "events.customersite.com")], "domain events.customersite.com"),
            ("/api/x", vec![("x-tenant-id", id)], "id 019a0000-0000-7000-8000-000000000001"),
            ("/api/x", vec![("x-tenant-id", "dental_clinic_abc")], "label dental-clinic-abc"),
            ("/api/x", vec![("x-tenant-slug", "Acme")], "label acme"),
            ("/t/acme/api/x", vec![], "label acme"),
            ("/api/x?tenant=acme", vec![], "label acme"),
            ("/api/x?tenant_id=acme&a=eq.1", vec![], "label acme"),
            ("http://acme.localhost/api/x", vec![], "label acme"),
        ] {
            assert_eq!(names(uri, &headers).unwrap(), [expected], "{uri} {headers:?}");
        }
    }

    #[test]
    fn all_that_is_said_is_heard() {
        let headers = [("host", "acme.localhost"), ("x-tenant-id", "b"), ("x-tenant-slug", "c")];
        let heard = names("/t/d/api/x?tenant=e&tenant_id=f", &headers).unwrap();
        assert_eq!(heard, ["label acme", "label b", "label c", "label d", "label e", "label f"]);
    }

    #[test]
    fn a_header_with_two_values_contradicts_itself() {
        let twice = [("x-tenant-id", "a"), ("x-tenant-id", "b")];
        assert_eq!(names("/api/x", &twice), Err(ResolveError::Twice("X-Tenant-ID")));
        let hosts = [("host", "a.localhost"), ("host", "b.localhost")];
        assert_eq!(names("/api/x", &hosts), Err(ResolveError::Twice("Host")));
        assert!(names("/api/x", &[("x-tenant-id", "a"), ("x-tenant-id", "a")]).is_ok());
    }

    #[test]
    fn what_is_no_identifier_is_named() {
        for (uri, headers, field) in [
            ("/api/x", vec![("x-tenant-id", "a'b")], "X-Tenant-ID"),
            ("/api/x", vec![("x-tenant-id", "")], "X-Tenant-ID"),
            ("/api/x", vec![("x-tenant-id", "a,b")], "X-Tenant-ID"),
            ("/api/x", vec![("x-tenant-slug", "a.b")], "X-Tenant-Slug"),
            ("/api/x?tenant=a%00b", vec![], "tenant"),
            ("/api/x?tenant_id=", vec![], "tenant_id"),
            ("/t/a%2fb/api/x", vec![], "slug"),
            ("/t/%2e%2e/api/x", vec![], "slug"),
            ("/api/x", vec![("host", "a'b.localhost")], "Host"),
            ("/api/x", vec![("host", "[::1")], "Host"),
        ] {
            let Err(ResolveError::Malformed { field: named, .. }) = names(uri, &headers) else {
                panic!("{uri} {headers:?}: {:?}", names(uri, &headers));
            };
            assert_eq!(named, field);
        }
    }

    #[test]
    fn methods_that_are_off_are_not_heard() {
        let parts = parts("/t/a/api/x?tenant=b", &[("host", "c.localhost"), ("x-tenant-id", "d")]);
        let rules = Rules::new("localhost", [Method::Header].into_iter().collect(), None);
        let asked = identify(&parts, &rules).unwrap();
        assert_eq!(asked.names, [Name::Label("d".into())]);
        assert_eq!(asked.query, None);
    }

    #[test]
    fn a_single_tenant_is_named_by_configuration() {
        let parts = parts("/api/x", &[("host", "whatever.example.com")]);
        let rules = Rules::new("localhost", Methods::all(), Some(Slug::parse("acme").unwrap()));
        let asked = identify(&parts, &rules).unwrap();
        assert_eq!(asked.names, [Name::Label("acme".into())]);
    }
}
