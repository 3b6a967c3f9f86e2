//! The admin port: `/livez`, `/readyz`, `/metrics`. Not for the public.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde_json::{Map, Value, json};

use crate::Readiness;

/// Gives the process's metrics in Prometheus' text format.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

#[derive(Clone)]
struct Admin {
    metrics: Metrics,
    readiness: Readiness,
}

/// The admin port's router.
pub fn router(metrics: Metrics, readiness: Readiness) -> Router {
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(Admin { metrics, readiness })
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    let checks = admin.readiness.checks();
    let ready = checks.iter().all(|(_, state)| state.is_ok());
    let checks: Map<String, Value> = checks
        .into_iter()
        .map(|(name, state)| (name, state.map_or_else(Value::String, |()| Value::Bool(true))))
        .collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "checks": checks })))
}

async fn render(State(admin): State<Admin>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (admin.metrics)())
}
