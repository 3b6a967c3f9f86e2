//! What requests and background tasks of a data plane share.

use std::{sync::Arc, time::Duration};

use tenantry_domain::{Clock, audit::AuditEntry};
use tenantry_http::{AccessLog, ConnectionLimits};
use tenantry_registry::Registry;

use crate::{
    asks::Asks,
    branding::Brandings,
    events::Events,
    feature_plans::FeaturePlans,
    limits::TenantLimits,
    outbox::Outbox,
    outcomes::Outcomes,
    resolve::Rules,
    routes::RouteCache,
    serve::Runner,
    tokens::{KeyAsks, RevokedSessions},
    usage::Usage,
    users::Users,
};

/// One for all requests.
pub(crate) struct Plane {
    pub(crate) rules: Rules,
    pub(crate) routes: RouteCache,
    pub(crate) runner: Runner,
    pub(crate) limits: Arc<TenantLimits>,
    pub(crate) feature_plans: FeaturePlans,
    pub(crate) users: Users,
    pub(crate) revoked: Arc<RevokedSessions>,
    pub(crate) key_asks: KeyAsks,
    pub(crate) branding: Brandings,
    pub(crate) usage: Usage,
    pub(crate) events: Events,
    pub(crate) audit: Outbox<AuditEntry>,
    pub(crate) outcomes: Outcomes,
    pub(crate) asks: Asks,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: Registry,
    pub(crate) max_body: usize,
    pub(crate) usage_interval: Duration,
    pub(crate) access_log: AccessLog,
    pub(crate) connections: ConnectionLimits,
}
