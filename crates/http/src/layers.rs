//! The layers that go around every router.

use std::{any::Any, sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use tenantry_domain::Clock;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use crate::{Problem, RequestId, request_id};

/// Puts a router behind request id, log line, metrics, a limit for bodies (bytes) and a net for panics.
/// Answers of axum itself (404, 405, 413) become problem documents. `plane` labels the metrics.
pub fn with_standard_layers(
    router: Router,
    plane: &'static str,
    max_body: usize,
    clock: Arc<dyn Clock>,
) -> Router {
    router
        .fallback(async || {
            Problem::new(StatusCode::NOT_FOUND, "no_such_endpoint", "there is no such endpoint; see /docs")
        })
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this endpoint has other methods; see /docs",
            )
        })
        .layer(DefaultBodyLimit::max(max_body))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(move |request, next| observe(plane, request, next)))
        .layer(middleware::from_fn(move |request, next| {
            request_id::assign(Arc::clone(&clock), request, next)
        }))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is the layer's")]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(panic.message = message, "a handler panicked: {message}");
    Problem::internal().into_response()
}

async fn observe(plane: &'static str, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let id = request.extensions().get::<RequestId>().map_or("", RequestId::as_str);
    let span = tracing::info_span!(
        "request", request.id = id, http.method = %method, http.route = route, tenant.id = tracing::field::Empty
    );
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    let elapsed = started.elapsed();
    metrics::histogram!(
        "tenantry_http_request_duration_seconds",
        "plane" => plane, "route" => route, "method" => method.to_string(), "status" => status.as_str().to_owned()
    )
    .record(elapsed.as_secs_f64());
    span.in_scope(|| {
        let (status, millis) = (status.as_u16(), elapsed.as_secs_f64() * 1e3);
        if status >= 500 {
            tracing::warn!(http.status = status, elapsed_ms = millis, "answered {status} in {millis:.1} ms");
        } else {
            tracing::debug!(http.status = status, elapsed_ms = millis, "answered {status} in {millis:.1} ms");
        }
    });
    response
}
