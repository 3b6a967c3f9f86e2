//! `GET /api/v1/tenants/{tenant}/usage`

use std::{str::FromStr, sync::Arc};

use axum::{Json, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use tenantry_domain::{Clock, Invalid};
use tenantry_registry::{Bucket, Registry, Usage, UsageBucket};
use utoipa::ToSchema;

use crate::{
    auth::{Authorized, scopes::TenantsRead},
    input::{InPath, QueryParams, TenantRef},
    refusal::Refusal,
    vocabulary,
};

/// What a tenant used, and has, against its limits.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageView {
    /// From when.
    from: DateTime<Utc>,
    /// Until when.
    to: DateTime<Utc>,
    /// What it used in this time.
    totals: UsedView,
    /// What it has now, and may have.
    current: CurrentView,
    /// The same in parts; those in which nothing was are left out.
    buckets: Vec<BucketView>,
}

/// What was used.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsedView {
    /// Requests answered by the data planes.
    requests: u64,
    /// Of these, with 5xx.
    errors: u64,
    /// Bytes of requests' bodies.
    bytes_in: u64,
    /// Bytes of answers' bodies.
    bytes_out: u64,
    /// Seconds that the database worked for them.
    database_seconds: f64,
}

/// A part of the time.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct BucketView {
    /// Its beginning: a full hour, or midnight UTC.
    at: DateTime<Utc>,
    #[serde(flatten)]
    used: UsedView,
    /// The most bytes of data that were seen; null if nobody looked.
    storage_bytes: Option<u64>,
}

/// What a tenant has now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CurrentView {
    storage_bytes: QuotaView,
    users: QuotaView,
    /// Of today; data planes hold up to a hundredth of the limit each that is not served yet.
    requests_today: QuotaView,
}

/// How much of how much.
#[derive(Debug, Serialize, ToSchema)]
struct QuotaView {
    /// Null while it is not known.
    used: Option<u64>,
    /// Null is unlimited.
    limit: Option<u64>,
}

impl From<&UsageBucket> for UsedView {
    fn from(bucket: &UsageBucket) -> Self {
        Self {
            requests: bucket.requests,
            errors: bucket.errors,
            bytes_in: bucket.bytes_in,
            bytes_out: bucket.bytes_out,
            database_seconds: seconds(bucket.database_us),
        }
    }
}

fn seconds(microseconds: u64) -> f64 {
    std::time::Duration::from_micros(microseconds).as_secs_f64()
}

impl UsedView {
    fn sum(buckets: &[UsageBucket]) -> Self {
        let sum = |of: fn(&UsageBucket) -> u64| buckets.iter().map(of).fold(0, u64::saturating_add);
        Self {
            requests: sum(|bucket| bucket.requests),
            errors: sum(|bucket| bucket.errors),
            bytes_in: sum(|bucket| bucket.bytes_in),
            bytes_out: sum(|bucket| bucket.bytes_out),
            database_seconds: seconds(sum(|bucket| bucket.database_us)),
        }
    }
}

impl From<Usage> for CurrentView {
    fn from(now: Usage) -> Self {
        let limits = now.limits;
        let quota = |used, limit| QuotaView { used, limit };
        Self {
            storage_bytes: quota(now.storage_bytes, limits.max_storage_bytes),
            users: quota(now.users, limits.max_users.map(u64::from)),
            requests_today: quota(Some(now.requests_today), limits.api_requests_per_day),
        }
    }
}

/// How far back: hours or days.
#[derive(Debug, Clone, Copy)]
struct TimeRange(TimeDelta);

impl TimeRange {
    const MAX_DAYS: i64 = 366;
}

impl FromStr for TimeRange {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = || Invalid::because("must be hours or days up to 366, e.g. 24h or 30d");
        let digits =
            text.strip_suffix(['h', 'd']).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        let count: i64 = digits.and_then(|digits| digits.parse().ok()).ok_or_else(refused)?;
        let most = if text.ends_with('h') { Self::MAX_DAYS * 24 } else { Self::MAX_DAYS };
        if !(1..=most).contains(&count) {
            return Err(refused());
        }
        Ok(Self(if text.ends_with('h') { TimeDelta::hours(count) } else { TimeDelta::days(count) }))
    }
}

/// What a tenant used
///
/// For a bill, and to see how near its limits it is.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/usage", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "Id or slug", example = "my-org"),
        ("timeRange" = Option<String>, Query, description = "How far back: hours or days, up to 366 days; 30d if not given", example = "30d"),
        ("bucket" = Option<vocabulary::Bucket>, Query, description = "How long the parts are; hours up to three days back, days otherwise", example = "day"),
    ),
    responses((status = 200, description = "Its usage", body = UsageView)),
    security(("apiKey" = ["tenants:read"])),
)]
pub(crate) async fn tenant_usage(
    _: Authorized<TenantsRead>,
    InPath(tenant): InPath<TenantRef>,
    State(registry): State<Registry>,
    State(clock): State<Arc<dyn Clock>>,
    mut query: QueryParams,
) -> Result<Json<UsageView>, Refusal> {
    let (range, bucket) = (query.take("timeRange"), query.take("bucket"));
    query.finish()?;
    let TimeRange(range) = range.unwrap_or(TimeRange(TimeDelta::days(30)));
    let bucket = bucket.unwrap_or(if range <= TimeDelta::days(3) { Bucket::Hour } else { Bucket::Day });
    let id = tenant.find(&registry).await?.tenant.id;
    let now = clock.now();
    let (from, to) = (now - range, now);
    let buckets = registry.usage_between(id, from, to, bucket).await?;
    let current = registry.usage_now(id, now).await?.ok_or_else(|| Refusal::not_found("tenant"))?;
    Ok(Json(UsageView {
        from,
        to,
        totals: UsedView::sum(&buckets),
        current: current.into(),
        buckets: buckets
            .iter()
            .map(|bucket| BucketView {
                at: bucket.at,
                used: bucket.into(),
                storage_bytes: bucket.storage_bytes,
            })
            .collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_hours_or_days_up_to_a_year() {
        let range = |text: &str| text.parse::<TimeRange>().map(|TimeRange(range)| range);
        assert_eq!(range("24h"), Ok(TimeDelta::hours(24)));
        assert_eq!(range("366d"), Ok(TimeDelta::days(366)));
        for text in ["", "d", "0d", "367d", "-1d", "+1d", "1w", "1.5h", "99999999999999999999h", "30"] {
            assert!(range(text).is_err(), "{text}");
        }
    }
}
