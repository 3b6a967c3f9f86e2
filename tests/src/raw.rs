//! HTTP/1.1 byte for byte: what no client library would send, and what they would put right.

use std::{net::SocketAddr, time::Duration};

use reqwest::{
    StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::Answer;

/// A request, sent exactly as it is written here, on a connection of its own.
#[derive(Debug, Clone)]
pub struct RawRequest {
    method: String,
    target: String,
    version: &'static str,
    headers: Vec<(String, String)>,
    body: String,
    before: Vec<RawRequest>,
}

impl RawRequest {
    /// A request without a header.
    pub fn new(method: &str, target: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.into(),
            version: "HTTP/1.1",
            headers: Vec::new(),
            body: String::new(),
            before: Vec::new(),
        }
    }

    /// With one more header, also where it has one of the name.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Without the headers of a name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// With another method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// In another version of HTTP.
    #[must_use]
    pub fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// With a body, as JSON unless a header says otherwise. Its length is announced unless a header says how it comes.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        if !self.has("content-type") {
            self = self.header("content-type", "application/json");
        }
        self
    }

    /// Sent in one write with another in front of it.
    #[must_use]
    pub fn after(mut self, first: Self) -> Self {
        self.before.push(first);
        self
    }

    /// The requests that go before it on its connection.
    pub fn before(&self) -> &[Self] {
        &self.before
    }

    /// Whether a header of that name has that value.
    pub fn says(&self, name: &str, value: &str) -> bool {
        self.headers.iter().any(|(known, said)| known.eq_ignore_ascii_case(name) && said == value)
    }

    /// Sends all of it and reads until the server closes: one answer each, less where the server had enough.
    pub async fn send(&self, address: SocketAddr) -> Vec<Answer> {
        let mut bytes = Vec::new();
        for request in &self.before {
            request.write(&mut bytes, "keep-alive");
        }
        self.write(&mut bytes, "close");
        let exchange = async {
            let mut stream = TcpStream::connect(address).await.expect("the listener accepts");
            stream.write_all(&bytes).await.expect("the request is taken");
            let mut received = Vec::new();
            // A server that closes on what it did not read resets the connection; what it said counts.
            let _ = stream.read_to_end(&mut received).await;
            received
        };
        let received =
            tokio::time::timeout(Duration::from_secs(20), exchange).await.expect("the server closes in time");
        let methods = self.before.iter().chain([self]).map(|request| request.method.as_str());
        answers(&received, methods)
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    fn write(&self, bytes: &mut Vec<u8>, connection: &str) {
        let Self { method, target, version, headers, body, .. } = self;
        let mut head = format!("{method} {target} {version}\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if !self.has("connection") {
            head.extend(["connection: ", connection, "\r\n"]);
        }
        if !body.is_empty() && !self.has("content-length") && !self.has("transfer-encoding") {
            head.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
        }
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body.as_bytes());
    }
}

/// Takes apart what came back. Panics on what is no HTTP.
fn answers<'m>(mut received: &[u8], methods: impl Iterator<Item = &'m str>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for method in methods {
        if received.is_empty() {
            break;
        }
        let end =
            received.windows(4).position(|four| four == b"\r\n\r\n").expect("the head of an answer ends");
        let head = std::str::from_utf8(&received[..end]).expect("a head is text");
        received = &received[end + 4..];
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let status: StatusCode = status.parse().expect("a status");
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').expect("a header");
            let name: HeaderName = name.parse().expect("a header's name");
            headers.append(name, HeaderValue::from_str(value.trim()).expect("a header's value"));
        }
        assert!(!headers.contains_key("transfer-encoding"), "an answer in pieces is not expected: {head}");
        let bodyless = method == "HEAD" || status == 204 || status == 304;
        let announced = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
        let length = if bodyless { 0 } else { announced.unwrap_or(received.len()) };
        let (body, rest) = received.split_at(length);
        received = rest;
        answers.push(Answer { status, headers, text: String::from_utf8_lossy(body).into_owned() });
    }
    // Whatever nobody asked for counts too: it may be another's.
    if let (false, Some(last)) = (received.is_empty(), answers.last_mut()) {
        last.text += &String::from_utf8_lossy(received);
    }
    answers
}
