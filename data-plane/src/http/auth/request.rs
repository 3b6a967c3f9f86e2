//! A request of somebody who is not logged in yet: a body, which may name the tenant, and perhaps a key or token.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use tenantry_http::{JsonBody, Problem};

use crate::{
    admit::{Action, Grant, Intent},
    http::admitted::{Addressed, addressed, admit_now},
    routes::CachedRoute,
    state::Plane,
};

/// A body of `/api/auth`.
pub(super) trait AuthBody: DeserializeOwned + Send + Sync {
    /// The tenant that it names, by id or slug, and the field that does.
    fn tenant(&self) -> Option<(&'static str, &str)> {
        None
    }

    /// Whether a key or token is looked at.
    const LOOKS_AT_CREDENTIAL: bool = false;
}

/// See the module.
pub(super) struct AuthRequest<T> {
    pub(super) route: CachedRoute,
    /// What the key or token may do, where there is one.
    pub(super) grant: Option<Grant>,
    pub(super) body: T,
}

impl<T: AuthBody> FromRequest<Arc<Plane>> for AuthRequest<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, plane: &Arc<Plane>) -> Result<Self, Problem> {
        read(request, plane).await.inspect_err(|problem| plane.outcomes.refused(problem.stable_name()))
    }
}

async fn read<T: AuthBody>(request: Request, plane: &Plane) -> Result<AuthRequest<T>, Problem> {
    let (parts, body) = request.into_parts();
    let mut copy = Request::new(body);
    *copy.headers_mut() = parts.headers.clone();
    *copy.extensions_mut() = parts.extensions.clone();
    let JsonBody(body) = JsonBody::<T>::from_request(copy, &()).await?;
    let Addressed { route, credential } = addressed(&parts, plane, body.tenant()).await?;
    if !T::LOOKS_AT_CREDENTIAL || credential.presented.is_none() {
        return Ok(AuthRequest { route, grant: None, body });
    }
    let intent = Intent { action: Action::Write, resource: None };
    let (route, grant) = admit_now(plane, route, credential, intent).await?;
    Ok(AuthRequest { route, grant: Some(grant), body })
}
