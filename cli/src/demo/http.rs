//! The play's HTTP client: both planes, as a SaaS back end and its customers' browsers would call them.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// See the module.
pub(super) struct Client {
    http: reqwest::Client,
    control_plane: SocketAddr,
    data_plane: SocketAddr,
    api_key: SecretString,
}

/// How a request names its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Subdomain,
    Header,
    Path,
    Query,
}

impl By {
    pub(super) const ALL: [Self; 4] = [Self::Subdomain, Self::Header, Self::Path, Self::Query];
}

/// An answer: its status and JSON (null where there is none).
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Answer {
    /// The answer, if it has this status.
    pub(super) fn expect(self, status: u16) -> anyhow::Result<Value> {
        ensure!(
            self.status.as_u16() == status,
            "answered {} instead of {status}: {}",
            self.status,
            self.body
        );
        Ok(self.body)
    }

    /// The stable code of a problem document.
    pub(super) fn code(&self) -> &str {
        let kind = self.body["type"].as_str().unwrap_or_default();
        kind.rsplit(':').next().unwrap_or_default()
    }
}

impl Client {
    pub(super) fn new(
        control_plane: SocketAddr,
        data_plane: SocketAddr,
        api_key: SecretString,
    ) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_mins(1)).build()?;
        Ok(Self { http, control_plane, data_plane, api_key })
    }

    /// A request to the control plane.
    pub(super) fn api(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}/api/v1{path}", self.control_plane);
        self.http.request(method, url).bearer_auth(self.api_key.expose_secret())
    }

    /// A request for a tenant's table; `rest` is what follows the table in the URL.
    pub(super) fn data(
        &self,
        method: Method,
        by: By,
        tenant: &str,
        key: &SecretString,
        rest: &str,
    ) -> RequestBuilder {
        let base = format!("http://{}", self.data_plane);
        let request = match by {
            By::Subdomain => {
                let host = format!("{tenant}.localhost:{}", self.data_plane.port());
                self.http.request(method, format!("{base}/api/{rest}")).header("host", host)
            }
            By::Header => {
                self.http.request(method, format!("{base}/api/{rest}")).header("x-tenant-id", tenant)
            }
            By::Path => self.http.request(method, format!("{base}/t/{tenant}/api/{rest}")),
            By::Query => {
                let separator = if rest.contains('?') { '&' } else { '?' };
                self.http.request(method, format!("{base}/api/{rest}{separator}tenant={tenant}"))
            }
        };
        request.bearer_auth(key.expose_secret())
    }

    /// Sends a request.
    pub(super) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        let response = request.send().await.context("no answer")?;
        let status = response.status();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, body })
    }
}
