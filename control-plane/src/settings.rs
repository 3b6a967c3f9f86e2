//! What a control plane is configured with. Read from flags, environment and file by `cli`.

use std::{num::NonZeroU32, time::Duration};

use tenantry_domain::{app::AppName, plan::PlanName};
use tenantry_http::{AccessLog, ConnectionLimits};

use crate::{auth::OperatorSettings, trusted_proxy::TrustedProxy};

/// How the control plane behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Public sign-up; off without it.
    pub signup: Option<SignupSettings>,
    /// Whose tokens count beside API keys; none without it.
    pub operators: Option<OperatorSettings>,
    /// Proxies whose `Forwarded` and `X-Forwarded-For` are believed; without any, nobody's are.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// Tenants are `<slug>.<base domain>`; custom domains within it are refused.
    pub base_domain: String,
    /// The app of tenants that name none. Without it, the only app there is.
    pub default_app: Option<AppName>,
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// Which requests are logged.
    pub access_log: AccessLog,
    /// What clients may hold open.
    pub connections: ConnectionLimits,
    /// For how long a tenant's last move can be undone; zero: not at all.
    pub undo_moves_for: Duration,
}

impl Settings {
    /// The largest request body unless configured otherwise: 1 MiB.
    pub const MAX_BODY: usize = 1 << 20;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            signup: None,
            operators: None,
            trusted_proxies: Vec::new(),
            base_domain: "localhost".to_owned(),
            default_app: None,
            max_body: Self::MAX_BODY,
            access_log: AccessLog::Off,
            connections: ConnectionLimits::default(),
            undo_moves_for: Duration::from_hours(24),
        }
    }
}

/// What public sign-up gives, and how often.
#[derive(Debug, Clone)]
pub struct SignupSettings {
    /// Sign-ups per minute from one address (IPv6: one /64 network).
    pub per_minute: NonZeroU32,
    /// The plan of everybody who signs up.
    pub plan: PlanName,
    /// The app; without it, as for tenants that name none.
    pub app: Option<AppName>,
}
