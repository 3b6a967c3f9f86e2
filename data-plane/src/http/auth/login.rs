//! `POST /api/auth/login`.

use std::sync::Arc;

use axum::{extract::State, response::IntoResponse};
use secrecy::SecretString;
use serde::Deserialize;
use tenantry_http::Problem;
use utoipa::ToSchema;

use super::{
    TokensView, no_store, refused, registration,
    request::{AuthBody, AuthRequest},
};
use crate::{
    audit,
    http::parameters,
    state::Plane,
    users::{self, Login},
};

/// Who wants to log in.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LoginBody {
    /// His name, or his e-mail address.
    #[schema(example = "ada")]
    username: Option<String>,
    /// Instead of the name.
    #[schema(example = "ada@example.com")]
    email: Option<String>,
    #[schema(value_type = String, example = "correct horse battery")]
    password: SecretString,
    /// The tenant, where the request does not name it otherwise.
    tenant_slug: Option<String>,
}

impl AuthBody for LoginBody {
    fn tenant(&self) -> Option<(&'static str, &str)> {
        self.tenant_slug.as_deref().map(|tenant| ("tenantSlug", tenant))
    }
}

/// Log in
///
/// Ten wrong passwords in a row keep everybody from logging in as this user for 15 minutes.
#[utoipa::path(
    post,
    path = "/api/auth/login",
    operation_id = "login",
    tag = "users",
    params(parameters::Named),
    request_body = LoginBody,
    responses(
        (status = 200, description = "Let in", body = TokensView),
        (status = 401, description = "`invalid_credentials`", body = Problem),
        (status = "4XX", description = "Refused", body = Problem),
        (status = 503, description = "`login_busy`, with `Retry-After`", body = Problem),
    ),
    security(())
)]
pub(super) async fn login(
    State(plane): State<Arc<Plane>>,
    request: AuthRequest<LoginBody>,
) -> Result<impl IntoResponse, Problem> {
    let AuthRequest { route, body, .. } = request;
    registration(&route).map_err(refused(&plane))?;
    let name = match (body.username, body.email) {
        (Some(name), None) | (None, Some(name)) => name,
        (None, None) => {
            return Err(Problem::invalid("username", "is required, or `email` instead"));
        }
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("email", "is given beside `username`; send one of them"));
        }
    };
    audit::note_name(&name);
    let login = Login { name, password: body.password };
    let tokens = users::login(&plane, &route, login).await.map_err(refused(&plane))?;
    plane.outcomes.ok();
    Ok(no_store(TokensView::new(&tokens, &route)))
}
