//! A request with a user's token.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use tenantry_domain::ids::SessionId;
use tenantry_http::Problem;

use crate::{
    http::admitted::identified,
    routes::CachedRoute,
    state::Plane,
    tokens::{Bearer, Verified},
};

/// Somebody whose token counts.
pub(super) struct WithToken {
    pub(super) route: CachedRoute,
    pub(super) token: Verified,
}

/// One of the tenant's own users, who is logged in.
pub(super) struct LoggedIn {
    pub(super) route: CachedRoute,
    pub(super) id: i64,
    pub(super) session: SessionId,
}

impl FromRequestParts<Arc<Plane>> for WithToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, plane: &Arc<Plane>) -> Result<Self, Problem> {
        let (route, grant) = identified(parts, plane).await?;
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

impl FromRequestParts<Arc<Plane>> for LoggedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, plane: &Arc<Plane>) -> Result<Self, Problem> {
        let WithToken { route, token } = WithToken::from_request_parts(parts, plane).await?;
        match token.bearer {
            Bearer::User { id, session } => Ok(Self { route, id, session }),
            Bearer::Support { .. } | Bearer::Trusted => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "not_a_user",
                "this is for users of the tenant itself; the token is of support, or of another issuer",
            )),
        }
    }
}
