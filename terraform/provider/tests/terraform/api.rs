//! The control plane's API, as somebody uses it who is not Terraform.

use reqwest::{Client, Method};
use serde_json::Value as Json;
use tokio::runtime::{Builder, Runtime};

pub(crate) struct Api {
    runtime: Runtime,
    http: Client,
    pub(crate) url: String,
    pub(crate) key: String,
}

impl Api {
    pub(crate) fn new(url: &str, key: &str) -> Self {
        Self {
            runtime: Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
            http: Client::new(),
            url: url.to_owned(),
            key: key.to_owned(),
        }
    }

    /// What a GET answers; none for 404.
    pub(crate) fn get(&self, path: &str) -> Option<Json> {
        let (status, body) = self.send(Method::GET, path, &Json::Null);
        (status != 404).then_some(body)
    }

    /// Sends something that must succeed, and waits for the work that it begins.
    pub(crate) fn change(&self, method: Method, path: &str, body: &Json) -> Json {
        let (status, answer) = self.send(method, path, body);
        assert!((200..300).contains(&status), "{path} answered {status}: {answer}");
        answer
    }

    fn send(&self, method: Method, path: &str, body: &Json) -> (u16, Json) {
        self.runtime.block_on(async {
            let request = self
                .http
                .request(method, format!("{}/api/v1{path}", self.url))
                .bearer_auth(&self.key)
                .header("Prefer", "wait=30");
            let request = if body.is_null() { request } else { request.json(body) };
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let bytes = response.bytes().await.unwrap();
            (status, serde_json::from_slice(&bytes).unwrap_or_default())
        })
    }
}
