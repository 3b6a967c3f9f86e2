//! `POST /api/auth/email`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use tenantry_domain::user::Email;
use tenantry_http::{JsonBody, Problem};
use utoipa::ToSchema;

use super::{logged_in::LoggedIn, refused};
use crate::{http::parameters, state::Plane, users};

/// The address that a user wants to have.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ChangeEmailBody {
    /// Once in the tenant, whatever the case.
    #[schema(value_type = String, example = "ada@example.org")]
    email: Email,
    #[schema(value_type = String)]
    current_password: SecretString,
}

/// Ask for another e-mail address
///
/// It is his when he has shown that he reads it: the event `user.email_change_requested` has a token for
/// `/api/auth/email/confirm`, which is good for an hour.
#[utoipa::path(
    post,
    path = "/api/auth/email",
    operation_id = "change_email",
    tag = "users",
    params(parameters::Named),
    request_body = ChangeEmailBody,
    responses(
        (status = 202, description = "A message is sent to the address"),
        (status = 401, description = "`invalid_credentials`, or the token does not count", body = Problem),
        (status = 409, description = "`email_taken`", body = Problem),
        (status = "4XX", description = "Refused", body = Problem),
    ),
    security(("key" = []))
)]
pub(super) async fn change_email(
    State(plane): State<Arc<Plane>>,
    user: LoggedIn,
    JsonBody(body): JsonBody<ChangeEmailBody>,
) -> Result<StatusCode, Problem> {
    let ChangeEmailBody { email, current_password } = body;
    let asked = users::change_email(&plane, &user.route, user.id, &current_password, email).await;
    asked.map_err(refused(&plane))?;
    plane.outcomes.ok();
    Ok(StatusCode::ACCEPTED)
}
