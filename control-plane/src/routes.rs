//! The endpoints: one file each, in the folder of their resource.

pub(crate) mod apps;
pub(crate) mod audit;
pub(crate) mod events;
pub(crate) mod keys;
pub(crate) mod operations;
pub(crate) mod plans;
pub(crate) mod rollouts;
pub(crate) mod server_classes;
pub(crate) mod servers;
pub(crate) mod signup;
pub(crate) mod tenants;
pub(crate) mod webhooks;

use std::sync::Arc;

use axum::{Router, middleware};
use tenantry_http::Edge;
use utoipa_axum::{router::OpenApiRouter, routes};
use utoipa_swagger_ui::SwaggerUi;

use crate::{
    audit::Audit,
    auth, document, idempotency,
    input::known_parameters::{self, KnownParameters},
    signup_gate,
    state::ApiState,
    visitor,
};

/// What its metrics are labelled with.
pub(crate) const PLANE: &str = "control";

/// Every endpoint that needs a key.
fn authenticated() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(tenants::create::create_tenant, tenants::list::list_tenants))
        .routes(routes!(
            tenants::get::get_tenant,
            tenants::patch::patch_tenant,
            tenants::delete::delete_tenant
        ))
        .routes(routes!(tenants::suspend::suspend_tenant))
        .routes(routes!(tenants::resume::resume_tenant))
        .routes(routes!(tenants::restore::restore_tenant))
        .routes(routes!(tenants::migrate::migrate_tenant))
        .routes(routes!(tenants::move_tenant::move_tenant))
        .routes(routes!(tenants::undo_move::undo_move, tenants::way_back::way_back))
        .routes(routes!(tenants::connection::tenant_connection))
        .routes(routes!(tenants::branding::tenant_branding))
        .routes(routes!(tenants::operations::tenant_operations))
        .routes(routes!(tenants::keys::create::create_tenant_key, tenants::keys::list::list_tenant_keys))
        .routes(routes!(tenants::keys::delete::delete_tenant_key))
        .routes(routes!(tenants::config::list::list_config, tenants::config::set::set_config))
        .routes(routes!(
            tenants::config::get::get_config,
            tenants::config::put::put_config,
            tenants::config::delete::delete_config
        ))
        .routes(routes!(
            tenants::signing_keys::rotate::rotate_signing_key,
            tenants::signing_keys::list::list_signing_keys
        ))
        .routes(routes!(tenants::domains::create::create_domain, tenants::domains::list::list_domains))
        .routes(routes!(tenants::domains::delete::delete_domain))
        .routes(routes!(tenants::domains::verify::verify_domain))
        .routes(routes!(tenants::usage::tenant_usage))
        .routes(routes!(tenants::impersonate::impersonate_tenant))
        .routes(routes!(tenants::keys::rotate::rotate_tenant_key))
        .routes(routes!(tenants::health::tenant_health))
        .routes(routes!(operations::list::list_operations))
        .routes(routes!(operations::get::get_operation))
        .routes(routes!(operations::events::operation_events))
        .routes(routes!(operations::retry::retry_operation))
        .routes(routes!(operations::cancel::cancel_operation))
        .routes(routes!(operations::abandon::abandon_operation))
        .routes(routes!(plans::create::create_plan, plans::list::list_plans))
        .routes(routes!(
            plans::get::get_plan,
            plans::put::put_plan,
            plans::patch::patch_plan,
            plans::delete::delete_plan
        ))
        .routes(routes!(servers::create::create_server, servers::list::list_servers))
        .routes(routes!(
            servers::get::get_server,
            servers::put::put_server,
            servers::patch::patch_server,
            servers::delete::delete_server
        ))
        .routes(routes!(servers::orders::list_server_orders))
        .routes(routes!(servers::resize::resize_server))
        .routes(routes!(servers::hibernate::hibernate_server))
        .routes(routes!(servers::wake::wake_server))
        .routes(routes!(
            server_classes::create::create_server_class,
            server_classes::list::list_server_classes
        ))
        .routes(routes!(
            server_classes::get::get_server_class,
            server_classes::put::put_server_class,
            server_classes::delete::delete_server_class
        ))
        .routes(routes!(servers::check::check_server))
        .routes(routes!(servers::audit::audit_server))
        .routes(routes!(servers::drain::drain_server))
        .routes(routes!(servers::rebalance::rebalance_servers))
        .routes(routes!(apps::list::list_apps))
        .routes(routes!(apps::get::get_app, apps::put::put_app))
        .routes(routes!(apps::types::app_types))
        .routes(routes!(apps::verify::verify_app))
        .routes(routes!(apps::push_version::push_version))
        .routes(routes!(apps::delete_version::delete_version))
        .routes(routes!(apps::promote_version::promote_version))
        .routes(routes!(rollouts::create::create_rollout, rollouts::list::list_rollouts))
        .routes(routes!(rollouts::get::get_rollout))
        .routes(routes!(rollouts::tenants::list_rollout_tenants))
        .routes(routes!(rollouts::events::rollout_events))
        .routes(routes!(rollouts::pause::pause_rollout))
        .routes(routes!(rollouts::resume::resume_rollout))
        .routes(routes!(rollouts::abort::abort_rollout))
        .routes(routes!(rollouts::rollback::rollback_rollout))
        .routes(routes!(keys::create::create_key, keys::list::list_keys))
        .routes(routes!(keys::delete::delete_key))
        .routes(routes!(keys::rotate::rotate_key))
        .routes(routes!(webhooks::create::create_webhook, webhooks::list::list_webhooks))
        .routes(routes!(
            webhooks::get::get_webhook,
            webhooks::patch::patch_webhook,
            webhooks::delete::delete_webhook
        ))
        .routes(routes!(webhooks::rotate_secret::rotate_webhook_secret))
        .routes(routes!(webhooks::test::test_webhook))
        .routes(routes!(webhooks::replay::replay_webhook))
        .routes(routes!(webhooks::deliveries::list::list_deliveries))
        .routes(routes!(webhooks::deliveries::get::get_delivery))
        .routes(routes!(webhooks::deliveries::replay::replay_delivery))
        .routes(routes!(events::list::list_events))
        .routes(routes!(audit::list::list_audit))
        .routes(routes!(audit::export::export_audit))
        .routes(routes!(audit::verify::verify_audit))
}

/// The one endpoint that needs none.
fn public() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(signup::create::sign_up))
}

/// All endpoints with their documentation, without layers.
pub(crate) fn documented() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(document::base()).merge(authenticated()).merge(public())
}

/// The whole API, ready to be served.
pub(crate) fn router(state: &ApiState) -> Router {
    let document = document::openapi();
    let known = KnownParameters::of(&document);
    let replay = || middleware::from_fn_with_state(state.clone(), idempotency::replay);
    let known_only = || middleware::from_fn_with_state(known.clone(), known_parameters::refuse_unknown);
    let audit = Audit::new(state, &document, Router::from(authenticated()).with_state(state.clone()));
    let audited = || middleware::from_fn_with_state(audit.clone(), crate::audit::record);
    // The last layer is the first to see a request.
    let authenticated = Router::from(authenticated())
        .route_layer(audited())
        .route_layer(replay())
        .route_layer(known_only())
        .route_layer(middleware::from_fn_with_state(state.clone(), auth::authenticate));
    let public = Router::from(public())
        .route_layer(audited())
        .route_layer(replay())
        .route_layer(known_only())
        .route_layer(middleware::from_fn_with_state(state.clone(), signup_gate::limit))
        .route_layer(middleware::from_fn_with_state(state.clone(), visitor::identify));
    let router = authenticated
        .merge(public)
        .with_state(state.clone())
        .merge(SwaggerUi::new("/docs").url("/openapi.json", document));
    let edge = Edge {
        plane: PLANE,
        max_body: state.settings.max_body,
        clock: Arc::clone(&state.clock),
        cors: None,
        access_log: state.settings.access_log,
        postgrest: false,
    };
    tenantry_http::with_standard_layers(router, edge)
}

#[cfg(test)]
mod tests;
