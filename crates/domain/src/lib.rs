//! The words of Tenantry as types: ids, names, plans, tiers, states and their transitions.
//!
//! Nothing here does I/O. A value that exists is valid: fields are private where an invariant
//! needs it, constructors parse, and serde goes through them. The clock, ids and randomness are
//! parameters (see [`clock`] and [`ids`]), so that tests can hold them still.

mod text_macros;

pub mod api_key;
pub mod app;
pub mod audit;
pub mod clock;
pub mod config;
pub mod connection;
pub mod database_share;
pub mod domain_name;
pub mod drift;
pub mod envelope;
pub mod event;
pub mod http_url;
pub mod ids;
pub mod inquiry;
pub mod json_depth;
pub mod jwk;
pub mod key_check;
pub mod names;
pub mod operation;
pub mod permission;
pub mod placement;
pub mod plan;
pub mod purpose;
pub mod rollout;
pub mod route;
pub mod server;
pub mod server_class;
pub mod server_template;
pub mod server_tls;
pub mod signing_key;
pub mod slug;
pub mod tenant;
pub mod trusted_issuer;
pub mod user;
pub mod webhook;

pub use clock::{Clock, SystemClock};
pub use slug::Slug;

/// Text that is not a valid value of some type: which rule it broke, in words for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Invalid {
    reason: std::borrow::Cow<'static, str>,
}

impl Invalid {
    /// A refusal with its reason: a sentence without a final full stop.
    pub fn because(reason: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self { reason: reason.into() }
    }
}
