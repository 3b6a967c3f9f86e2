//! The change feed: what the registry's triggers announce by `NOTIFY`.
//!
//! A feed says that something changed, never how; and a feed that was cut has missed things. So a
//! listener reads the rows again, and after [`Change::Reconnected`] it trusts nothing it holds.

use std::{pin::Pin, time::Duration};

use chrono::DateTime;
use futures::{Stream, StreamExt};
use sqlx::{ConnectOptions, Connection, Executor, postgres::PgListener};
use tenantry_domain::{
    app::AppName,
    domain_name::DomainName,
    ids::{InquiryId, OperationId, ServerId, TenantId},
    operation::OperationEventKind,
    plan::PlanName,
    slug::Slug,
    trusted_issuer::KeySource,
};

use tokio::time::timeout;

use crate::{Registry, RegistryError, RevokedSession};

/// A feed that has heard nothing for this long asks the registry for a sign of life: nothing else tells a
/// quiet registry from a connection that is dead without having been closed.
const QUIET: Duration = Duration::from_secs(5);

/// Something changed that routes are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A tenant's route.
    Tenant(TenantId),
    /// A slug or subdomain appeared or went.
    Label(Slug),
    /// A custom domain was proven or went.
    Domain(DomainName),
    /// A plan: the routes of all its tenants.
    Plan(PlanName),
    /// An app's manifest: the routes of all its tenants.
    App(AppName),
    /// A server's address: the routes of all its tenants.
    Server(ServerId),
    /// Keys of an issuer: the routes of all tenants that trust it.
    IssuerKeys(KeySource),
    /// A log-in was revoked: its access tokens are refused until they end by themselves.
    Revoked(RevokedSession),
    /// The connection was lost and is back: anything may have changed meanwhile.
    Reconnected,
}

impl Change {
    fn parse(payload: &str) -> Option<Self> {
        let (kind, value) = payload.split_once(':')?;
        match kind {
            "tenant" => value.parse().ok().map(Self::Tenant),
            "label" => value.parse().ok().map(Self::Label),
            "domain" => DomainName::parse(value).ok().map(Self::Domain),
            "plan" => value.parse().ok().map(Self::Plan),
            "app" => value.parse().ok().map(Self::App),
            "server" => value.parse().ok().map(Self::Server),
            "issuer-keys" => {
                let (kind, url) = value.split_once(' ')?;
                crate::issuer_keys::source(kind, url).ok().map(Self::IssuerKeys)
            }
            "session" => revoked(value).map(Self::Revoked),
            _ => None,
        }
    }
}

fn revoked(value: &str) -> Option<RevokedSession> {
    let (id, ends) = value.split_once(' ')?;
    let expires_at = DateTime::from_timestamp(ends.parse().ok()?, 0)?;
    Some(RevokedSession { id: id.parse().ok()?, expires_at })
}

/// An operation has a new event, or its running step says how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationNews {
    /// This one has, of this kind.
    Of(OperationId, OperationEventKind),
    /// The running step of this one has come further.
    Progress(OperationId),
    /// The connection was lost and is back: any may have.
    Reconnected,
}

/// What a heartbeat announces that brings a message of the running step.
const PROGRESS: &str = "progress";

impl OperationNews {
    fn parse(payload: &str) -> Option<Self> {
        let (id, kind) = payload.split_once(' ')?;
        let id = id.parse().ok()?;
        if kind == PROGRESS { Some(Self::Progress(id)) } else { Some(Self::Of(id, kind.parse().ok()?)) }
    }
}

/// An inquiry was asked or answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InquiryNews {
    /// There is one to take.
    Asked,
    /// This one has its answer.
    Answered(InquiryId),
    /// The connection was lost and is back: either may have happened.
    Reconnected,
}

impl InquiryNews {
    fn parse(payload: &str) -> Option<Self> {
        match payload.split_once(' ')? {
            (_, "asked") => Some(Self::Asked),
            (id, "answered") => id.parse().ok().map(Self::Answered),
            _ => None,
        }
    }
}

/// A stream without end: it reconnects by itself.
pub type Feed<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

impl Registry {
    /// Changes of routes. Begins with [`Change::Reconnected`] once it listens.
    pub fn route_feed(&self) -> Feed<Change> {
        self.feed("tenantry_routes", Change::Reconnected, |payload| {
            Change::parse(payload).into_iter().collect()
        })
    }

    /// News of operations. Begins with [`OperationNews::Reconnected`] once it listens.
    pub fn operation_feed(&self) -> Feed<OperationNews> {
        self.feed("tenantry_operations", OperationNews::Reconnected, |payload| {
            OperationNews::parse(payload).into_iter().collect()
        })
    }

    /// News of inquiries. Begins with [`InquiryNews::Reconnected`] once it listens.
    pub fn inquiry_feed(&self) -> Feed<InquiryNews> {
        self.feed("tenantry_inquiries", InquiryNews::Reconnected, |payload| {
            InquiryNews::parse(payload).into_iter().collect()
        })
    }

    /// Says that there may be something to send to webhooks. Begins with one once it listens.
    pub fn webhook_feed(&self) -> Feed<()> {
        self.feed("tenantry_webhooks", (), |_| vec![()])
    }

    /// Says that a rollout may have tenants to migrate. Begins with one once it listens.
    pub fn rollout_feed(&self) -> Feed<()> {
        self.feed("tenantry_rollouts", (), |_| vec![()])
    }

    fn feed<T: Clone + Send + 'static>(
        &self,
        channel: &'static str,
        reconnected: T,
        parse: fn(&str) -> Vec<T>,
    ) -> Feed<T> {
        struct State<T> {
            registry: Registry,
            listener: Option<PgListener>,
            reconnected: T,
        }
        impl<T> State<T> {
            fn lose(&mut self) {
                // Its parting word may wait for the operating system to give the connection up.
                self.listener = None;
                // What cut this connection has most likely cut idle ones of the pools.
                self.registry.health.note_broken();
            }
        }
        let state = State { registry: self.clone(), listener: None, reconnected };
        let batches = futures::stream::unfold(state, move |mut state| async move {
            loop {
                let Some(listener) = &mut state.listener else {
                    match state.registry.listen(channel).await {
                        Ok(listener) => {
                            state.listener = Some(listener);
                            let news = vec![state.reconnected.clone()];
                            return Some((news, state));
                        }
                        Err(error) => {
                            tracing::debug!(%error, channel, "the change feed cannot connect; trying again");
                            tokio::time::sleep(Duration::from_millis(25)).await;
                            continue;
                        }
                    }
                };
                let limit = state.registry.health.limit();
                let Ok(heard) = timeout(QUIET.min(limit), listener.try_recv()).await else {
                    let answered = timeout(limit, listener.execute("SELECT 1")).await;
                    if !matches!(answered, Ok(Ok(_))) {
                        tracing::warn!(channel, "the change feed's connection is dead; beginning anew");
                        state.lose();
                    }
                    continue;
                };
                match heard {
                    Ok(Some(notification)) => {
                        let news = parse(notification.payload());
                        return Some((news, state));
                    }
                    // The connection was lost; notifications may have been too.
                    Ok(None) | Err(_) => state.lose(),
                }
            }
        });
        batches.flat_map(futures::stream::iter).boxed()
    }

    async fn listen(&self, channel: &str) -> Result<PgListener, RegistryError> {
        let connect = async {
            // The pool below would back off while the registry is down, and notice late that it is back.
            self.options.connect().await?.close().await?;
            let own = self.listener_options().connect_lazy_with(self.options.clone());
            let mut listener = PgListener::connect_with(&own).await?;
            listener.eager_reconnect(false);
            listener.listen(channel).await?;
            Ok(listener)
        };
        timeout(self.health.limit(), connect).await.unwrap_or(Err(sqlx::Error::PoolTimedOut.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_name_what_changed() {
        let slug = Slug::parse("acme").unwrap();
        assert_eq!(Change::parse("label:acme"), Some(Change::Label(slug)));
        assert!(matches!(
            Change::parse("tenant:019a0000-0000-7000-8000-000000000000"),
            Some(Change::Tenant(_))
        ));
        assert_eq!(Change::parse("tenant:nonsense"), None);
        assert_eq!(Change::parse("else"), None);
        let url = "https://id.acme.example/jwks";
        let source = KeySource::parse(tenantry_domain::trusted_issuer::KeySourceKind::JwksUri, url).unwrap();
        assert_eq!(Change::parse(&format!("issuer-keys:jwks_uri {url}")), Some(Change::IssuerKeys(source)));
        assert_eq!(Change::parse("issuer-keys:jwks_uri"), None);
        let id = "019a0000-0000-7000-8000-000000000000";
        let revoked = RevokedSession {
            id: id.parse().unwrap(),
            expires_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        };
        assert_eq!(Change::parse(&format!("session:{id} 1800000000")), Some(Change::Revoked(revoked)));
        assert_eq!(Change::parse(&format!("session:{id}")), None);
    }
}
