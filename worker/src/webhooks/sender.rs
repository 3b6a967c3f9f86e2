//! One attempt: signs an event and sends it to where a webhook says, if requests may go there.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use reqwest::{Response, StatusCode, header};
use secrecy::ExposeSecret;
use serde_json::Map;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP};
use tenantry_domain::{envelope::Key, purpose::Purpose};
use tenantry_outbound::{Outbound, root_cause};
use tenantry_registry::Attempt;

use super::WebhookSettings;

/// Bytes of an answer that are read: nobody wants to know more than how it begins.
const READ_OF_ANSWER: usize = 16 << 10;
/// Characters of it that are shown.
const SHOWN_OF_ANSWER: usize = 200;

/// An event was not taken.
#[derive(Debug)]
pub(super) struct Refused {
    /// The answer's status, if there was one.
    pub(super) status: Option<u16>,
    /// For a person.
    pub(super) message: String,
    /// The endpoint is gone.
    pub(super) for_good: bool,
}

impl Refused {
    fn because(message: impl Into<String>) -> Self {
        Self { status: None, message: message.into(), for_good: false }
    }
}

/// Sends events.
pub(super) struct Sender {
    settings: WebhookSettings,
    outbound: Arc<Outbound>,
}

impl Sender {
    pub(super) fn new(settings: WebhookSettings, outbound: Arc<Outbound>) -> Self {
        Self { settings, outbound }
    }

    /// Sends an event; the status of the answer that took it.
    pub(super) async fn send(
        &self,
        attempt: &Attempt,
        kek: &Key,
        now: DateTime<Utc>,
    ) -> Result<u16, Refused> {
        let client =
            self.outbound.client(&attempt.url).map_err(|error| Refused::because(error.to_string()))?;
        let body = body(attempt, kek)?;
        let request = client
            .post(attempt.url.as_str())
            .timeout(self.settings.timeout)
            .header(header::CONTENT_TYPE, "application/json")
            .header(HEADER_WEBHOOK_ID, attempt.event.id.to_string())
            .header(HEADER_WEBHOOK_TIMESTAMP, now.timestamp())
            .header(HEADER_WEBHOOK_SIGNATURE, signature(attempt, kek, &body, now)?)
            .body(body);
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(status.as_u16());
        }
        Err(Refused {
            status: Some(status.as_u16()),
            message: said(response).await,
            for_good: status == StatusCode::GONE,
        })
    }

    fn unreachable(&self, error: reqwest::Error) -> Refused {
        let message = if error.is_timeout() {
            format!("no answer within {} s", self.settings.timeout.as_secs_f64())
        } else {
            root_cause(&error.without_url())
        };
        Refused::because(message)
    }
}

/// What is sent: the same bytes in each attempt, until one-time tokens expire.
fn body(attempt: &Attempt, kek: &Key) -> Result<String, Refused> {
    let secret = match &attempt.secret {
        Some(secret) => {
            secret.open(kek, attempt.event.id).map_err(|error| Refused::because(error.to_string()))?
        }
        None => Map::new(),
    };
    Ok(attempt.event.body(secret).to_string())
}

/// A signature with each secret that is good.
fn signature(attempt: &Attempt, kek: &Key, body: &str, now: DateTime<Utc>) -> Result<String, Refused> {
    let purpose = Purpose::WebhookSecret(attempt.taken.webhook).to_string();
    let id = attempt.event.id.to_string();
    let sign = |sealed: &Vec<u8>| {
        let secret = kek.open_text(&purpose, sealed).map_err(|error| Refused::because(error.to_string()))?;
        standardwebhooks::Webhook::new(secret.expose_secret())
            .and_then(|key| key.sign(&id, now.timestamp(), body.as_bytes()))
            .map_err(|error| Refused::because(error.to_string()))
    };
    let signatures: Vec<String> = attempt.secrets.iter().map(sign).collect::<Result<_, _>>()?;
    Ok(signatures.join(" "))
}

/// What an answer says that refuses an event, in one line.
async fn said(mut response: Response) -> String {
    let status = response.status();
    if status.is_redirection() {
        return format!(
            "answered {status}; redirects are not followed, so give the webhook the URL that it leads to"
        );
    }
    let mut read = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        read.extend_from_slice(&chunk);
        if read.len() >= READ_OF_ANSWER {
            break;
        }
    }
    let text = String::from_utf8_lossy(&read);
    let line: String =
        text.trim().chars().take(SHOWN_OF_ANSWER).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.is_empty() { format!("answered {status}") } else { format!("answered {status}: {line}") }
}
