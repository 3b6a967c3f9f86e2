//! `Prefer: wait=N` (RFC 7240): the client would rather wait than ask again.

use std::time::Duration;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use tenantry_http::Problem;

use crate::refusal::Refusal;

/// What the client prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefer {
    /// How long to wait for the operation; zero is not at all.
    pub(crate) wait: Duration,
}

impl Prefer {
    /// The longest wait, in seconds.
    const MAX: u64 = 60;

    fn parse(headers: &HeaderMap) -> Result<Self, Refusal> {
        let invalid =
            || Refusal::from(Problem::invalid("Prefer", "must be `wait=N` with N from 0 to 60 seconds"));
        let mut wait = None;
        for value in headers.get_all("prefer") {
            let value = value.to_str().map_err(|_| invalid())?;
            for preference in value.split([',', ';']) {
                let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
                // Preferences that we do not know are ignored, as the RFC says; the first of two counts.
                if !name.trim().eq_ignore_ascii_case("wait") || wait.is_some() {
                    continue;
                }
                let text = value.trim().trim_matches('"');
                let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                let seconds = text.parse().ok().filter(|seconds| digits && *seconds <= Self::MAX);
                wait = Some(Duration::from_secs(seconds.ok_or_else(invalid)?));
            }
        }
        Ok(Self { wait: wait.unwrap_or_default() })
    }
}

impl<S: Sync> FromRequestParts<S> for Prefer {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Self::parse(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn read(value: &str) -> Option<u64> {
        let value = HeaderValue::from_str(value).unwrap();
        let headers = HeaderMap::from_iter([(HeaderName::from_static("prefer"), value)]);
        Prefer::parse(&headers).ok().map(|prefer| prefer.wait.as_secs())
    }

    #[test]
    fn a_wait_is_read_among_other_preferences() {
        assert_eq!(read("wait=10"), Some(10));
        assert_eq!(read("return=minimal, Wait=\"60\""), Some(60));
        assert_eq!(read("respond-async; wait=0"), Some(0));
        assert_eq!(read("return=minimal"), Some(0));
        assert_eq!(read("wait=5, wait=9"), Some(5));
    }

    #[test]
    fn a_wait_that_is_none_is_refused() {
        for value in [
            "wait",
            "wait=",
            "wait=61",
            "wait=-1",
            "wait=+1",
            "wait=1.5",
            "wait=soon",
            "wait=99999999999999999999",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
