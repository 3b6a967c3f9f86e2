//! `POST /api/auth/password/reset`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use tenantry_domain::user::Password;
use tenantry_http::Problem;
use utoipa::ToSchema;

use super::{
    refused, registration,
    request::{AuthBody, AuthRequest},
    to_its_end,
};
use crate::{http::parameters, state::Plane, users};

/// The token that a user was sent, and the password that he wants.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ResetPasswordBody {
    /// Of `user.password_reset_requested` or `user.invited`.
    #[schema(value_type = String)]
    token: SecretString,
    /// As the tenant's `security.password_policy` says, with at least 8 characters.
    #[schema(value_type = String)]
    new_password: Password,
    /// The tenant, by id or slug, where the request does not name it otherwise.
    tenant_id: Option<String>,
}

impl AuthBody for ResetPasswordBody {
    fn tenant(&self) -> Option<(&'static str, &str)> {
        self.tenant_id.as_deref().map(|tenant| ("tenantId", tenant))
    }
}

/// Set a password with a one-time token
///
/// All his log-ins end, and so does a lock-out.
#[utoipa::path(
    post,
    path = "/api/auth/password/reset",
    operation_id = "reset_password",
    tag = "users",
    params(parameters::Named),
    request_body = ResetPasswordBody,
    responses(
        (status = 204, description = "Set"),
        (status = 401, description = "`one_time_token_invalid`", body = Problem),
        (status = "4XX", description = "Refused", body = Problem),
    ),
    security(())
)]
pub(super) async fn reset_password(
    State(plane): State<Arc<Plane>>,
    request: AuthRequest<ResetPasswordBody>,
) -> Result<StatusCode, Problem> {
    let AuthRequest { route, body, .. } = request;
    registration(&route).map_err(refused(&plane))?;
    let policy = route.users.password_policy.check(&body.new_password);
    policy.map_err(|error| Problem::invalid("newPassword", error.to_string()))?;
    let at = Arc::clone(&plane);
    let reset =
        to_its_end(async move { users::reset_password(&at, &route, &body.token, &body.new_password).await });
    reset.await.map_err(refused(&plane))?;
    plane.outcomes.ok();
    Ok(StatusCode::NO_CONTENT)
}
