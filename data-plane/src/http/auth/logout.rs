//! `POST /api/auth/logout`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use tenantry_http::Problem;

use super::{refused, validate::LoggedIn};
use crate::{http::parameters, state::Plane, users};

/// Log out
///
/// Ends the log-in that the access token came of: its refresh token and all its access tokens count no more.
#[utoipa::path(
    post,
    path = "/api/auth/logout",
    operation_id = "logout",
    tag = "users",
    params(parameters::Named),
    responses(
        (status = 204, description = "Logged out"),
        (status = 401, description = "The token does not count (any more)", body = Problem),
        (status = "4XX", description = "Refused", body = Problem),
    ),
    security(("key" = []))
)]
pub(super) async fn logout(State(plane): State<Arc<Plane>>, user: LoggedIn) -> Result<StatusCode, Problem> {
    users::logout(&plane, &user.route, user.token.session).await.map_err(refused)?;
    plane.outcomes.ok();
    Ok(StatusCode::NO_CONTENT)
}
