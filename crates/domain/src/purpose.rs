//! What sealed values are sealed for: see [`crate::envelope`].

use crate::{
    config::ConfigKey,
    ids::{EventId, ServerId, TenantId, WebhookId},
    names::ObjectName,
    signing_key::KeyId,
};

/// The purpose that a sealed value is bound to.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'a> {
    /// A tenant's data key, wrapped by the key-encryption key.
    DataKey(TenantId),
    /// The password of a tenant's role, sealed with the tenant's data key.
    RolePassword(TenantId),
    /// The password of a server's admin login, sealed with the key-encryption key.
    ServerAdmin(ServerId),
    /// The password of a data plane's login on a server, sealed with the key-encryption key.
    ServerLogin(ServerId, &'a ObjectName),
    /// The password of a warm tenant's role on a server, sealed with the key-encryption key.
    WarmRole(ServerId, &'a ObjectName),
    /// The private half of a key that signs a tenant's access tokens, sealed with the key-encryption key.
    SigningKey(TenantId, &'a KeyId),
    /// A token that lets a tenant's user do one thing once.
    OneTimeToken(TenantId),
    /// A value of a tenant's configuration, sealed with the tenant's data key.
    Config(TenantId, &'a ConfigKey),
    /// One-time tokens of an event, sealed with the key-encryption key.
    EventSecret(EventId),
    /// What requests to a webhook are signed with, sealed with the key-encryption key.
    WebhookSecret(WebhookId),
    /// An answer kept for a repeated request, which may show a key that was just made.
    IdempotentAnswer,
    /// The known text that tells the right key-encryption key from a wrong one.
    KeyCheck,
}

impl std::fmt::Display for Purpose<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DataKey(tenant) => write!(f, "tenant:{tenant}"),
            Self::RolePassword(tenant) => write!(f, "role:{tenant}"),
            Self::ServerAdmin(server) => write!(f, "server:{server}:admin"),
            Self::ServerLogin(server, login) => write!(f, "server:{server}:login:{login}"),
            Self::WarmRole(server, name) => write!(f, "server:{server}:warm:{name}"),
            Self::SigningKey(tenant, key) => write!(f, "tenant:{tenant}:signing-key:{key}"),
            Self::OneTimeToken(tenant) => write!(f, "tenant:{tenant}:one-time-token"),
            Self::Config(tenant, key) => write!(f, "tenant:{tenant}:config:{key}"),
            Self::EventSecret(event) => write!(f, "event:{event}"),
            Self::WebhookSecret(webhook) => write!(f, "webhook:{webhook}"),
            Self::IdempotentAnswer => f.write_str("idempotency"),
            Self::KeyCheck => f.write_str("key-check"),
        }
    }
}
