//! CORS for browsers, and `OPTIONS` for everybody else: [`CorsLayer`] alone would answer every `OPTIONS` as the question
//! that a browser asks before a call.

use std::task::{Context, Poll};

use axum::http::{Method, Request, header};
use futures::future::Either;
use tower::{Layer, Service};
use tower_http::cors::{Cors, CorsLayer};

/// See the module.
#[derive(Clone)]
pub(crate) struct PreflightLayer(pub(crate) CorsLayer);

impl<S: Clone> Layer<S> for PreflightLayer {
    type Service = Preflight<S>;

    fn layer(&self, inner: S) -> Preflight<S> {
        Preflight { cors: self.0.layer(inner.clone()), inner }
    }
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Preflight<S> {
    cors: Cors<S>,
    inner: S,
}

impl<S, B> Service<Request<B>> for Preflight<S>
where
    S: Service<Request<B>>,
    Cors<S>: Service<Request<B>, Response = S::Response, Error = S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, <Cors<S> as Service<Request<B>>>::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        match self.inner.poll_ready(cx) {
            Poll::Ready(Ok(())) => self.cors.poll_ready(cx),
            other => other,
        }
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let asks_first = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if request.method() == Method::OPTIONS && !asks_first {
            Either::Left(self.inner.call(request))
        } else {
            Either::Right(self.cors.call(request))
        }
    }
}
