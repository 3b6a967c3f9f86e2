//! Path parameters: [`InPath`]. A name that cannot exist is answered as one that does not, 404.

use axum::{
    RequestPartsExt,
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use tenantry_domain::{
    app::{AppName, AppVersion},
    config::ConfigKey,
    domain_name::DomainName,
    ids::{ApiKeyId, EventId, OperationId, RolloutId, WebhookId},
    plan::PlanName,
    server_class::ServerClassName,
};

use super::{ServerRef, TenantRef};
use crate::refusal::Refusal;

/// Something that a path names.
pub(crate) trait Named: Sized + Send {
    /// What it is, for the code of the 404.
    const WHAT: &'static str;

    /// Reads it; `None` if nothing can be called that.
    fn read(text: &str) -> Option<Self>;
}

macro_rules! named {
    ($($type:ty = $what:literal),* $(,)?) => {$(
        impl Named for $type {
            const WHAT: &'static str = $what;

            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )*};
}

named! {
    PlanName = "plan", AppName = "app", AppVersion = "version", OperationId = "operation", ApiKeyId = "key",
    ServerClassName = "server_class", ConfigKey = "config", WebhookId = "webhook", EventId = "delivery",
    RolloutId = "rollout",
}

impl Named for TenantRef {
    const WHAT: &'static str = "tenant";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl Named for ServerRef {
    const WHAT: &'static str = "server";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl Named for DomainName {
    const WHAT: &'static str = "domain";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

/// What the path's parameters name: one, or a pair.
pub(crate) struct InPath<T>(pub(crate) T);

fn named<T: Named>(text: Option<&String>) -> Result<T, Refusal> {
    text.and_then(|text| T::read(text)).ok_or_else(|| Refusal::not_found(T::WHAT))
}

async fn segments(parts: &mut Parts) -> Vec<String> {
    // Fails only where a segment is not UTF-8: then nothing has that name.
    parts.extract::<Path<Vec<String>>>().await.map(|Path(segments)| segments).unwrap_or_default()
}

impl<A: Named, S: Sync> FromRequestParts<S> for InPath<A> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(named(segments(parts).await.first())?))
    }
}

impl<A: Named, B: Named, S: Sync> FromRequestParts<S> for InPath<(A, B)> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let segments = segments(parts).await;
        Ok(Self((named(segments.first())?, named(segments.get(1))?)))
    }
}
