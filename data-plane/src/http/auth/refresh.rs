//! `POST /api/auth/refresh`.

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use secrecy::SecretString;
use serde::Deserialize;
use tenantry_http::Problem;
use utoipa::ToSchema;

use super::{
    TokensView, no_store, refused, registration,
    request::{AuthBody, AuthRequest},
    to_its_end,
};
use crate::{http::parameters, state::Plane, users};

/// Who wants to stay logged in.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RefreshBody {
    /// The last one; it counts once.
    #[schema(value_type = String)]
    refresh_token: SecretString,
    /// The tenant, where the request does not name it otherwise.
    tenant_slug: Option<String>,
}

impl AuthBody for RefreshBody {
    fn tenant(&self) -> Option<(&'static str, &str)> {
        self.tenant_slug.as_deref().map(|tenant| ("tenantSlug", tenant))
    }
}

/// Get new tokens
///
/// A refresh token that was used before was stolen, from whom or by whom nobody can tell: its log-in ends, for both.
#[utoipa::path(
    post,
    path = "/api/auth/refresh",
    operation_id = "refresh",
    tag = "users",
    params(parameters::Named),
    request_body = RefreshBody,
    responses(
        (status = 200, description = "New tokens of the same log-in", body = TokensView),
        (status = 401, description = "`refresh_token_invalid`", body = Problem),
        (status = "4XX", description = "Refused", body = Problem),
    ),
    security(())
)]
pub(super) async fn refresh(
    State(plane): State<Arc<Plane>>,
    request: AuthRequest<RefreshBody>,
) -> Result<impl IntoResponse, Problem> {
    let AuthRequest { route, body, .. } = request;
    registration(&route).map_err(refused(&plane))?;
    let (at, of) = (Arc::clone(&plane), route.clone());
    let tokens = to_its_end(async move { users::refresh(&at, &of, body.refresh_token).await });
    let tokens = tokens.await.map_err(refused(&plane))?;
    plane.outcomes.ok();
    Ok(no_store(TokensView::new(&tokens, &route)))
}
