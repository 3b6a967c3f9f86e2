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
    use std::collections::BTreeSet;

    use axum::http::{HeaderValue, Request};
    use proptest::prelude::*;
    use tenantry_domain::domain_name::DomainName;

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

    /// Text that may stand where a tenant is named: mostly near a name, percent-encoded or not.
    fn named() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[a-zA-Z0-9_-]{0,42}",
            1 => "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-fA-F]{12}",
            1 => "([a-zA-Z0-9_-]{0,5}[.]){0,4}[a-zA-Z0-9_-]{0,64}(:[0-9]{0,6})?",
            1 => "([a-z0-9-]{0,3}|%[0-9A-Fa-f]{2}|%|[+/=&;,@:'\"()]){0,6}",
            1 => "\\[[0-9a-f:.%]{0,12}\\]?(:[0-9]{1,6})?",
            1 => "\\PC{0,8}",
        ]
    }

    fn host() -> impl Strategy<Value = String> {
        (named(), "(|[.]|:[0-9]{1,4}|[.]localhost|[.]LOCALHOST[.]?(:80)?|[.]example[.]com|[.]localhost[.]evil[.]net)")
            .prop_map(|(name, end)| name + &end)
    }

    /// A header's name, and bytes that mostly are text.
    fn header() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
        let name = proptest::sample::select(&["host", "x-tenant-id", "x-tenant-slug", "authorization"][..]);
        let value = prop_oneof![
            4 => named().prop_map(String::into_bytes),
            3 => host().prop_map(String::into_bytes),
            1 => "(Bearer|bearer|Basic)? ?(tnt_[0-9a-f]{0,32}_|eyJ)?[ -~]{0,12}".prop_map(String::into_bytes),
            1 => proptest::collection::vec(any::<u8>(), 0..12),
        ];
        (name, value)
    }

    fn uri() -> impl Strategy<Value = String> {
        let parameter =
            (prop_oneof![Just("tenant"), Just("tenant_id"), Just("%74enant"), Just("a")], named())
                .prop_map(|(name, value)| format!("{name}={value}"));
        let query = proptest::collection::vec(prop_oneof![4 => parameter, 1 => named()], 0..4);
        let path =
            prop_oneof![Just("/api/x".to_owned()), named().prop_map(|slug| format!("/t/{slug}/api/x"))];
        (proptest::option::of(host()), path, query).prop_map(|(authority, path, query)| {
            let origin = authority.map(|host| format!("http://{host}")).unwrap_or_default();
            format!("{origin}{path}?{}", query.join("&"))
        })
    }

    /// As it is looked up: an id, a label, or a domain in the one way to write it.
    fn is_valid(name: &Name<'_>) -> bool {
        match name {
            Name::Id(_) | Name::Nobody => true,
            // Reserved words are among them: names that nobody has.
            Name::Label(label) => {
                (1..=40).contains(&label.len())
                    && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            }
            Name::Domain(host) => DomainName::parse(host).is_ok_and(|domain| domain.as_str() == &**host),
        }
    }

    /// Names in different writing, that are one.
    fn written_otherwise(slug: &str, how: usize) -> String {
        match how {
            0 => slug.to_owned(),
            1 => slug.to_ascii_uppercase(),
            _ => slug.replace('-', "_"),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_comes_what_it_names_is_a_name(
            uri in uri(), headers in proptest::collection::vec(header(), 0..5), methods: u8, single: bool
        ) {
            let mut request = Request::builder().uri(uri);
            for (name, value) in headers {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    request = request.header(name, value);
                }
            }
            // What is no URI comes to no handler.
            let Ok(request) = request.body(()) else { return Ok(()) };
            let parts = request.into_parts().0;
            let single = single.then(|| Slug::parse("acme").unwrap());
            let methods = if methods % 2 == 0 { Methods::all() } else { Methods(methods >> 1) };
            let rules = Rules::new("localhost", methods, single);
            let Ok(asked) = identify(&parts, &rules) else { return Ok(()) };
            for name in asked.names.iter().chain(&asked.foreign_host) {
                prop_assert!(is_valid(name), "{:?} of {:?}", name, parts);
            }
            // What named the tenant is out of the query, whatever way it was written.
            let rest = asked.query.unwrap_or_default();
            prop_assert_eq!(query::names(&rest, &mut Vec::new()), Ok(None), "{}", rest);
        }

        #[test]
        fn any_text_is_a_host_s_name_or_nobody_s(text in prop_oneof![host(), any::<String>()]) {
            let name = of_host(&text, &rules());
            prop_assert!(name.as_ref().is_none_or(is_valid), "{:?}", name);
        }

        /// Each way names one of two tenants or none. All that name one are heard, and none of them is dropped: so it
        /// comes out whether they agree.
        #[test]
        fn nothing_that_names_a_tenant_is_passed_over(
            ways in proptest::array::uniform7(proptest::option::of((0..2_usize, 0..3_usize)))
        ) {
            let slug = |way: Option<(usize, usize)>| {
                way.map(|(which, how)| written_otherwise(["dental-clinic", "acme-2"][which], how))
            };
            let [uri_host, host, id, other, path, tenant, tenant_id] = ways.map(slug);
            let hosts = [&uri_host, &host].map(|host| host.as_deref().map(str::to_ascii_lowercase));
            let origin = uri_host.as_ref().map(|slug| format!("http://{slug}.localhost")).unwrap_or_default();
            let path = path.map(|slug| format!("/t/{slug}")).unwrap_or_default();
            let parameters = [("tenant", tenant), ("tenant_id", tenant_id)];
            let parameters = parameters.into_iter().filter_map(|(name, slug)| Some(format!("&{name}={}", slug?)));
            let uri = format!("{origin}{path}/api/x?a=eq.1{}", parameters.collect::<String>());
            let host = host.map(|slug| format!("{slug}.localhost:8081"));
            let headers = [("host", host), ("x-tenant-id", id), ("x-tenant-slug", other)];
            let headers: Vec<_> =
                headers.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();

            let said: BTreeSet<_> = ways.iter().flatten().map(|(which, _)| which).collect();
            // Of the two forms of HTTP that say it, which are to agree to the letter.
            let hosts_differ = hosts.iter().flatten().collect::<BTreeSet<_>>().len() > 1;
            match names(&uri, &headers) {
                Err(error) => {
                    prop_assert!(hosts_differ, "{uri} {headers:?}: {error}");
                    prop_assert_eq!(error, ResolveError::Twice("Host"));
                }
                Ok(heard) => {
                    prop_assert!(!hosts_differ, "{uri} {headers:?}");
                    let said: BTreeSet<_> =
                        said.into_iter().map(|which| ["label dental-clinic", "label acme-2"][*which].to_owned()).collect();
                    prop_assert_eq!(heard.into_iter().collect::<BTreeSet<_>>(), said, "{} {:?}", uri, headers);
                }
            }
        }
    }
}
