//! A plain HTTP client that keeps status, headers and body of each answer.

use std::{net::SocketAddr, time::Duration};

use reqwest::{
    Method, RequestBuilder, StatusCode,
    header::{HeaderMap, HeaderName},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// A client of one listener, with a key or without.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    address: SocketAddr,
    key: Option<SecretString>,
    host: Option<String>,
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
}

/// A client that keeps this many connections.
fn client(kept: usize) -> reqwest::Client {
    tenantry_cli::choose_cryptography();
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(90))
        .pool_max_idle_per_host(kept)
        // Sooner than the planes close what waits for a request, or one may be sent on what is about to be closed.
        .pool_idle_timeout(Duration::from_secs(15));
    client.build().expect("a client without surprises")
}

impl Api {
    /// A client without a key.
    pub fn new(address: SocketAddr) -> Self {
        Self { http: client(64), address, key: None, host: None }
    }

    /// The same client with a key.
    #[must_use]
    pub fn with_key(&self, key: impl Into<SecretString>) -> Self {
        Self { key: Some(key.into()), ..self.clone() }
    }

    /// The same client without one.
    #[must_use]
    pub fn without_key(&self) -> Self {
        Self { key: None, ..self.clone() }
    }

    /// The same client, whose every request has a connection of its own.
    #[must_use]
    pub fn on_new_connections(&self) -> Self {
        Self { http: client(0), ..self.clone() }
    }

    /// The same client, asking for another host at the same address.
    #[must_use]
    pub fn with_host(&self, host: impl Into<String>) -> Self {
        Self { host: Some(host.into()), ..self.clone() }
    }

    /// The listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A request to a path (with its query), to be completed and given to [`Api::send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("http://{}{path}", self.address));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        if let Some(host) = &self.host {
            request = request.header("host", host);
        }
        request
    }

    /// Sends a request and reads the answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("a body");
        Answer { status, headers, text }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    /// POST of JSON, waiting up to 30 s for work that takes time.
    pub async fn post_and_wait(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).header("prefer", "wait=30").json(&body)).await
    }

    /// PUT of JSON.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(&body)).await
    }

    /// PATCH of JSON.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(&body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// DELETE, waiting up to 30 s for work that takes time.
    pub async fn delete_and_wait(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path).header("prefer", "wait=30")).await
    }
}

impl Answer {
    /// The body as JSON; panics with the whole answer if it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// Asserts the status.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "an assertion")]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// Asserts a problem document with this status and stable name, which is the end of its `type`.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "an assertion")]
    pub fn expect_problem(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        answer.assert_problem();
        assert_eq!(answer.problem_name().as_deref(), Some(code), "{}", answer.text);
        answer
    }

    /// The stable name of a problem document's kind.
    pub fn problem_name(&self) -> Option<String> {
        let kind = serde_json::from_str::<Value>(&self.text).ok()?["type"].as_str()?.to_owned();
        kind.strip_prefix("urn:tenantry:problem:").map(str::to_owned)
    }

    /// Asserts that it is a well-formed problem document.
    #[track_caller]
    pub fn assert_problem(&self) {
        assert_eq!(self.header("content-type").as_deref(), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        for member in ["type", "title", "status", "detail", "code", "requestId"] {
            assert!(!problem[member].is_null(), "no `{member}` in {problem}");
        }
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["requestId"].as_str(), self.header("x-request-id").as_deref());
    }

    /// The names of the fields that a problem document complains of.
    pub fn fields(&self) -> Vec<String> {
        let errors = self.json()["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().filter_map(|error| error["field"].as_str().map(str::to_owned)).collect()
    }

    /// A header as text.
    pub fn header(&self, name: &'static str) -> Option<String> {
        self.headers
            .get(HeaderName::from_static(name))
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    }
}
