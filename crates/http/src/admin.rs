//! The admin port: `/livez`, `/readyz`, `/metrics`. Not for the public.

use std::{future::Future, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use futures::future::{BoxFuture, join_all};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Map, Value, json};

/// One thing that must work for the process to be of use, e.g. `registry`; answers what is wrong.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    run: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl Check {
    /// A check and how to run it.
    pub fn new<F>(name: &'static str, run: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name, run: Arc::new(move || Box::pin(run())) }
    }
}

#[derive(Clone)]
struct Admin {
    metrics: PrometheusHandle,
    checks: Arc<[Check]>,
}

/// The admin port's router.
pub fn router(metrics: PrometheusHandle, checks: Vec<Check>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(Admin { metrics, checks: checks.into() })
}

async fn ready(State(admin): State<Admin>) -> impl IntoResponse {
    let results = join_all(admin.checks.iter().map(async |check| (check.name, (check.run)().await))).await;
    let ok = results.iter().all(|(_, result)| result.is_ok());
    let checks: Map<String, Value> = results
        .into_iter()
        .map(|(name, result)| (name.to_owned(), result.map_or_else(Value::String, |()| Value::Bool(true))))
        .collect();
    let status = if ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ok, "checks": checks })))
}

async fn render(State(admin): State<Admin>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], admin.metrics.render())
}
