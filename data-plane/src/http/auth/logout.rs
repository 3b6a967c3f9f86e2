//! `POST /api/auth/logout`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use tenantry_http::Problem;

use super::{logged_in::WithToken, refused, to_its_end};
use crate::{
    http::parameters,
    state::Plane,
    tokens::Bearer,
    users::{self, Ended},
};

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
        (status = 202, description = "Logged out here; other data planes hear of it when the registry can be reached, or the token ends"),
        (status = 401, description = "The token does not count (any more)", body = Problem),
        (status = "4XX", description = "Refused", body = Problem),
    ),
    security(("key" = []))
)]
pub(super) async fn logout(State(plane): State<Arc<Plane>>, with: WithToken) -> Result<StatusCode, Problem> {
    let session = match with.token.bearer {
        Bearer::User { session, .. } | Bearer::Support { session } => session,
        Bearer::Trusted => {
            let detail = "the token's issuer has to end it";
            return Err(Problem::new(StatusCode::FORBIDDEN, "not_a_user", detail));
        }
    };
    let at = Arc::clone(&plane);
    let ended = to_its_end(async move { users::logout(&at, &with.route, session).await });
    let ended = ended.await.map_err(refused(&plane))?;
    plane.outcomes.ok();
    Ok(match ended {
        Ended::Everywhere => StatusCode::NO_CONTENT,
        Ended::Here => StatusCode::ACCEPTED,
    })
}
