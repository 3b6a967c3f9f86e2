//! Request ids: taken from the client's `x-request-id` where it is well formed, made otherwise.

use std::sync::Arc;

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
    response::Response,
};
use tenantry_domain::{Clock, ids::uuid_v7};

use crate::Problem;

/// `x-request-id`, on every answer.
pub(crate) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request at hand; an extension of every request.
#[derive(Debug, Clone)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives a request its id.
    pub(crate) fn assign(request: &mut Request, clock: &dyn Clock) -> Self {
        let id = match request.headers().get(&X_REQUEST_ID).and_then(well_formed) {
            Some(id) => id.into(),
            None => uuid_v7(clock.now(), &mut rand::rng()).to_string().into(),
        };
        let id = Self(id);
        request.extensions_mut().insert(id.clone());
        id
    }

    /// Gives the answer the same; a problem document gets it in its body too, and with `postgrest` what clients of
    /// `PostgREST` read.
    pub(crate) fn put_on(&self, mut response: Response, postgrest: bool) -> Response {
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            let problem = if postgrest { problem.for_postgrest() } else { problem };
            response = problem.respond_with_id(&self.0, response);
        }
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            response.headers_mut().insert(X_REQUEST_ID.clone(), value);
        }
        response
    }
}

fn well_formed(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok()?;
    let fits = (1..=128).contains(&text.len());
    (fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(&b))).then_some(text)
}
