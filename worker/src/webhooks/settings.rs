//! What may be set on the sending to webhooks.

use std::{sync::Arc, time::Duration};

use ipnet::IpNet;

use super::{HostResolver, SystemHosts};

/// How events are sent.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// Networks that requests may go to though they are not public; there http will do.
    pub allow_networks: Vec<IpNet>,
    /// Finds the addresses of hosts.
    pub hosts: Arc<dyn HostResolver>,
    /// How long an attempt may take, from the look-up of the host to the end of the answer.
    pub timeout: Duration,
    /// Attempts at a time.
    pub at_once: usize,
    /// Attempts at a time at one webhook, so that a slow one leaves room for others.
    pub at_once_of_one: usize,
    /// How often it is looked for what is due without news.
    pub poll_interval: Duration,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            allow_networks: Vec::new(),
            hosts: Arc::new(SystemHosts),
            timeout: Duration::from_secs(15),
            at_once: 32,
            at_once_of_one: 4,
            poll_interval: Duration::from_secs(1),
        }
    }
}
