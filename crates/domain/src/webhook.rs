//! Webhooks: endpoints of others that are told of events.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    event::TypePattern,
    http_url::HttpUrl,
    ids::{TenantId, WebhookId},
};

/// An endpoint that is told of events.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Where it is.
    pub url: HttpUrl,
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
    fn pauses_grow_and_come_to_an_end() {
        let pauses: Vec<_> = (1..=9).map(|failed| pause_after(failed, 0.0).unwrap()).collect();
        assert!(pauses.is_sorted());
        assert_eq!(pauses[0], TimeDelta::seconds(5));
        assert_eq!(pause_after(1, 1.0), Some(TimeDelta::milliseconds(5500)));
        assert_eq!((pause_after(0, 0.0), pause_after(10, 0.0)), (None, None));
    }
}
