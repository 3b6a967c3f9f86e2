//! Custom domains: host names of a tenant's own, proven by a DNS TXT record.

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A fully qualified host name in lower case without a final dot, e.g. `events.customersite.com`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(Box<str>);

impl DomainName {
    const MAX_LEN: usize = 253;

    /// Reads a host name: at least two labels, not an IP address.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let host = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if host.is_empty() || host.len() > Self::MAX_LEN {
            return Err(Invalid::because("must be a host name of at most 253 characters"));
        }
        if !Self::is_one(&host) {
            return Err(Invalid::because("must be a host name such as app.example.com"));
        }
        Ok(Self(host.into()))
    }

    /// Whether a text is one as it is written here: in lower case, without a final dot.
    pub fn is_one(text: &str) -> bool {
        let label_ok = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let top = text.rsplit('.').next().unwrap_or_default();
        text.len() <= Self::MAX_LEN
            && text.contains('.')
            && text.split('.').all(label_ok)
            && !top.bytes().all(|b| b.is_ascii_digit())
    }

    /// The host name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the TXT record that proves the domain.
    pub fn challenge_name(&self) -> String {
        format!("_tenantry.{}", self.0)
    }

    /// Whether this is `parent` or a name below it.
    pub fn is_within(&self, parent: &str) -> bool {
        self.0.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

/// The text that the TXT record must hold for a token.
pub fn challenge_text(token: &str) -> String {
    format!("tenantry-verification={token}")
}

impl std::fmt::Display for DomainName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DomainName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<DomainName> for String {
    fn from(name: DomainName) -> Self {
        name.0.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_a_host_name_or_refused_and_a_host_name_stays_what_it_is(
            text in prop_oneof![
                4 => "([a-zA-Z0-9_-]{0,4}[.]){0,4}[a-zA-Z0-9-]{0,66}[.]{0,2}",
                1 => "([a-z]{1,63}[.]){0,5}[a-z]{1,63}",
                1 => any::<String>(),
            ]
        ) {
            let Ok(name) = DomainName::parse(&text) else { return Ok(()) };
            prop_assert!(name.as_str().len() <= 253 && name.as_str().split('.').count() >= 2, "{}", name);
            for label in name.as_str().split('.') {
                prop_assert!((1..=63).contains(&label.len()), "{}", name);
                prop_assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
                prop_assert!(!label.starts_with('-') && !label.ends_with('-'), "{}", name);
            }
            prop_assert!(name.as_str().parse::<std::net::IpAddr>().is_err());
            prop_assert!(name.is_within(name.as_str()));
            prop_assert_eq!(text.strip_suffix('.').unwrap_or(&text).to_ascii_lowercase(), name.as_str());
            prop_assert_eq!(DomainName::parse(name.as_str()), Ok(name));
        }
    }

    #[test]
    fn host_names_are_normalised() {
        assert_eq!(
            DomainName::parse("Events.CustomerSite.com.").unwrap().as_str(),
            "events.customersite.com"
        );
    }

    #[test]
    fn addresses_and_bare_labels_are_no_domains() {
        for text in ["", "localhost", "10.0.0.1", "a..b", "-a.com", "a_b.com", "a.com:80", "[::1]", "a .com"]
        {
            assert!(DomainName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn being_within_a_parent_respects_labels() {
        let name = DomainName::parse("a.example.com").unwrap();
        assert!(name.is_within("example.com"));
        assert!(!name.is_within("ample.com"));
    }
}
