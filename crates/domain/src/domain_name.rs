//! Custom domains: host names of a tenant's own, proven by a DNS TXT record.

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A fully qualified host name in lower case without a final dot, e.g. `events.customersite.com`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(Box<str>);

impl DomainName {
    /// Reads a host name: at least two labels, not an IP address.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let host = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if host.is_empty() || host.len() > 253 {
            return Err(Invalid::because("must be a host name of at most 253 characters"));
        }
        let label_ok = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let mut labels = host.split('.');
        let top = labels.next_back().unwrap_or_default();
        if !host.contains('.') || !host.split('.').all(label_ok) || top.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Invalid::because("must be a host name such as app.example.com"));
        }
        Ok(Self(host.into()))
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
    use super::*;

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
