//! A request and its answer.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Map, Value as Json};

use crate::random;

/// What a path's segment may hold as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A request, which may be sent more than once.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Json>,
    pub(crate) idempotency_key: Option<String>,
}

impl Request {
    /// A request to a path of segments below the API's root.
    pub(crate) fn new(method: Method, segments: &[&str]) -> Self {
        let path = segments.iter().fold(String::new(), |mut path, segment| {
            path.push('/');
            path.extend(utf8_percent_encode(segment, SEGMENT));
            path
        });
        Self { method, path, query: Vec::new(), body: None, idempotency_key: None }
    }

    pub(crate) fn get(segments: &[&str]) -> Self {
        Self::new(Method::GET, segments)
    }

    /// A POST. It has a key, so that it may be repeated when its answer is lost.
    ///
    /// The key holds for one apply: Terraform keeps nothing of an apply that died which could find it again.
    pub(crate) fn post(segments: &[&str]) -> Self {
        Self { idempotency_key: Some(random::key()), ..Self::new(Method::POST, segments) }
    }

    pub(crate) fn put(segments: &[&str]) -> Self {
        Self::new(Method::PUT, segments)
    }

    pub(crate) fn patch(segments: &[&str]) -> Self {
        Self::new(Method::PATCH, segments)
    }

    pub(crate) fn delete(segments: &[&str]) -> Self {
        Self::new(Method::DELETE, segments)
    }

    pub(crate) fn with(self, body: Map<String, Json>) -> Self {
        Self { body: Some(Json::Object(body)), ..self }
    }

    pub(crate) fn asking(mut self, name: &'static str, value: &str) -> Self {
        self.query.push((name, value.to_owned()));
        self
    }
}

/// An answer that is no problem.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(Request::get(&["tenants", "a/../b?c"]).path, "/tenants/a%2F..%2Fb%3Fc");
    }
}
