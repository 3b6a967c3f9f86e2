//! What the registry announces, applied to what is in memory.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use metrics::Counter;
use tenantry_registry::feed::Change;
use tokio_util::sync::CancellationToken;

use super::RouteName;
use crate::state::Plane;

/// How long until the revoked log-ins are read again that could not be.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Follows the change feed until told to stop.
pub(crate) async fn follow(plane: Arc<Plane>, stop: CancellationToken) {
    let heard: Counter = metrics::counter!("tenantry_route_changes_total");
    let reconnected: Counter = metrics::counter!("tenantry_route_feed_connections_total");
    let mut feed = plane.registry.route_feed();
    while let Some(Some(change)) = stop.run_until_cancelled(feed.next()).await {
        if change == Change::Reconnected {
            reconnected.increment(1);
            tracing::debug!("following the registry's changes; every route is read again before it is used");
            tokio::spawn(stop.clone().run_until_cancelled_owned(read_revoked(Arc::clone(&plane))));
        }
        heard.increment(1);
        apply(&change, &plane);
        plane.routes.applied(change);
    }
}

/// Reads which log-ins were revoked: some may have been while nobody listened.
async fn read_revoked(plane: Arc<Plane>) {
    loop {
        match plane.registry.sessions_revoked().await {
            Ok(all) => return plane.revoked.complete(all, plane.clock.now()),
            Err(error) => tracing::warn!(%error, "which log-ins were revoked cannot be read; trying again"),
        }
        tokio::time::sleep(READ_AGAIN_AFTER).await;
    }
}

fn apply(change: &Change, plane: &Plane) {
    let (routes, catalogs) = (&plane.routes, &plane.runner.catalogs);
    match change {
        Change::Tenant(id) => routes.tenant_changed(*id),
        Change::Label(label) => routes.name_changed(RouteName::Label(label.as_str())),
        Change::Domain(domain) => routes.name_changed(RouteName::Domain(domain.as_str())),
        Change::Plan(plan) => routes.shared_changed(|route| route.plan == *plan),
        Change::App(app) => {
            catalogs.forget(app);
            routes.shared_changed(|route| route.app.name == *app);
        }
        Change::Server(server) => routes.shared_changed(|route| {
            route.placement.as_ref().is_some_and(|placement| placement.server.id == *server)
        }),
        Change::IssuerKeys(source) => routes
            .shared_changed(|route| route.users.issuers.iter().any(|issuer| issuer.source() == Some(source))),
        Change::Revoked(session) => plane.revoked.add(*session),
        Change::Reconnected => {
            catalogs.forget_all();
            routes.all_changed();
        }
    }
}
