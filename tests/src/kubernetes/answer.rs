//! Answers of the API server.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use serde_json::{Value, json};

use super::Answer;

/// Who has it may do everything.
pub(super) const TOKEN: &str = "test-token";

/// An object.
pub(super) fn object(code: u16, value: &Value) -> Answer {
    let body = Full::new(Bytes::from(value.to_string())).map_err(|never| match never {});
    let response = Response::builder().status(code).header("content-type", "application/json");
    let response = if code == 429 { response.header("retry-after", "1") } else { response };
    response.body(body.map_err(|error: io::Error| error).boxed_unsync()).expect("an answer")
}

/// A document of a type whose empty form has no bytes.
pub(super) fn nothing(content: &str) -> Answer {
    let body = Full::new(Bytes::new()).map_err(|never| match never {});
    let response = Response::builder().header("content-type", content);
    response.body(body.map_err(|error: io::Error| error).boxed_unsync()).expect("an answer")
}

/// The reason that goes with a status.
fn reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    }
}

/// A status as an object.
pub(super) fn status_object(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code,
    })
}

/// A failure.
pub(super) fn status(code: u16, message: &str) -> Answer {
    object(code, &status_object(code, reason(code), message))
}

/// A failure with another reason than the usual one.
pub(super) fn because(code: u16, reason: &str, message: &str) -> Answer {
    object(code, &status_object(code, reason, message))
}
