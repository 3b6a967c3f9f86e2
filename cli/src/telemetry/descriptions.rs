//! What each metric means: the `HELP` text that the admin port shows.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

enum Kind {
    Counter,
    Gauge,
    Seconds,
}
use Kind::{Counter, Gauge, Seconds};

/// Every metric of Tenantry's own. Those of the process come with their descriptions.
const METRICS: &[(Kind, &str, &str)] = &[
    (Gauge, "tenantry_build_info", "1, labelled with the version of this binary"),
    (
        Gauge,
        "tenantry_registry_connections",
        "Connections to the registry, by pool and by whether they are in use",
    ),
    (Gauge, "tenantry_registry_connections_max", "The most connections that a pool of the registry may open"),
    (Seconds, "tenantry_http_request_duration_seconds", "Time from a request's head to its answer's head"),
    (Counter, "tenantry_signups_total", "Sign-ups, by plan and outcome"),
    (Counter, "tenantry_signups_limited_total", "Public sign-ups refused because of their number"),
    (
        Counter,
        "tenantry_idempotent_replays_total",
        "Repeated requests that were given the first one's answer",
    ),
    (
        Counter,
        "tenantry_operation_attempts_total",
        "Times that a worker took up an operation, by how it went",
    ),
    (Seconds, "tenantry_step_duration_seconds", "Time that one try of an operation's step took"),
    (Seconds, "tenantry_reconciler_duration_seconds", "Time that one run of a reconciler took"),
    (Gauge, "tenantry_lane_operations", "Unfinished operations, by lane and state"),
    (
        Gauge,
        "tenantry_lane_oldest_due_seconds",
        "How long the oldest due operation of a lane waits for a worker",
    ),
    (Gauge, "tenantry_undo_windows", "Placements that tenants have left and that are kept up to date"),
    (Gauge, "tenantry_server_reachable", "1 where workers reach a server, 0 where they do not, by its name"),
    (Seconds, "tenantry_inquiry_duration_seconds", "Time to answer a question that needs a tenant server"),
    (Counter, "tenantry_rollout_tenants_total", "Tenants that a rollout migrated, or could not"),
    (Seconds, "tenantry_rollout_batch_duration_seconds", "Time that one batch of a rollout's tenants took"),
    (
        Counter,
        "tenantry_issuer_key_fetches_total",
        "Fetches of the keys of issuers that tenants trust, by how they ended",
    ),
    (Counter, "tenantry_webhook_attempts_total", "Attempts to tell a webhook of an event, by how they ended"),
    (Seconds, "tenantry_webhook_attempt_duration_seconds", "Time that one attempt took"),
    (Counter, "tenantry_data_requests_total", "Requests for tenants' data, by outcome"),
    (Gauge, "tenantry_pool_connections", "Connections to a tenant server, by state"),
    (Gauge, "tenantry_http_connections", "Open connections of clients, by plane"),
    (
        Counter,
        "tenantry_http_connections_closed_total",
        "Connections that were closed because there were too many, or because they were too slow",
    ),
    (Gauge, "tenantry_pool_waiting", "Requests that wait for a connection to a tenant server"),
    (
        Counter,
        "tenantry_pool_held_back_total",
        "Requests of tenants with long statements that waited while another tenant was served",
    ),
    (
        Counter,
        "tenantry_pool_slow_readers_total",
        "Long answers that were ended because their readers kept connections from tenants that waited",
    ),
    (
        Counter,
        "tenantry_outbox_lost_total",
        "Events and audit rows that a data plane could not keep for the registry, by what",
    ),
    (Counter, "tenantry_route_changes_total", "Changes of routes that the registry has announced"),
    (Counter, "tenantry_route_feed_connections_total", "Times that the feed of changes was connected"),
    (Counter, "tenantry_route_lookups_total", "Look-ups of routes, by outcome"),
    (Counter, "tenantry_stale_routes_served_total", "Requests served by a route that could not be renewed"),
    (Seconds, "tenantry_route_load_seconds", "Time to read a route from the registry"),
    (Seconds, "tenantry_route_change_seconds", "Time to apply a change to the routes in memory"),
    (Gauge, "tenantry_routes_cached", "Routes in memory"),
];

/// Gives the installed recorder the descriptions.
pub(super) fn describe() {
    for (kind, name, help) in METRICS {
        match kind {
            Counter => describe_counter!(*name, *help),
            Gauge => describe_gauge!(*name, *help),
            Seconds => describe_histogram!(*name, Unit::Seconds, *help),
        }
    }
}
