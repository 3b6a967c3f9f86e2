//! URLs of others that Tenantry itself sends requests to.

use std::{fmt, str::FromStr};

use url::{Host, Url};

use crate::Invalid;

/// An absolute http or https URL without a user, a password or a fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl(Url);

impl HttpUrl {
    /// The longest that is taken.
    const LONGEST: usize = 2000;

    /// Reads a URL.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::because("must be a URL such as https://example.com/path");
        if text.len() > Self::LONGEST || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(wrong());
        }
        let url = Url::parse(text).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
            return Err(wrong());
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(Invalid::because("must have no user, no password and no fragment"));
        }
        Ok(Self(url))
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The URL as the URL standard reads it.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// Whether what is sent there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Its host: a name, or an address.
    ///
    /// # Panics
    /// Never: one without a host is not read.
    pub fn host(&self) -> Host<&str> {
        self.0.host().expect("its reader looks for one")
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for HttpUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_absolute_and_holds_no_password() {
        for text in ["https://example.com", "http://127.0.0.1:9000/hooks?x=1", "https://[2001:db8::1]/"] {
            assert!(HttpUrl::parse(text).is_ok(), "{text}");
        }
        let long = format!("https://example.com/{}", "a".repeat(2000));
        for text in [
            "",
            "example.com",
            "/hooks",
            "ftp://example.com",
            "https://",
            "https://a:b@example.com",
            "https://a@example.com",
            "https://example.com/#x",
            "https://exa mple.com",
            "https://example.com/\n",
            "file:///etc/passwd",
            &long,
        ] {
            assert!(HttpUrl::parse(text).is_err(), "{text:?}");
        }
    }
}
