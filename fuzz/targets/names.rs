//! Everything that is read from a text: no panic, and what is read is written so that it reads the same.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use tenantry_domain::{
    Invalid, Slug, api_key,
    config::ConfigKey,
    domain_name::DomainName,
    names::ObjectName,
    user::{Email, Role, RoleName, Username},
};

fn stays<T: PartialEq + Debug>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, Invalid>,
    write: impl Fn(&T) -> String,
) -> Option<T> {
    let read = parse(text).ok()?;
    assert_eq!(parse(&write(&read)).as_ref(), Ok(&read), "{text:?}");
    Some(read)
}

fuzz_target!(|text: &str| {
    for slug in [stays(text, Slug::parse, Slug::to_string), Slug::derive(text).ok()].into_iter().flatten() {
        let schema = slug.object_name();
        assert!(schema.as_str().len() <= 63, "{schema}");
        assert_eq!(ObjectName::parse(schema.as_str()).as_ref(), Ok(&schema));
        // Two slugs have two schemas.
        assert_eq!(schema.as_str(), format!("tenant_{}", slug.as_str().replace('-', "_")));
        assert!(!slug.as_str().contains('_'));
    }
    if let Some(domain) = stays(text, DomainName::parse, DomainName::to_string) {
        assert!(domain.as_str().len() <= 253 && domain.is_within(domain.as_str()), "{domain}");
        assert!(domain.as_str().parse::<std::net::IpAddr>().is_err(), "{domain}");
    }
    stays(text, ObjectName::parse, ObjectName::to_string);
    stays(text, ConfigKey::parse, ConfigKey::to_string);
    stays(text, RoleName::parse, |name| name.as_str().to_owned());
    stays(text, str::parse::<Role>, |role| role.as_str().to_owned());
    stays(text, Username::parse, |name| name.as_str().to_owned());
    stays(text, Email::parse, |email| email.as_str().to_owned());
    let _ = api_key::claimed_tenant(text);
});
