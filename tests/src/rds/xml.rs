//! Answers in the notation of Amazon's query protocol.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;

const NAMESPACE: &str = "http://rds.amazonaws.com/doc/2014-10-31/";

/// A text as XML has it.
pub(super) fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An element with a text.
pub(super) fn element(name: &str, value: &str) -> String {
    format!("<{name}>{}</{name}>", text(value))
}

fn respond(status: u16, body: String) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("content-type", "text/xml");
    response.body(Full::new(Bytes::from(body))).expect("an answer")
}

/// What was asked for, and was done.
pub(super) fn done(action: &str, result: &str) -> Response<Full<Bytes>> {
    let id = "<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>";
    respond(
        200,
        format!(
            "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{result}</{action}Result>{id}</{action}Response>"
        ),
    )
}

/// A refusal.
pub(super) fn refused(status: u16, code: &str, message: &str) -> Response<Full<Bytes>> {
    let error = format!("<Type>Sender</Type>{}{}", element("Code", code), element("Message", message));
    respond(
        status,
        format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error>{error}</Error><RequestId>1</RequestId></ErrorResponse>"
        ),
    )
}

/// What something in between answers.
pub(super) fn unreadable(status: u16) -> Response<Full<Bytes>> {
    respond(status, "<html>something went wrong</html>".into())
}
