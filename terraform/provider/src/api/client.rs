//! Sends requests, again where that does no harm.

use std::time::Duration;

use reqwest::{
    Client, StatusCode, Url,
    header::{HeaderMap, RETRY_AFTER},
};
use serde_json::Value as Json;

use super::{
    problem::{ApiError, Problem},
    request::{Answer, Request},
    stop::Stop,
};
use crate::log;

/// How often a request is sent that does not come through: some 10 s in all, the length of a restart.
const TRIES: u32 = 7;
/// The first pause between two of them.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Longer than a worker may take to look at a server or to try a version.
const TIMEOUT: Duration = Duration::from_mins(2);

/// Where the API is, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) url: Url,
    pub(crate) api_key: String,
    /// How long an operation is waited for.
    pub(crate) patience: Duration,
}

/// The API.
#[derive(Debug)]
pub(crate) struct Api {
    http: Client,
    root: String,
    key: String,
    pub(super) patience: Duration,
    pub(super) stop: Stop,
}

impl Api {
    pub(crate) fn new(connection: Connection, stop: Stop) -> Result<Self, reqwest::Error> {
        let http = Client::builder()
            .user_agent(concat!("terraform-provider-tenantry/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .build()?;
        let root = format!("{}/api/v1", connection.url.as_str().trim_end_matches('/'));
        Ok(Self { http, root, key: connection.api_key, patience: connection.patience, stop })
    }

    /// Sends a request until it is answered, and gives the answer unless it is a problem.
    pub(crate) async fn send(&self, request: Request) -> Result<Answer, ApiError> {
        let mut pause = PAUSE;
        for again in (0..TRIES).rev() {
            let (failure, retry_after) = match self.exchange(&request).await {
                Ok(Exchange::Answer(answer)) => return Ok(answer),
                Ok(Exchange::Problem { problem, retry_after }) => {
                    let error = ApiError::Problem(problem);
                    if retry_after.is_none() {
                        return Err(error);
                    }
                    (error, retry_after)
                }
                Err(error) => (ApiError::Unreachable(self.reason(&error)), None),
            };
            if again == 0 {
                return Err(failure);
            }
            log::debug(&format!("{} {}: {failure}; trying again", request.method, request.path));
            tokio::select! {
                () = tokio::time::sleep(retry_after.unwrap_or(pause)) => {}
                () = self.stop.stopped() => return Err(failure),
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        unreachable!("the last try returns")
    }

    /// GET of one thing; none if it is not there.
    pub(crate) async fn find(&self, segments: &[&str]) -> Result<Option<Json>, ApiError> {
        match self.send(Request::get(segments)).await {
            Ok(answer) => Ok(Some(answer.body)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All items of a listing, page by page.
    pub(crate) async fn list(&self, listing: Request) -> Result<Vec<Json>, ApiError> {
        let mut items = Vec::new();
        let mut request = listing.clone();
        loop {
            let mut page = self.send(request).await?.body;
            if let Some(Json::Array(more)) = page.get_mut("items").map(Json::take) {
                items.extend(more);
            }
            let Some(cursor) = page["nextCursor"].as_str() else { return Ok(items) };
            request = listing.clone().asking("cursor", cursor);
        }
    }

    async fn exchange(&self, request: &Request) -> Result<Exchange, reqwest::Error> {
        let mut builder = self
            .http
            .request(request.method.clone(), format!("{}{}", self.root, request.path))
            .bearer_auth(&self.key);
        if !request.query.is_empty() {
            builder = builder.query(&request.query);
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        if let Some(key) = &request.idempotency_key {
            builder = builder.header("Idempotency-Key", key);
        }
        let response = builder.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await?;
        let unexpected = || Problem {
            code: "unexpected_answer".to_owned(),
            detail: format!(
                "{} at {} answered {status} and no JSON; is the url the control plane's?",
                request.method, self.root
            ),
            ..Problem::default()
        };
        let body = if bytes.is_empty() { Ok(Json::Null) } else { serde_json::from_slice(&bytes) };
        let problem = match body {
            Ok(body) if status.is_success() => return Ok(Exchange::Answer(Answer { body })),
            Ok(body) => serde_json::from_value(body).unwrap_or_else(|_| unexpected()),
            Err(_) => unexpected(),
        };
        let problem = Box::new(Problem { status: status.as_u16(), ..problem });
        Ok(Exchange::Problem { retry_after: retry_after(status, &headers), problem })
    }

    fn reason(&self, error: &reqwest::Error) -> String {
        let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        let cause = causes.by_ref().last().map_or_else(|| error.to_string(), ToString::to_string);
        format!("{} cannot be reached: {cause}", self.root)
    }
}

enum Exchange {
    Answer(Answer),
    Problem { problem: Box<Problem>, retry_after: Option<Duration> },
}

/// When a request may come through; none if it never will.
fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let told = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE));
    let passing = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    if passing { told.or(Some(PAUSE)) } else { told }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Answers a request each with one of these, or with nothing; gives the keys that came.
    async fn answered_with(answers: &'static [&'static str]) -> (Result<Answer, ApiError>, Vec<String>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let server = tokio::spawn(async move {
            let mut keys = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap().into());
                }
                keys.extend(
                    head.lines().filter_map(|line| line.strip_prefix("idempotency-key: ")).map(str::to_owned),
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            keys
        });
        let connection = Connection { url, api_key: "key".to_owned(), patience: TIMEOUT };
        let api = Api::new(connection, Stop::new()).unwrap();
        let answer = api.send(Request::post(&["plans"])).await;
        (answer, server.await.unwrap())
    }

    const DONE: &str = "HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";

    #[tokio::test]
    async fn what_is_not_answered_is_sent_again_with_the_same_key() {
        let (answer, keys) = answered_with(&[
            "",
            "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            DONE,
        ])
        .await;
        assert!(answer.is_ok());
        assert_eq!(keys.len(), 3);
        assert!(keys.iter().all(|key| *key == keys[0] && key.starts_with("terraform-")), "{keys:?}");
    }

    #[tokio::test]
    async fn an_answer_that_is_no_json_is_not_the_apis() {
        let (answer, _) =
            answered_with(&["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\n<html>"]).await;
        assert!(answer.unwrap_err().is("unexpected_answer"));
    }

    #[tokio::test]
    async fn what_is_refused_is_not_sent_again() {
        let (answer, keys) = answered_with(&[
            "HTTP/1.1 409 Conflict\r\nconnection: close\r\ncontent-length: 22\r\n\r\n{\"code\":\"plan_exists\"}",
        ])
        .await;
        assert!(answer.unwrap_err().is("plan_exists"));
        assert_eq!(keys.len(), 1);
    }
}
