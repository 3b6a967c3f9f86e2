//! `POST /api/auth/password/forgot`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use tenantry_domain::user::Email;
use tenantry_http::Problem;
use utoipa::ToSchema;

use super::{
    refused, registration,
    request::{AuthBody, AuthRequest},
};
use crate::{audit, http::parameters, state::Plane, users};

/// Who has forgotten his password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ForgotPasswordBody {
    /// His address.
    #[schema(value_type = String, example = "ada@example.com")]
    email: Email,
    /// The tenant, by id or slug, where the request does not name it otherwise.
    tenant_id: Option<String>,
}

impl AuthBody for ForgotPasswordBody {
    fn tenant(&self) -> Option<(&'static str, &str)> {
        self.tenant_id.as_deref().map(|tenant| ("tenantId", tenant))
    }
}

/// Ask for a message by which a password can be set
///
/// The answer is the same whether there is such a user. The event `user.password_reset_requested` has the token, which is good
/// for an hour; a user is sent one a minute at most.
#[utoipa::path(
    post,
    path = "/api/auth/password/forgot",
    operation_id = "forgot_password",
    tag = "users",
    params(parameters::Named),
    request_body = ForgotPasswordBody,
    responses(
        (status = 202, description = "If there is such a user, he is sent a message"),
        (status = "4XX", description = "Refused", body = Problem),
    ),
    security(())
)]
pub(super) async fn forgot_password(
    State(plane): State<Arc<Plane>>,
    request: AuthRequest<ForgotPasswordBody>,
) -> Result<StatusCode, Problem> {
    let AuthRequest { route, body, .. } = request;
    registration(&route).map_err(refused(&plane))?;
    audit::note_name(body.email.as_str());
    users::forgot_password(&plane, &route, &body.email).await.map_err(refused(&plane))?;
    plane.outcomes.ok();
    Ok(StatusCode::ACCEPTED)
}
