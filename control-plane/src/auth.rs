//! Who asks, and whether they may. [`authenticate`] runs before every route but sign-up; each
//! handler names the scope it needs in its signature ([`Authorized`]).

mod bearer;
mod key_ring;
mod scope;

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use tenantry_domain::api_key::ApiKey;
use tenantry_http::Problem;

pub(crate) use key_ring::KeyRing;
pub(crate) use scope::{Authorized, require, scopes};

use crate::{auth::bearer::BearerError, refusal::Refusal};

/// The operator's key with which a request came; an extension of every authenticated request.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Arc<ApiKey>);

/// Lets a request through if it comes with a live key of the control plane.
pub(crate) async fn authenticate(
    State(keys): State<KeyRing>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let token = bearer::token(request.headers()).map_err(|error| match error {
        BearerError::Missing => unauthenticated(
            "send a key in the header: `Authorization: Bearer <api key>`",
            "Bearer realm=\"tenantry\"",
        ),
        BearerError::Garbled => unauthenticated(
            "the Authorization header must be `Bearer <api key>`, once",
            "Bearer realm=\"tenantry\", error=\"invalid_request\"",
        ),
    })?;
    let key = keys.find(token).await?.ok_or_else(|| {
        unauthenticated(
            "the key is unknown, revoked or expired",
            "Bearer realm=\"tenantry\", error=\"invalid_token\"",
        )
    })?;
    if key.tenant_id.is_some() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "wrong_kind_of_key",
            "this is a tenant's key, which opens the data plane only; send an operator's key",
        )
        .into());
    }
    request.extensions_mut().insert(Caller(key));
    Ok(next.run(request).await)
}

fn unauthenticated(detail: &'static str, challenge: &'static str) -> Refusal {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
        .into()
}
