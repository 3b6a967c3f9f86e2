//! `GET /api/auth/validate`.

use std::sync::Arc;

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tenantry_domain::user::Role;
use tenantry_http::Problem;
use utoipa::ToSchema;

use super::{TenantName, logged_in::WithToken};
use crate::{
    http::parameters,
    state::Plane,
    tokens::{Bearer, Verified},
};

/// What a token says.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ValidView {
    /// Always true: a token that does not count is refused.
    valid: bool,
    /// Whose it is.
    user: UserName,
    tenant: TenantName,
    /// When it ends.
    expires_at: DateTime<Utc>,
}

/// Whose a token is.
#[derive(Serialize, ToSchema)]
struct UserName {
    /// Counts within the tenant; null for whoever is no user of its own.
    id: Option<i64>,
    /// How he is called.
    username: String,
    /// What he was to the tenant when the token was signed.
    #[schema(value_type = Vec<String>)]
    roles: Vec<Role>,
}

/// Check an access token
#[utoipa::path(
    get,
    path = "/api/auth/validate",
    operation_id = "validate",
    tag = "users",
    params(parameters::Named),
    responses(
        (status = 200, description = "It counts", body = ValidView),
        (status = 401, description = "It does not count (any more)", body = Problem),
        (status = 403, description = "`tenant_mismatch`: it is another tenant's", body = Problem),
        (status = "4XX", description = "Refused", body = Problem),
    ),
    security(("key" = []))
)]
pub(super) async fn validate(State(plane): State<Arc<Plane>>, user: WithToken) -> Json<ValidView> {
    plane.outcomes.ok();
    let tenant = TenantName::of(&user.route);
    let Verified { bearer, username, roles, expires_at, .. } = user.token;
    let id = match bearer {
        Bearer::User { id, .. } => Some(id),
        Bearer::Support { .. } | Bearer::Trusted => None,
    };
    Json(ValidView { valid: true, user: UserName { id, username, roles }, tenant, expires_at })
}
