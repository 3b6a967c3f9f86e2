//! What the registry announces, applied to what is in memory.

use futures::StreamExt;
use metrics::Counter;
use tenantry_registry::{Registry, feed::Change};
use tokio_util::sync::CancellationToken;

use super::{RouteCache, RouteName};
use crate::catalogs::Catalogs;

/// Follows the change feed until told to stop.
pub(crate) async fn follow(
    registry: Registry,
    routes: RouteCache,
    catalogs: Catalogs,
    stop: CancellationToken,
) {
    let heard: Counter = metrics::counter!("tenantry_route_changes_total");
    let reconnected: Counter = metrics::counter!("tenantry_route_feed_connections_total");
    let mut feed = registry.route_feed();
    while let Some(Some(change)) = stop.run_until_cancelled(feed.next()).await {
        if change == Change::Reconnected {
            reconnected.increment(1);
            tracing::debug!("following the registry's changes; every route is read again before it is used");
        }
        heard.increment(1);
        apply(&change, &routes, &catalogs);
        routes.applied(change);
    }
}

fn apply(change: &Change, routes: &RouteCache, catalogs: &Catalogs) {
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
        Change::Reconnected => {
            catalogs.forget_all();
            routes.all_changed();
        }
    }
}
