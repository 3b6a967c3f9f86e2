//! Errors as clients see them: `application/problem+json` (RFC 9457).

use std::{borrow::Cow, time::Duration};

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The challenge to whoever sent a key or token that does not count (RFC 6750).
pub const INVALID_TOKEN: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"tenantry\", error=\"invalid_token\"");

/// Seconds for a header that says how long to wait: as many as have to pass.
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// A problem document. Some kinds of problem have more members than these.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A URI that names the kind of problem: `urn:tenantry:problem:<code>`.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: Cow<'static, str>,
    /// The HTTP status.
    status: u16,
    /// What happened and what to do next.
    detail: Cow<'static, str>,
    /// For programs: the stable name at the end of `type`, or the code by which another system knows the problem.
    code: Cow<'static, str>,
    #[serde(skip)]
    name: Cow<'static, str>,
    /// What is wrong with which field of the input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// The id of the request, also in the header `x-request-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Members that only this kind of problem has.
    #[serde(flatten)]
    #[schema(ignore)]
    more: Map<String, Value>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FieldError {
    /// The field, as the client named it: `slug`, `limits.maxUsers`, or a parameter's or header's name.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Problem {
    /// A problem with its status, stable code and what to do next.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let code = code.into();
        Self {
            kind: format!("urn:tenantry:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            detail: detail.into(),
            name: code.clone(),
            code,
            errors: Vec::new(),
            request_id: None,
            more: Map::new(),
            headers: Vec::new(),
        }
    }

    /// 400 for one field.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        Self::new(StatusCode::BAD_REQUEST, "invalid_field", format!("`{field}` {message}"))
            .with_error(field, message)
    }

    /// 413 for a body of more than `max` bytes.
    pub fn body_too_large(max: usize) -> Self {
        let detail = format!("the body is larger than {max} bytes; send less at a time");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    /// With the members that clients of `PostgREST` read errors by, unless they are there.
    #[must_use]
    pub(crate) fn for_postgrest(mut self) -> Self {
        let detail = Value::from(&*self.detail);
        self.more.entry("message").or_insert(detail);
        for member in ["details", "hint"] {
            self.more.entry(member).or_insert(Value::Null);
        }
        self
    }

    /// 408 for a body that comes too slowly.
    pub fn body_too_slow() -> Self {
        let detail = "the body came too slowly; send it again, in smaller parts";
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
    }

    /// 404 for a thing of a kind, e.g. `tenant`.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what}_not_found"), format!("there is no such {what}"))
    }

    /// 503 with `Retry-After` in seconds.
    pub fn unavailable(code: &'static str, detail: impl Into<Cow<'static, str>>, retry_after: u16) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
            .with_header(header::RETRY_AFTER, retry_after.into())
    }

    /// 500. The cause goes to the log, not to the client.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong on our side; give the request id when you ask about it",
        )
    }

    /// Adds what is wrong with a field.
    #[must_use]
    pub fn with_error(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors.push(FieldError { field: field.into(), message: message.into() });
        self
    }

    /// Adds a member of its own, in camelCase.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.more.insert(member.to_owned(), value.into());
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The stable name.
    pub fn stable_name(&self) -> &str {
        &self.name
    }

    /// With the code by which another system's clients know it: an SQLSTATE, or one of `PostgREST`'s.
    #[must_use]
    pub fn known_as(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = code.into();
        self
    }

    /// With another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status.as_u16();
        self.title = status.canonical_reason().unwrap_or("Error").into();
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let headers = self.headers.clone();
        let mut response = (self.status(), Json(&self)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().extend(headers);
        // The layers add the request id; they find the document here instead of parsing the body again.
        response.extensions_mut().insert(self);
        response
    }
}

impl Problem {
    /// The same problem with the request's id in it.
    pub(crate) fn respond_with_id(mut self, id: &str, mut response: Response) -> Response {
        self.request_id = Some(id.to_owned());
        let body = serde_json::to_vec(&self).expect("a problem document is plain data");
        response.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
        *response.body_mut() = body.into();
        response
    }
}
