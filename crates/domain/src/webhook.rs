//! Webhooks: endpoints of others that are told of events.

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};
use url::{Host, Url};

use crate::{
    Invalid,
    event::TypePattern,
    ids::{TenantId, WebhookId},
};

/// Where events are sent: an absolute http or https URL without a user, a password or a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

impl WebhookUrl {
    /// The longest that is taken.
    const LONGEST: usize = 2000;

    /// Reads a URL.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::because("must be a URL such as https://example.com/hooks");
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

    /// Whether what is sent there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Its host: a name, or an address.
    ///
    /// # Panics
    /// Never: one without a host is not read.
    pub fn host(&self) -> Host<&str> {
        self.0.host().expect("a webhook's URL has a host")
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for WebhookUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

/// An endpoint that is told of events.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Where it is.
    pub url: WebhookUrl,
    /// What it is told of.
    pub types: Vec<TypePattern>,
    /// Only events of this tenant.
    pub tenant_id: Option<TenantId>,
    /// What it is for.
    pub description: String,
    /// Whether it is told of events.
    pub enabled: bool,
    /// Why it is not, if nobody asked for that.
    pub disabled_reason: Option<String>,
    /// Until when requests are signed with the secret before the last rotation, too.
    pub former_secret_until: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What has become of an event at an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// It is to be sent, perhaps not for the first time.
    Pending,
    /// The endpoint has answered with 2xx.
    Delivered,
    /// It is sent no more, unless somebody asks for that.
    Dead,
}

crate::names_of! { DeliveryState { Pending = "pending", Delivered = "delivered", Dead = "dead" } }

/// How long the secret before the last rotation is good, too.
pub const SECRET_OVERLAP: TimeDelta = TimeDelta::days(1);

/// The pauses after failed attempts (Standard Webhooks: five seconds to a day); after one more the delivery is dead.
const PAUSES: [TimeDelta; 9] = [
    TimeDelta::seconds(5),
    TimeDelta::minutes(5),
    TimeDelta::minutes(30),
    TimeDelta::hours(2),
    TimeDelta::hours(5),
    TimeDelta::hours(10),
    TimeDelta::hours(14),
    TimeDelta::hours(20),
    TimeDelta::hours(24),
];

/// How long to wait after so many failed attempts; none: it is over. `jitter`, from 0 to 1, makes it up to a tenth longer, so that
/// what failed together does not come back together.
pub fn pause_after(failed: u32, jitter: f64) -> Option<TimeDelta> {
    let pause = *PAUSES.get(usize::try_from(failed).ok()?.checked_sub(1)?)?;
    #[expect(clippy::cast_possible_truncation, reason = "less than a tenth of a day")]
    let longer = (pause.as_seconds_f64() * 100.0 * jitter.clamp(0.0, 1.0)) as i64;
    Some(pause + TimeDelta::milliseconds(longer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_absolute_and_holds_no_password() {
        for text in ["https://example.com", "http://127.0.0.1:9000/hooks?x=1", "https://[2001:db8::1]/"] {
            assert!(WebhookUrl::parse(text).is_ok(), "{text}");
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
            assert!(WebhookUrl::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn pauses_grow_and_come_to_an_end() {
        let pauses: Vec<_> = (1..=9).map(|failed| pause_after(failed, 0.0).unwrap()).collect();
        assert!(pauses.is_sorted());
        assert_eq!(pauses[0], TimeDelta::seconds(5));
        assert_eq!(pause_after(1, 1.0), Some(TimeDelta::milliseconds(5500)));
        assert_eq!((pause_after(0, 0.0), pause_after(10, 0.0)), (None, None));
    }
}
