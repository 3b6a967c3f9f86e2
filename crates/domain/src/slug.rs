//! The slug: the name of a tenant in URLs, schemas and roles.

use serde::{Deserialize, Serialize};

use crate::{Invalid, names::ObjectName};

/// A DNS label of 1 to 40 characters, `[a-z0-9]` and inner `-`. Never a reserved word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(Box<str>);

/// Labels that belong to the SaaS itself (hosts that exist, words that would mislead), or whose
/// schema would be mistaken for Tenantry's own.
const RESERVED: &[&str] = &[
    "account",
    "admin",
    "administrator",
    "api",
    "app",
    "apps",
    "assets",
    "auth",
    "billing",
    "blog",
    "cdn",
    "console",
    "dashboard",
    "dev",
    "docs",
    "ftp",
    "health",
    "help",
    "host",
    "imap",
    "internal",
    "livez",
    "localhost",
    "login",
    "logout",
    "mail",
    "metrics",
    "mx",
    "new",
    "ns",
    "ns1",
    "ns2",
    "null",
    "openapi",
    "pop",
    "postgres",
    "prod",
    "production",
    "public",
    "readyz",
    "register",
    "root",
    "security",
    "shared",
    "signup",
    "smtp",
    "staging",
    "static",
    "status",
    "support",
    "sys",
    "system",
    "t",
    "template",
    "tenant",
    "tenantry",
    "tenants",
    "test",
    "undefined",
    "webmail",
    "well-known",
    "www",
];

impl Slug {
    /// The longest slug, in characters.
    pub const MAX_LEN: usize = 40;

    /// Reads a slug as people write it: letters in any case, `_` for `-`.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let label = text.to_ascii_lowercase().replace('_', "-");
        if label.is_empty() || label.len() > Self::MAX_LEN {
            return Err(Invalid::because(format!("must have 1 to {} characters", Self::MAX_LEN)));
        }
        if !label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return Err(Invalid::because("may hold only a-z, 0-9 and inner hyphens"));
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err(Invalid::because("must begin and end with a letter or digit"));
        }
        // An internationalised label (`xn--…`) shows as other text in browsers: a way to impersonate.
        if label.starts_with("xn--") {
            return Err(Invalid::because("must not begin with xn--"));
        }
        if RESERVED.contains(&label.as_str()) {
            return Err(Invalid::because(format!("`{label}` is reserved; choose another")));
        }
        Ok(Self(label.into()))
    }

    /// Derives a slug from a display name: `ABC Dental Clinic!` is `abc-dental-clinic`.
    ///
    /// # Errors
    /// The name holds no letter or digit to build on, or gives a reserved word.
    pub fn derive(name: &str) -> Result<Self, Invalid> {
        let mut label = String::with_capacity(name.len());
        for c in name.chars() {
            if c.is_ascii_alphanumeric() {
                label.push(c.to_ascii_lowercase());
            } else if !label.is_empty() && !label.ends_with('-') {
                label.push('-');
            }
            if label.len() == Self::MAX_LEN {
                break;
            }
        }
        Self::parse(label.trim_matches('-'))
            .map_err(|_| Invalid::because("gives no usable slug; send `slug` as well"))
    }

    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the tenant's schema, role and (from tier `database` on) database.
    pub fn object_name(&self) -> ObjectName {
        ObjectName::of_tenant(self)
    }
}

impl std::fmt::Display for Slug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Slug {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Slug {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::names::TENANT_PREFIX;

    /// What people write: mostly near a slug, sometimes nothing like one.
    fn written() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "[a-zA-Z0-9_-]{0,44}",
            2 => "[a-zA-Z0-9]([a-zA-Z0-9_-]{0,38}[a-zA-Z0-9])?",
            1 => "(xn--|XN_-)[a-z0-9]{0,8}",
            1 => proptest::sample::select(RESERVED).prop_map(|word| word.to_uppercase().replace('-', "_")),
            1 => "[a-z0-9-]{0,4}[ -~]{0,2}[a-z0-9-]{0,4}",
            2 => any::<String>(),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_slugs_are_the_labels_of_the_design_and_stay_what_they_are(text in written()) {
            let label: String =
                text.chars().map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect();
            let inner = |c: char| matches!(c, 'a'..='z' | '0'..='9');
            let is_label = (1..=40).contains(&label.chars().count())
                && label.chars().all(|c| inner(c) || c == '-')
                && label.starts_with(inner)
                && label.ends_with(inner);
            let is_free = !label.starts_with("xn--") && !RESERVED.contains(&&*label);
            let parsed = Slug::parse(&text);
            prop_assert_eq!(parsed.is_ok(), is_label && is_free, "{:?}: {:?}", text, parsed);
            // However it comes in, it is the same rule.
            let in_json = serde_json::from_value::<Slug>(text.clone().into());
            prop_assert_eq!(in_json.ok(), parsed.clone().ok());
            if let Ok(slug) = parsed {
                prop_assert_eq!(slug.as_str(), &label);
                prop_assert_eq!(Slug::parse(slug.as_str()), Ok(slug));
            }
        }

        #[test]
        fn a_slug_s_schema_is_a_name_that_no_other_slug_has(text in written(), name in any::<String>()) {
            for slug in [Slug::parse(&text), Slug::derive(&name), Slug::derive(&text)].into_iter().flatten() {
                let schema = slug.object_name();
                // PostgreSQL cuts longer names off, and two tenants would share one.
                prop_assert!(schema.as_str().len() <= 63);
                prop_assert_eq!(ObjectName::parse(schema.as_str()), Ok(schema.clone()));
                let back = schema.as_str().strip_prefix(TENANT_PREFIX).map(|rest| rest.replace('_', "-"));
                prop_assert_eq!(back.as_deref(), Some(slug.as_str()));
            }
        }
    }

    #[test]
    fn underscores_and_capitals_are_normalised() {
        assert_eq!(Slug::parse("Dental_Clinic_ABC").unwrap().as_str(), "dental-clinic-abc");
    }

    #[test]
    fn what_is_not_a_dns_label_is_refused() {
        let too_long = "a".repeat(41);
        for text in ["", "-a", "a-", "a b", "a.b", "é", "a'b", "a\0b", "a/b", "xn--a", &too_long] {
            assert!(Slug::parse(text).is_err(), "{text:?}");
        }
        assert!(Slug::parse(&"a".repeat(40)).is_ok());
    }

    #[test]
    fn reserved_words_are_refused_in_any_case() {
        for text in ["www", "API", "well_known", "postgres"] {
            assert!(Slug::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_reserved_word_is_a_label_that_would_otherwise_pass() {
        for word in RESERVED {
            assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        }
    }

    #[test]
    fn a_slug_is_derived_from_a_name() {
        assert_eq!(Slug::derive("  ABC Dental   Clinic! ").unwrap().as_str(), "abc-dental-clinic");
        assert_eq!(Slug::derive(&"ab ".repeat(40)).unwrap().as_str().len(), 40);
        assert!(Slug::derive("日本").is_err());
        assert!(Slug::derive("Admin").is_err());
    }
}
