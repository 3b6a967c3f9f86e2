//! The layers that go around every router.

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use metrics::Histogram;
use tenantry_domain::Clock;
use tower::ServiceBuilder;
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};
use tracing::Instrument;

use crate::{
    Problem, RequestId,
    access_log::{AccessLog, AccessLogger},
    preflight::PreflightLayer,
};

/// What goes around the requests of a plane.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "holds the clock")]
pub struct Edge {
    /// Labels the metrics.
    pub plane: &'static str,
    /// The largest body, in bytes.
    pub max_body: usize,
    /// Makes request ids.
    pub clock: Arc<dyn Clock>,
    /// With it browsers may call the plane from other origins.
    pub cors: Option<CorsLayer>,
    /// Which requests are logged.
    pub access_log: AccessLog,
    /// Clients of `PostgREST` are to understand its errors.
    pub postgrest: bool,
}

/// Puts a router behind request id, log line, metrics, a limit for bodies and a net for panics.
/// Answers of axum itself (404, 405, 413) become problem documents.
pub fn with_standard_layers(router: Router, edge: Edge) -> Router {
    let Edge { plane, max_body, clock, cors, access_log, postgrest } = edge;
    let told = move |problem: Problem, code: &'static str, message: String| {
        if postgrest { problem.known_as(code).with("message", message) } else { problem }
    };
    let access_log = AccessLogger::new(access_log);
    let durations = Durations::default();
    let edge = Arc::new(Around { plane, max_body, clock, access_log, postgrest, durations });
    // All in one layer of the router, which boxes each request anew for every layer that it has.
    let layers = ServiceBuilder::new()
        .option_layer(cors.map(PreflightLayer))
        .layer(middleware::from_fn(move |request, next| around(Arc::clone(&edge), request, next)))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(DefaultBodyLimit::max(max_body));
    router
        .fallback(async move || {
            let detail = "there is no such endpoint; see /docs";
            let problem = Problem::new(StatusCode::NOT_FOUND, "endpoint_not_found", detail);
            told(problem, "PGRST125", "Invalid path specified in request URL".to_owned())
        })
        .method_not_allowed_fallback(async move |method: Method| {
            let detail = "this endpoint has other methods; see /docs";
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
            told(problem, "PGRST117", format!("Unsupported HTTP method: {method}"))
        })
        .layer(layers)
}

/// What goes around every request of a plane.
struct Around {
    plane: &'static str,
    max_body: usize,
    clock: Arc<dyn Clock>,
    access_log: AccessLogger,
    postgrest: bool,
    durations: Durations,
}

async fn around(edge: Arc<Around>, mut request: Request, next: Next) -> Response {
    let id = RequestId::assign(&mut request, &*edge.clock);
    let response = match edge.access_log.choose(request.method(), request.uri().path()) {
        None => observe(&edge, &id, request, next).await,
        Some(asked) => {
            let started = Instant::now();
            let outcome = |response: &Response| (response.status(), started.elapsed());
            asked.log(&id, observe(&edge, &id, request, next), outcome).await
        }
    };
    id.put_on(response, edge.postgrest)
}

/// What is read, and thrown away, of a body that is too large, and for how long.
const DRAINED: usize = 64 << 20;
const DRAINED_WITHIN: Duration = Duration::from_secs(10);

/// Refuses a body that says that it is too large, after reading it: a client that is still sending when
/// the connection closes sees a broken connection instead of the answer.
async fn refuse_too_large(max_body: usize, request: Request, next: Next) -> Response {
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if declared.and_then(|length| length.parse::<usize>().ok()).is_none_or(|length| length <= max_body) {
        return next.run(request).await;
    }
    // Who waits to be asked for the body is answered instead.
    if !request.headers().contains_key(header::EXPECT) {
        let mut body = request.into_body().into_data_stream();
        let drain = async {
            let mut read = 0;
            while let Some(Ok(chunk)) = body.next().await {
                read += chunk.len();
                if read > DRAINED {
                    break;
                }
            }
        };
        // Whether all of it was read does not change the answer.
        let _ = tokio::time::timeout(DRAINED_WITHIN, drain).await;
    }
    Problem::body_too_large(max_body).into_response()
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

/// One log line and one measurement for each request.
async fn observe(edge: &Around, id: &RequestId, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let route = path.as_ref().map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request", request.id = id.as_str(), http.method = %method, http.route = route, tenant.id = tracing::field::Empty
    );
    let response = refuse_too_large(edge.max_body, request, next).instrument(span.clone()).await;
    let status = response.status();
    let elapsed = started.elapsed();
    edge.durations.of(edge.plane, route, &method, status).record(elapsed.as_secs_f64());
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

/// The histograms of request durations, by route, method and status: to ask the recorder for one
/// takes longer than to record.
#[derive(Default)]
struct Durations(RwLock<HashMap<Box<str>, Vec<Answered>>>);

/// What requests to one route take that have this method and are answered with this status.
struct Answered {
    method: Method,
    status: StatusCode,
    seconds: Histogram,
}

impl Durations {
    fn of(&self, plane: &'static str, route: &str, method: &Method, status: StatusCode) -> Histogram {
        // Anybody can make a method up; a label must not grow by it.
        let method = if STANDARD_METHODS.contains(method) { method.clone() } else { other_method() };
        let known = |by_route: &HashMap<Box<str>, Vec<Answered>>| {
            let found = by_route.get(route)?.iter().find(|one| one.method == method && one.status == status);
            found.map(|one| one.seconds.clone())
        };
        if let Some(seconds) = known(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return seconds;
        }
        let seconds = metrics::histogram!(
            "tenantry_http_request_duration_seconds",
            "plane" => plane, "route" => route.to_owned(), "method" => method.to_string(),
            "status" => status.as_str().to_owned()
        );
        let mut by_route = self.0.write().unwrap_or_else(PoisonError::into_inner);
        by_route.entry(route.into()).or_default().push(Answered { method, status, seconds: seconds.clone() });
        seconds
    }
}

const STANDARD_METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::CONNECT,
    Method::TRACE,
];

fn other_method() -> Method {
    Method::from_bytes(b"OTHER").expect("letters")
}
