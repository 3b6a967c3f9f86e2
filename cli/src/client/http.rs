//! The API over HTTP: paths, key, idempotency, retries. Knows no resource.

use std::time::Duration;

use anyhow::Context;
use rand::Rng;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::problem;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer, or a stream between two signs of life, may be silent. The control plane sends
/// a comment into silent streams well within this.
const SILENCE: Duration = Duration::from_mins(1);
/// Waits before each further try.
const BACKOFF: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(600), Duration::from_millis(1800)];
/// The longest wait that the control plane may ask for with `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A control plane.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: Url,
    key: Option<SecretString>,
}

/// Parameters of a query.
pub(crate) type Query<'a> = [(&'a str, String)];

impl Api {
    pub(crate) fn new(base: Url, key: Option<SecretString>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("tenantry/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .build()
            .context("an HTTP client cannot be made")?;
        Ok(Self { http, base, key })
    }

    pub(crate) async fn get(&self, path: &[&str], query: &Query<'_>) -> anyhow::Result<Value> {
        let request = self.request(Method::GET, path).query(query);
        json(self.send(request, Retry::Lost).await?).await
    }

    /// Sends a body under a new idempotency key, so that a lost answer can be asked for again.
    pub(crate) async fn post(&self, path: &[&str], body: Option<&Value>) -> anyhow::Result<Value> {
        self.post_with(path, &[], body).await
    }

    /// As [`Api::post`], with parameters.
    pub(crate) async fn post_with(
        &self,
        path: &[&str],
        query: &Query<'_>,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let request = self.request(Method::POST, path).query(query);
        let mut request = request.header("Idempotency-Key", idempotency_key());
        if let Some(body) = body {
            request = request.json(body);
        }
        json(self.send(request, Retry::Lost).await?).await
    }

    pub(crate) async fn put(&self, path: &[&str], body: &Value) -> anyhow::Result<Value> {
        json(self.send(self.request(Method::PUT, path).json(body), Retry::Unsent).await?).await
    }

    pub(crate) async fn patch(&self, path: &[&str], body: &Value) -> anyhow::Result<Value> {
        self.patch_with(path, &[], body).await
    }

    /// As [`Api::patch`], with parameters.
    pub(crate) async fn patch_with(
        &self,
        path: &[&str],
        query: &Query<'_>,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let request = self.request(Method::PATCH, path).query(query);
        json(self.send(request.json(body), Retry::Unsent).await?).await
    }

    pub(crate) async fn delete(&self, path: &[&str], query: &Query<'_>) -> anyhow::Result<Value> {
        json(self.send(self.request(Method::DELETE, path).query(query), Retry::Unsent).await?).await
    }

    /// An answer that is read as it comes.
    pub(crate) async fn stream(&self, path: &[&str], query: &Query<'_>) -> anyhow::Result<Response> {
        self.send(self.request(Method::GET, path).query(query), Retry::Lost).await
    }

    /// Opens an event stream after the event with the given id. Tried once: who follows a stream
    /// has to come back anyway.
    pub(crate) async fn events(&self, path: &[&str], after: &str) -> anyhow::Result<Response> {
        let mut request = self.request(Method::GET, path);
        if !after.is_empty() {
            request = request.header("Last-Event-ID", after);
        }
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() { Ok(response) } else { Err(problem::read(response).await.into()) }
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let request = self
            .http
            .request(method, url(&self.base, path))
            .header(header::ACCEPT, "application/json, text/event-stream");
        match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder, retry: Retry) -> anyhow::Result<Response> {
        let mut waits = BACKOFF.into_iter();
        loop {
            let attempt = request.try_clone().context("a request with a stream cannot be repeated")?;
            let answer = attempt.send().await;
            let again = match &answer {
                Ok(response) => retry == Retry::Lost && is_passing(response),
                Err(error) => error.is_connect() || (retry == Retry::Lost && error.is_request()),
            };
            if let Some(wait) = again.then(|| waits.next()).flatten() {
                let asked = answer.as_ref().ok().and_then(retry_after);
                tokio::time::sleep(asked.map_or(wait, |asked| asked.clamp(wait, LONGEST_WAIT))).await;
                continue;
            }
            let response = answer.map_err(|error| self.unreachable(error))?;
            if response.status().is_success() {
                return Ok(response);
            }
            return Err(problem::read(response).await.into());
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        problem::Unreachable { url: self.base.clone(), source: error.without_url() }.into()
    }
}

/// The URL of a path below `/api/v1`, each segment escaped.
fn url(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    url.path_segments_mut()
        .expect("the base is http or https")
        .pop_if_empty()
        .extend(["api", "v1"])
        // The URL standard drops these two, escaped or not: they would name another endpoint.
        .extend(path.iter().map(|segment| if matches!(*segment, "." | "..") { "-" } else { segment }));
    url
}

/// What is worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    /// Only what was never sent.
    Unsent,
    /// Also what may have been done: a repetition does it no second time.
    Lost,
}

fn is_passing(response: &Response) -> bool {
    matches!(response.status(), StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The body; `null` when there is none.
async fn json(response: Response) -> anyhow::Result<Value> {
    let body = response.bytes().await.context("the control plane's answer broke off")?;
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body).context("the answer is not JSON; is there a control plane at --url?")
}

fn idempotency_key() -> String {
    let mut random = [0u8; 16];
    rand::rng().fill_bytes(&mut random);
    format!("{:032x}", u128::from_be_bytes(random))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request after the other with these statuses; what was sent.
    async fn server(statuses: &'static [&'static str]) -> (Api, tokio::task::JoinHandle<Vec<String>>) {
        crate::choose_cryptography();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let mut requests = Vec::new();
            for status in statuses {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap();
                requests.push(String::from_utf8_lossy(&request[..length]).into_owned());
                // An answer without a status is a connection that breaks off.
                if !status.is_empty() {
                    let answer =
                        format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
            requests
        });
        (Api::new(base.parse().unwrap(), Some("k".to_owned().into())).unwrap(), serving)
    }

    fn key_of(request: &str) -> Option<&str> {
        request.lines().find_map(|line| line.strip_prefix("idempotency-key: "))
    }

    #[tokio::test]
    async fn a_post_is_repeated_with_the_same_key_until_it_is_answered() {
        let (api, serving) = server(&["503 Service Unavailable", "", "202 Accepted"]).await;
        api.post(&["tenants"], None).await.unwrap();
        let requests = serving.await.unwrap();
        assert!(key_of(&requests[0]).is_some());
        assert!(requests.iter().all(|request| key_of(request) == key_of(&requests[0])));
        assert!(requests[0].contains("authorization: Bearer k"));
    }

    #[tokio::test]
    async fn what_may_have_been_done_is_not_repeated_without_a_key() {
        let (api, serving) = server(&["503 Service Unavailable"]).await;
        assert!(api.delete(&["tenants", "acme"], &[]).await.unwrap_err().to_string().contains("(503)"));
        assert_eq!(serving.await.unwrap().len(), 1);
    }

    #[test]
    fn what_the_user_types_stays_one_segment() {
        let url = |base: &str, path: &[&str]| url(&base.parse().unwrap(), path).to_string();
        assert_eq!(url("http://h:1", &["tenants", "a/b?c"]), "http://h:1/api/v1/tenants/a%2Fb%3Fc");
        assert_eq!(url("http://h/control/", &["tenants"]), "http://h/control/api/v1/tenants");
        assert_eq!(url("http://h", &["tenants", ".."]), "http://h/api/v1/tenants/-");
    }

    #[test]
    fn no_two_requests_share_an_idempotency_key() {
        assert_eq!(idempotency_key().len(), 32);
        assert_ne!(idempotency_key(), idempotency_key());
    }
}
