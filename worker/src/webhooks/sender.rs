//! One attempt: signs an event and sends it to where a webhook says, if requests may go there.
//!
//! A host's addresses are looked up once, all of them are checked, and the connection goes to one of those: what DNS says a moment later
//! does not matter. An address in the URL is checked as it is. No redirect is followed, no proxy is asked.

use std::{
    error::Error,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};

use chrono::{DateTime, Utc};
use reqwest::{
    Client, Response, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header, redirect,
};
use secrecy::ExposeSecret;
use serde_json::Map;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP};
use tenantry_domain::{envelope::Key, purpose::Purpose, webhook::WebhookUrl};
use tenantry_registry::Attempt;
use url::Host;

use super::{
    WebhookSettings,
    addresses::{is_admitted, is_allowed},
};

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
    /// For https, to all addresses that are admitted.
    encrypted: OnceLock<Client>,
    /// For http, to networks that are allowed.
    plain: OnceLock<Client>,
}

impl Sender {
    pub(super) fn new(settings: WebhookSettings) -> Self {
        Self { settings, encrypted: OnceLock::new(), plain: OnceLock::new() }
    }

    /// Sends an event; the status of the answer that took it.
    pub(super) async fn send(
        &self,
        attempt: &Attempt,
        kek: &Key,
        now: DateTime<Utc>,
    ) -> Result<u16, Refused> {
        let target = Target::of(&attempt.url, &self.settings);
        target.check_literal(&attempt.url)?;
        let body = body(attempt, kek)?;
        let request = self
            .client(target)?
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

    fn client(&self, target: Target) -> Result<&Client, Refused> {
        let made = if target.encrypted { &self.encrypted } else { &self.plain };
        if let Some(client) = made.get() {
            return Ok(client);
        }
        let client = Client::builder()
            .user_agent(concat!("tenantry/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(target))
            .build()
            .map_err(|error| {
                Refused::because(format!("no HTTP client can be made: {}", root_cause(&error)))
            })?;
        Ok(made.get_or_init(|| client))
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

/// The last of what an error came of: "error sending request" tells nobody anything.
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Where a request goes, and which addresses it may go to.
#[derive(Debug, Clone)]
struct Target {
    encrypted: bool,
    settings: WebhookSettings,
}

impl Target {
    fn of(url: &WebhookUrl, settings: &WebhookSettings) -> Self {
        Self { encrypted: url.is_encrypted(), settings: settings.clone() }
    }

    /// Nobody resolves an address.
    fn check_literal(&self, url: &WebhookUrl) -> Result<(), Refused> {
        let address = match url.host() {
            Host::Domain(_) => return Ok(()),
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
        };
        self.check(address).map_err(Refused::because)
    }

    fn check(&self, address: IpAddr) -> Result<(), String> {
        let allowed = &self.settings.allow_networks;
        if !is_admitted(address, allowed) {
            return Err(format!(
                "the address {address} is not public, and in no network that TENANTRY_WEBHOOKS_ALLOW_NETWORKS names"
            ));
        }
        if !self.encrypted && !is_allowed(address, allowed) {
            return Err(format!(
                "http is for networks that TENANTRY_WEBHOOKS_ALLOW_NETWORKS names, and {address} is in none; use https"
            ));
        }
        Ok(())
    }

    /// All addresses of a host, if requests may go to all of them.
    async fn addresses(self, host: &str) -> Result<Vec<IpAddr>, String> {
        let found = self.settings.hosts.addresses(host).await;
        let found = found.map_err(|error| format!("the host {host} cannot be found: {error}"))?;
        if found.is_empty() {
            return Err(format!("the host {host} has no address"));
        }
        found.iter().try_for_each(|address| self.check(*address))?;
        Ok(found)
    }
}

impl Resolve for Target {
    fn resolve(&self, name: Name) -> Resolving {
        let target = self.clone();
        Box::pin(async move {
            let found = target.addresses(name.as_str()).await?;
            // The port is the URL's.
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}
