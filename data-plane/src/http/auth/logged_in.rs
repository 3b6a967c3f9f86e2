//! A request of a user who is logged in.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use tenantry_http::Problem;

use crate::{http::admitted::Admitted, routes::CachedRoute, state::Plane, tokens::Verified};

/// A user who is logged in, by the token.
pub(super) struct LoggedIn {
    pub(super) route: CachedRoute,
    pub(super) token: Verified,
}

impl FromRequestParts<Arc<Plane>> for LoggedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, plane: &Arc<Plane>) -> Result<Self, Problem> {
        let Admitted { route, grant, .. } = Admitted::from_request_parts(parts, plane).await?;
        match grant.user {
            Some(token) => Ok(Self { route, token }),
            None => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "token_required",
                "send a user's access token instead of a key: `Authorization: Bearer <token>`",
            )),
        }
    }
}
