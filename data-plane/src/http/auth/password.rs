//! `POST /api/auth/password`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use tenantry_domain::user::Password;
use tenantry_http::{JsonBody, Problem};
use utoipa::ToSchema;

use super::{logged_in::LoggedIn, refused, to_its_end};
use crate::{http::parameters, state::Plane, users};

/// The old password and the new one.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PasswordBody {
    #[schema(value_type = String)]
    current_password: SecretString,
    /// As the tenant's `security.password_policy` says, with at least 8 characters.
    #[schema(value_type = String)]
    new_password: Password,
}

/// Change the password
///
/// All other log-ins of the user end.
#[utoipa::path(
    post,
    path = "/api/auth/password",
    operation_id = "change_password",
    tag = "users",
    params(parameters::Named),
    request_body = PasswordBody,
    responses(
        (status = 204, description = "Changed"),
        (status = 401, description = "`invalid_credentials`, or the token does not count", body = Problem),
        (status = "4XX", description = "Refused", body = Problem),
    ),
    security(("key" = []))
)]
pub(super) async fn change_password(
    State(plane): State<Arc<Plane>>,
    user: LoggedIn,
    JsonBody(body): JsonBody<PasswordBody>,
) -> Result<StatusCode, Problem> {
    let policy = user.route.users.password_policy.check(&body.new_password);
    policy.map_err(|error| Problem::invalid("newPassword", error.to_string()))?;
    let at = Arc::clone(&plane);
    let changed = to_its_end(async move {
        let PasswordBody { current_password, new_password } = &body;
        users::change_password(&at, &user.route, (user.id, user.session), current_password, new_password)
            .await
    });
    changed.await.map_err(refused(&plane))?;
    plane.outcomes.ok();
    Ok(StatusCode::NO_CONTENT)
}
