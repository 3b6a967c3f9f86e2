//! `POST /api/auth/email/confirm`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use secrecy::SecretString;
use serde::Deserialize;
use tenantry_http::Problem;
use utoipa::ToSchema;

use super::{
    refused, registration,
    request::{AuthBody, AuthRequest},
};
use crate::{http::parameters, state::Plane, users};

/// The token that a user was sent.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ConfirmEmailBody {
    /// Of `user.email_change_requested`.
    #[schema(value_type = String)]
    token: SecretString,
    /// The tenant, by id or slug, where the request does not name it otherwise.
    tenant_id: Option<String>,
}

impl AuthBody for ConfirmEmailBody {
    fn tenant(&self) -> Option<(&'static str, &str)> {
        self.tenant_id.as_deref().map(|tenant| ("tenantId", tenant))
    }
}

/// Show that an e-mail address is one's own
#[utoipa::path(
    post,
    path = "/api/auth/email/confirm",
    operation_id = "confirm_email",
    tag = "users",
    params(parameters::Named),
    request_body = ConfirmEmailBody,
    responses(
        (status = 204, description = "The user has the address"),
        (status = 401, description = "`one_time_token_invalid`", body = Problem),
        (status = 409, description = "`email_taken` meanwhile", body = Problem),
        (status = "4XX", description = "Refused", body = Problem),
    ),
    security(())
)]
pub(super) async fn confirm_email(
    State(plane): State<Arc<Plane>>,
    request: AuthRequest<ConfirmEmailBody>,
) -> Result<StatusCode, Problem> {
    let AuthRequest { route, body, .. } = request;
    registration(&route).map_err(refused(&plane))?;
    users::confirm_email(&plane, &route, &body.token).await.map_err(refused(&plane))?;
    plane.outcomes.ok();
    Ok(StatusCode::NO_CONTENT)
}
