//! The access log: one line per request, or per one in many.

use std::{
    cell::Cell,
    num::NonZeroU32,
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use axum::http::{Method, StatusCode};
use tenantry_domain::{Invalid, ids::TenantId};

use crate::RequestId;

/// The target of the access log's lines: filters choose them by it.
pub const TARGET: &str = "tenantry::access";

tokio::task_local! {
    /// The tenant of the request at hand.
    static TENANT: Cell<Option<TenantId>>;
}

/// Which requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessLog {
    /// None.
    #[default]
    Off,
    /// One in this many, the first included; 1 is all.
    OneIn(NonZeroU32),
}

impl FromStr for AccessLog {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number = match text {
            "off" => return Ok(Self::Off),
            "all" => Some(NonZeroU32::MIN),
            text => text.strip_prefix("1/").and_then(|number| number.parse().ok()),
        };
        let number = number.ok_or_else(|| Invalid::because("must be off, all, or 1/N with a whole number N"));
        number.map(Self::OneIn)
    }
}

impl std::fmt::Display for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::OneIn(NonZeroU32::MIN) => f.write_str("all"),
            Self::OneIn(number) => write!(f, "1/{number}"),
        }
    }
}

/// Says which tenant the request at hand is for, for its log lines.
pub fn note_tenant(tenant: TenantId) {
    let span = tracing::Span::current();
    if !span.is_disabled() {
        span.record("tenant.id", tracing::field::display(tenant));
    }
    // Outside of a request that is logged there is nothing to note it in.
    let _ = TENANT.try_with(|noted| noted.set(Some(tenant)));
}

/// Chooses requests and writes their lines.
#[derive(Debug)]
pub(crate) struct AccessLogger {
    setting: AccessLog,
    seen: AtomicU32,
}

/// What is known of a request before it is answered.
pub(crate) struct Asked {
    method: Method,
    path: String,
}

impl AccessLogger {
    pub(crate) fn new(setting: AccessLog) -> Self {
        Self { setting, seen: AtomicU32::new(0) }
    }

    /// What to log of a request, if it is one to be logged. The query is left out: it holds data.
    pub(crate) fn choose(&self, method: &Method, path: &str) -> Option<Asked> {
        let AccessLog::OneIn(number) = self.setting else { return None };
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        (seen % number == 0).then(|| Asked { method: method.clone(), path: path.to_owned() })
    }
}

impl Asked {
    /// Answers the request and writes its line. `outcome` says what of the answer goes into it.
    pub(crate) async fn log<T>(
        self,
        id: &RequestId,
        answer: impl Future<Output = T>,
        outcome: impl FnOnce(&T) -> (StatusCode, Duration),
    ) -> T {
        let (answer, tenant) = TENANT
            .scope(Cell::new(None), async {
                let answer = answer.await;
                (answer, TENANT.with(Cell::get))
            })
            .await;
        let (status, elapsed) = outcome(&answer);
        let Self { method, path } = self;
        let tenant = tenant.map(|tenant| tenant.to_string());
        tracing::event!(
            target: TARGET,
            parent: None,
            tracing::Level::INFO,
            http.method = %method,
            http.path = path,
            http.status = status.as_u16(),
            elapsed_ms = elapsed.as_secs_f64() * 1e3,
            tenant.id = tenant,
            request.id = id.as_str(),
            "access"
        );
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_in_n_is_logged() {
        let logger = AccessLogger::new("1/3".parse().unwrap());
        let chosen = (0..9).filter(|_| logger.choose(&Method::GET, "/api/x").is_some()).count();
        assert_eq!(chosen, 3);
        assert!(AccessLogger::new(AccessLog::Off).choose(&Method::GET, "/").is_none());
    }

    #[test]
    fn a_setting_reads_as_it_is_written() {
        for text in ["off", "all", "1/100"] {
            assert_eq!(text.parse::<AccessLog>().unwrap().to_string(), text);
        }
        for text in ["", "on", "1/0", "2/3", "1/x"] {
            assert!(text.parse::<AccessLog>().is_err(), "{text}");
        }
    }
}
